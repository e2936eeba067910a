/** Checks whether a vault of this machine exists before it is opened. Creates nothing. */
import type { CreatePolicy } from '../../vault/open_vault.ts';
import { detectVault } from '../../vault/presence.ts';
import type { CliContext } from '../context.ts';

/** Whether the vault and its root key are both missing, so that nothing can have been lost. */
export function isVaultAbsent(context: CliContext): boolean {
  const { store, root_key } = context.settings();
  try {
    const { vault, key } = detectVault(store, root_key);
    return vault === 'absent' && !key;
  } catch {
    // The path cannot be read, so a vault may exist. Opening it reports the reason.
    return false;
  }
}

/**
 * Whether the vault file exists and is not empty; true for a database, where only a connection finds out. Throws VaultError if
 * the path cannot be read.
 */
export function mayVaultExist(context: CliContext): boolean {
  const { store, root_key } = context.settings();
  return ['filled', 'unknown'].includes(detectVault(store, root_key).vault);
}

/**
 * Whether a writing command may create the vault. Not with a passphrase from a prompt: it is typed once only, and a typo
 * would lock the vault for good. `keyhold init` prompts twice. And not in a database.
 */
export function createForWriting(context: CliContext): CreatePolicy {
  const { root_key, store } = context.settings();
  if (store.kind !== 'sqlite') return 'no';
  return root_key.kind === 'passphrase' && !context.env.KEYHOLD_PASSPHRASE?.trim() ? 'no' : 'if_new';
}
