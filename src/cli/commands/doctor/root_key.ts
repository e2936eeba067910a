/** The doctor's look at where the root key comes from. Whether it is the right one shows when the vault is opened. */
import { accessSync, constants, statSync } from 'node:fs';
import { tempFilesOf } from '../../../io/atomic_file.ts';
import { vaultFileExists } from '../../connect/presence.ts';
import type { CliContext } from '../../context.ts';
import { shellQuote } from '../../terminal/shell_quote.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const CHECK = 'root_key';
const OTHERS_ANY = 0o077;

export function checkRootKey(context: CliContext): Finding {
  const { root_key } = context.settings();
  switch (root_key.kind) {
    case 'file':
      return checkFile(root_key.path, vaultFileExists(context));
    case 'env':
      if (context.env[root_key.name])
        return ok(CHECK, 'It is in the environment variable that KEYHOLD_ROOT_KEY names.');
      return fail(
        CHECK,
        'LOCKED',
        'The environment variable that KEYHOLD_ROOT_KEY names is not set.',
        'Set it to the key this vault was made with; for a new vault `openssl rand -base64 32` makes one.',
      );
    case 'passphrase':
      if (context.env.KEYHOLD_PASSPHRASE) return ok(CHECK, 'The passphrase is in KEYHOLD_PASSPHRASE.');
      return ok(CHECK, 'The vault opens with a passphrase, which is asked for.');
  }
}

function checkFile(path: string, has_vault: boolean): Finding {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    if (!has_vault) return ok(CHECK, 'There is none yet; it is made with the vault.');
    return fail(
      CHECK,
      'LOCKED',
      `It is not at ${path}.`,
      'Put the key file back, or set KEYHOLD_ROOT_KEY to where it is.',
    );
  }
  if (!found.isFile()) {
    return fail(
      CHECK,
      'LOCKED',
      `There is no file but something else at ${path}.`,
      'Set KEYHOLD_ROOT_KEY to the key file.',
    );
  }
  if (process.platform !== 'win32' && (found.mode & OTHERS_ANY) !== 0) {
    const remedy = `Run: chmod 600 ${shellQuote(path)}. If others may have read it, make a new vault.`;
    return fail(CHECK, 'LOCKED', 'Other users of this machine can read it, so the vault stays shut.', remedy);
  }
  try {
    accessSync(path, constants.R_OK);
  } catch {
    return fail(CHECK, 'LOCKED', 'Your user may not read it.', `Give your user read permission on ${path}.`);
  }
  if (!has_vault) {
    const remedy =
      'Put the vault file back; only if there never was one, run `keyhold init` to make one with this key.';
    return fail(CHECK, 'NOT_FOUND', `It is at ${path}, but its vault is not there.`, remedy);
  }
  const where = `It is at ${path}, for your user only.`;
  const drafts = tempFilesOf(path);
  if (drafts.length === 0) return ok(CHECK, where);
  const left = 'Beside it lie drafts that were left when a process was killed while it made the key.';
  const remedy = `They are not used and can be removed: rm ${drafts.map(shellQuote).join(' ')}`;
  return warn(CHECK, `${where} ${left}`, remedy);
}
