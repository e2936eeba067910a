/** What is in the vault's place before it is opened. Looks only; makes nothing. */

import type { CreatePolicy } from '../../vault/open_vault.ts';
import { lookOnDisk } from '../../vault/presence.ts';
import type { CliApp } from '../context.ts';

/** Is there neither a vault nor a key, so that nothing can have been lost? */
export function isNothingThere(app: CliApp): boolean {
  const { store_path, root_key } = app.settings();
  try {
    const { vault, key } = lookOnDisk(store_path, root_key);
    return vault === 'absent' && !key;
  } catch {
    // Where nobody may look there may be something: opening it tells what is wrong.
    return false;
  }
}

/** Is there a vault file with something in it? Throws VaultError where nobody may look. */
export function isVaultFileThere(app: CliApp): boolean {
  const { store_path, root_key } = app.settings();
  return lookOnDisk(store_path, root_key).vault === 'filled';
}

/**
 * Whether a command that writes may make the vault: yes, except with a passphrase that would be typed once only,
 * where a slip of the finger would lock everything up. `keyhold init` asks twice.
 */
export function createForWriting(app: CliApp): CreatePolicy {
  return app.settings().root_key.kind === 'passphrase' && !app.env.KEYHOLD_PASSPHRASE ? 'no' : 'if_new';
}
