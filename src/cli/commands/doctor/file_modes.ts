/** The doctor's look at who may read the files. The root key's own file is judged by the vault, and by `root_key`. */
import { lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Settings } from '../../../settings/settings.ts';
import { shellQuote } from '../../terminal/shell_quote.ts';
import { type Finding, ok, warn } from './finding.ts';

const OTHERS_ANY = 0o077;
/** Definitions are no secret, but whoever writes them says where credentials may go. */
const OTHERS_WRITE = 0o022;

interface Rule {
  readonly path: string;
  readonly forbidden: number;
  readonly mode: string;
}

/** Warns of what others can read or write, with the commands that put it right. */
export function checkFileModes({ store_path, root_key, services_folder }: Settings): Finding {
  // Windows has no such bits; there the profile folder's access list guards the files.
  if (process.platform === 'win32') return ok('files', 'Guarded by the access list of the folder.');
  const rules: Rule[] = [
    { path: dirname(store_path), forbidden: OTHERS_ANY, mode: '700' },
    ...['', '-wal', '-shm'].map((end) => ({ path: store_path + end, forbidden: OTHERS_ANY, mode: '600' })),
    { path: services_folder, forbidden: OTHERS_WRITE, mode: '700' },
    ...(root_key.kind === 'file'
      ? [{ path: dirname(root_key.path), forbidden: OTHERS_WRITE, mode: '700' }]
      : []),
  ];
  const open = rules.filter(({ path, forbidden }) => ((modeOf(path) ?? 0) & forbidden) !== 0);
  if (open.length === 0) return ok('files', 'Nobody else can get at the files.');
  const remedy = open.map(({ path, mode }) => `chmod ${mode} ${shellQuote(path)}`).join('; ');
  return warn('files', 'Other users of this machine can get at some of the files.', `Run: ${remedy}`);
}

function modeOf(path: string): number | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) && statSync(path, { throwIfNoEntry: false })?.mode;
  } catch {
    return undefined;
  }
}
