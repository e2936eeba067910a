/** The doctor's look at the machine: the version of Node and the room on the disk. */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Finding, fail, ok, warn } from './finding.ts';

const NODE_MIN: readonly [major: number, minor: number] = [20, 12];
/** When a major stops being mended (https://github.com/nodejs/release). Newer ones than these are not judged. */
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

const MIB = 1024 * 1024;
const FREE_WARN_BYTES = 100 * MIB;
const FREE_FAIL_BYTES = 5 * MIB;

/** Room for the vault to grow, where `home` is or would be made. */
export async function checkDisk(home: string): Promise<Finding> {
  let folder = home;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    const { bavail, bsize } = await statfs(folder);
    return judgeFreeSpace(bavail * bsize);
  } catch {
    return warn(
      'disk',
      'The free space of the disk cannot be told.',
      'Check that your user may use the home folder.',
    );
  }
}

export function judgeFreeSpace(free_bytes: number): Finding {
  const message = `${Math.floor(free_bytes / MIB)} MiB are free.`;
  const remedy = 'Free some space: a full disk refuses every write.';
  if (free_bytes < FREE_FAIL_BYTES) return fail('disk', 'UNAVAILABLE', message, remedy);
  return free_bytes < FREE_WARN_BYTES ? warn('disk', message, remedy) : ok('disk', message);
}
