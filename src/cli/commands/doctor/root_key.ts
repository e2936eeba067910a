/** Checks the source of the root key. Only opening the vault shows whether it is the right key. */
import { statSync } from 'node:fs';
import { VaultError } from '../../../contract/errors.ts';
import { tempFilesOf } from '../../../io/atomic_file.ts';
import { shellQuote } from '../../../io/shell_quote.ts';
import { rootKeyText } from '../../../settings/keys/root_key.ts';
import { readKeyFile } from '../../../vault/keys/key_file.ts';
import { mayVaultExist } from '../../connect/presence.ts';
import type { CliContext } from '../../context.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const CHECK = 'root_key';
const OTHERS_ANY = 0o077;

export function checkRootKey(context: CliContext): Finding {
  const { root_key, key_cache_ms } = context.settings();
  switch (root_key.kind) {
    case 'file':
      return checkFile(root_key.path, mayVaultExist(context), context.settings().store.kind !== 'sqlite');
    case 'env':
      if (context.env[root_key.name])
        return ok(CHECK, 'It is in the environment variable that KEYHOLD_ROOT_KEY names.');
      return fail(
        CHECK,
        'LOCKED',
        'The environment variable that KEYHOLD_ROOT_KEY names is not set.',
        'Set it to the key this vault was created with; for a new vault `openssl rand -base64 32` makes one.',
      );
    case 'keychain':
      return ok(CHECK, 'It is in the keychain of this user.');
    case 'transit':
    case 'aws-kms':
      return ok(
        CHECK,
        `It is in the vault, encrypted by ${rootKeyText(root_key)}; keys are used for at most ${key_cache_ms / 60_000} minutes without that service.`,
      );
    case 'passphrase':
      if (context.env.KEYHOLD_PASSPHRASE?.trim())
        return ok(CHECK, 'The passphrase is in KEYHOLD_PASSPHRASE.');
      return ok(CHECK, 'The vault opens with a passphrase, which is prompted for.');
  }
}

/** `is_remote`: whether the vault exists is not known. */
function checkFile(path: string, has_vault: boolean, is_remote: boolean): Finding {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    if (is_remote)
      return warn(
        CHECK,
        `It is not at ${path}.`,
        'For a new vault, `keyhold init` creates it; for an existing one, copy the key file of another machine to this path, with mode 600.',
      );
    if (!has_vault) return ok(CHECK, 'Not created yet; it is created with the vault.');
    return fail(
      CHECK,
      'LOCKED',
      `It is not at ${path}.`,
      'Put the key file back, or set KEYHOLD_ROOT_KEY to where it is.',
    );
  }
  try {
    readKeyFile(path);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    const is_mode = (found.mode & OTHERS_ANY) !== 0;
    return fail(
      CHECK,
      error.code,
      error.message,
      is_mode ? `Run: chmod 600 ${shellQuote(path)}` : `The file is ${path}.`,
    );
  }
  if (!has_vault) {
    const remedy =
      'Put the vault file back; only if there never was one, run `keyhold init` to create one with this key.';
    return fail(CHECK, 'NOT_FOUND', `It is at ${path}, but its vault is missing.`, remedy);
  }
  const where = `It is at ${path}, for your user only.`;
  const temp_files = tempFilesOf(path);
  if (temp_files.length === 0) return ok(CHECK, where);
  const left = 'Beside it are temporary files of a process that was killed while it created the key.';
  const remedy = `They are not used and can be removed: rm ${temp_files.map(shellQuote).join(' ')}`;
  return warn(CHECK, `${where} ${left}`, remedy);
}
