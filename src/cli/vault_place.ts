/** What is in the vault's place before it is opened. Looks only; makes nothing. */
import { existsSync, statSync } from 'node:fs';
import type { CreatePolicy } from '../vault/open_vault.ts';
import type { CliApp } from './app.ts';

/** Is there neither a vault nor a key, so that nothing can have been lost? */
export function isNothingThere(app: CliApp): boolean {
  const { store_path, root_key } = app.settings();
  return !existsSync(store_path) && !(root_key.kind === 'file' && existsSync(root_key.path));
}

/** Is there a vault file with something in it? */
export function isVaultFileThere(app: CliApp): boolean {
  const found = statSync(app.settings().store_path, { throwIfNoEntry: false });
  return found !== undefined && (!found.isFile() || found.size > 0);
}

/**
 * Whether a command that writes may make the vault: yes, except with a passphrase that would be typed once only,
 * where a slip of the finger would lock everything up. `keyhold init` asks twice.
 */
export function createForWriting(app: CliApp): CreatePolicy {
  return app.settings().root_key.kind === 'passphrase' && !app.env.KEYHOLD_PASSPHRASE ? 'no' : 'if_new';
}
