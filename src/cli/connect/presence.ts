/** What is in the vault's place before it is opened. Looks only; makes nothing. */

import type { CreatePolicy } from '../../vault/open_vault.ts';
import { detectVault } from '../../vault/presence.ts';
import type { CliContext } from '../context.ts';

/** Is there neither a vault nor a key, so that nothing can have been lost? */
export function isVaultAbsent(context: CliContext): boolean {
  const { store_path, root_key } = context.settings();
  try {
    const { vault, key } = detectVault(store_path, root_key);
    return vault === 'absent' && !key;
  } catch {
    // Where nobody may look there may be something: opening it tells what is wrong.
    return false;
  }
}

/** Is there a vault file with something in it? Throws VaultError where nobody may look. */
export function vaultFileExists(context: CliContext): boolean {
  const { store_path, root_key } = context.settings();
  return detectVault(store_path, root_key).vault === 'filled';
}

/**
 * Whether a command that writes may make the vault: yes, except with a passphrase that would be typed once only,
 * where a slip of the finger would lock everything up. `keyhold init` asks twice.
 */
export function createForWriting(context: CliContext): CreatePolicy {
  return context.settings().root_key.kind === 'passphrase' && !context.env.KEYHOLD_PASSPHRASE
    ? 'no'
    : 'if_new';
}
