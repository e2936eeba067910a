/** Lists the other processes that have the vault open. This is normal: every MCP client starts its own server. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { promisify } from 'node:util';
import { type Finding, ok } from './finding.ts';

const CHECK = 'processes';
const LSOF_TIMEOUT_MS = 5_000;
const SHOWN_MAX = 10;

/** Never fails: other processes are information, not a problem. */
export async function checkProcesses(store_path: string): Promise<Finding> {
  let path: string;
  try {
    path = realpathSync(store_path);
  } catch {
    return ok(CHECK, 'None: there is no vault file.');
  }
  const holders = process.platform === 'linux' ? linuxHolders(path) : await lsofHolders(path);
  if (holders === undefined)
    return ok(CHECK, 'Other processes that have the vault open cannot be listed on this system.');
  const others = holders.filter(({ pid }) => pid !== process.pid);
  if (others.length === 0) return ok(CHECK, 'No other process of yours has the vault open.');
  const shown = others
    .slice(0, SHOWN_MAX)
    .map(({ pid, name }) => (name === '' ? `${pid}` : `${pid} (${name})`));
  const more = others.length > shown.length ? ', ...' : '';
  return ok(
    CHECK,
    `${others.length} other${others.length === 1 ? ' has' : 's have'} the vault open: ${shown.join(', ')}${more}`,
  );
}

interface Holder {
  readonly pid: number;
  readonly name: string;
}

/** Reads the links in /proc/PID/fd (proc(5)); those of other users cannot be read and are skipped. */
function linuxHolders(path: string): Holder[] {
  return readFolder('/proc')
    .filter(
      (name) =>
        /^\d+$/.test(name) &&
        readFolder(`/proc/${name}/fd`).some((fd) => readLink(`/proc/${name}/fd/${fd}`) === path),
    )
    .map((name) => ({ pid: Number(name), name: commandName(name) }));
}

function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function commandName(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Runs lsof(8); returns undefined if it is missing. It exits with 1 if no process has the file open. */
async function lsofHolders(path: string): Promise<Holder[] | undefined> {
  try {
    const { stdout } = await promisify(execFile)('lsof', ['-t', '--', path], { timeout: LSOF_TIMEOUT_MS });
    return stdout
      .split('\n')
      .flatMap((line) => (/^\d+$/.test(line) ? [{ pid: Number(line), name: '' }] : []));
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 1 ? [] : undefined;
  }
}
