/** Checks of this machine: the version of Node.js, the free space and the modes of the files. */
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { shellQuote } from '../../../io/shell_quote.ts';
import type { StoreLocation } from '../../../io/store_location.ts';
import type { Settings } from '../../../settings/settings.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const NODE_MIN: readonly [major: number, minor: number] = [20, 12];
/** End of life of each major version (https://github.com/nodejs/release). Newer versions are not checked. */
const NODE_ENDS: ReadonlyMap<number, string> = new Map([
  [20, '2026-04-30'],
  [21, '2024-06-01'],
  [22, '2027-04-30'],
  [23, '2025-06-01'],
  [24, '2028-04-30'],
  [25, '2026-06-01'],
]);

/** `version` as in `process.versions.node`. */
export function checkNode(version: string, now: Date): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const newer = 'Install a newer Node.js: an even major version that is still maintained.';
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    return fail(
      'node',
      'UNAVAILABLE',
      `Node.js ${version} is too old: ${NODE_MIN.join('.')} is needed.`,
      newer,
    );
  }
  const ends = NODE_ENDS.get(major);
  if (ends !== undefined && now >= new Date(ends)) {
    return warn('node', `Node.js ${version} has had no security updates since ${ends}.`, newer);
  }
  if (ends !== undefined && major % 2 === 1) {
    return warn('node', `Node.js ${version} is an odd version, maintained until ${ends} only.`, newer);
  }
  return ok('node', `Node.js ${version}`);
}

/** Checks that the native module of the database driver fits this Node.js. */
export async function checkDriver(store: StoreLocation): Promise<Finding> {
  const { assertStoreLoads } = await import('../../../vault/presence.ts');
  await assertStoreLoads(store);
  return ok('driver', 'The database driver loads.');
}

/** Warns if a crash would write the memory of the process, which contains the keys, to the disk. */
export function checkCoreDumps(limits_path = '/proc/self/limits'): Finding {
  const limit = coreLimit(limits_path);
  if (limit === undefined || limit === '0') return ok('memory', 'A crash writes no memory to the disk.');
  return warn(
    'memory',
    'A crash can write the memory of the process, which contains the keys, to the disk (core dump).',
    'Start Keyhold with `ulimit -c 0`, or in a systemd unit with LimitCORE=0.',
  );
}

/** The soft limit of the size of a core dump; `undefined` if the system does not show it (proc(5)). */
function coreLimit(limits_path: string): string | undefined {
  try {
    return /^Max core file size +(\S+)/m.exec(readFileSync(limits_path, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

const MIB = 1024 * 1024;
const FREE_WARN_BYTES = 100 * MIB;
const FREE_FAIL_BYTES = 5 * MIB;

/** Checks the free space where `home` is or would be created. */
export async function checkDisk(home: string): Promise<Finding> {
  let folder = home;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    const { bavail, bsize } = await statfs(folder);
    return checkFreeSpace(bavail * bsize);
  } catch {
    return warn(
      'disk',
      'The free space of the disk is unknown.',
      'Check that your user may use the home folder.',
    );
  }
}

export function checkFreeSpace(free_bytes: number): Finding {
  const message = `${Math.floor(free_bytes / MIB)} MiB are free.`;
  const remedy = 'Free some space: a full disk refuses every write.';
  if (free_bytes < FREE_FAIL_BYTES) return fail('disk', 'UNAVAILABLE', message, remedy);
  return free_bytes < FREE_WARN_BYTES ? warn('disk', message, remedy) : ok('disk', message);
}

const OTHERS_ANY = 0o077;
/** A service definition is not secret, but it decides where its credentials may be sent. */
const OTHERS_WRITE = 0o022;
const ALL_WRITE = 0o002;
const STICKY = 0o1000;

interface Rule {
  readonly path: string;
  readonly forbidden: number;
  readonly mode: string;
}

/** Warns of files that others can read or write. The vault itself checks the file of the root key. */
export function checkFileModes({ home, store, root_key, services_folder }: Settings): Finding {
  // Windows has no such mode bits; the access list of the profile folder protects the files.
  if (process.platform === 'win32') return ok('files', 'Protected by the access list of the folder.');
  const keys_folder = join(home, 'keys');
  const rules: Rule[] = [
    ...(store.kind === 'sqlite' ? vaultFileRules(store.path) : []),
    { path: services_folder, forbidden: OTHERS_WRITE, mode: '700' },
    ...definitionFiles(services_folder).map((path) => ({ path, forbidden: OTHERS_WRITE, mode: 'go-w' })),
    { path: keys_folder, forbidden: OTHERS_WRITE, mode: '700' },
    ...['anchor', 'admin.key'].map((name) => ({
      path: join(keys_folder, name),
      forbidden: OTHERS_ANY,
      mode: '600',
    })),
    ...(root_key.kind === 'file'
      ? [{ path: dirname(root_key.path), forbidden: OTHERS_WRITE, mode: '700' }]
      : []),
  ];
  if (root_key.kind === 'file') rules.push(...foldersAbove(dirname(root_key.path)));
  const open = uniquePaths(rules).filter(({ path, forbidden }) => ((modeOf(path) ?? 0) & forbidden) !== 0);
  if (open.length === 0) {
    return ok(
      'files',
      `Other users cannot read ${store.kind === 'sqlite' ? 'the vault, its' : 'the'} anchor and the bootstrap API key, or change the service definitions.`,
    );
  }
  const remedy = open.map(({ path, mode }) => `chmod ${mode} ${shellQuote(path)}`).join('; ');
  return warn('files', 'Other users of this machine can read or change some of the files.', `Run: ${remedy}`);
}

function vaultFileRules(path: string): Rule[] {
  return [
    ...foldersAbove(dirname(path)),
    { path: dirname(path), forbidden: OTHERS_ANY, mode: '700' },
    ...['', '-wal', '-shm', '-writers'].map((end) => ({
      path: path + end,
      forbidden: OTHERS_ANY,
      mode: '600',
    })),
  ];
}

function definitionFiles(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
    return names.map((name) => join(folder, name));
  } catch {
    // Missing or not readable, which the check of the services reports.
    return [];
  }
}

/** The folders above, in which others could rename the folder. Where they may not delete files of others, they cannot. */
function foldersAbove(folder: string): Rule[] {
  const parent = dirname(folder);
  if (parent === folder) return [];
  const is_sticky = ((modeOf(parent) ?? 0) & STICKY) !== 0;
  const rule = { path: parent, forbidden: is_sticky ? 0 : ALL_WRITE, mode: 'o-w' };
  return [...foldersAbove(parent), rule];
}

function uniquePaths(rules: readonly Rule[]): Rule[] {
  return [...new Map(rules.map((rule) => [rule.path, rule])).values()];
}

function modeOf(path: string): number | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) && statSync(path, { throwIfNoEntry: false })?.mode;
  } catch {
    return undefined;
  }
}
