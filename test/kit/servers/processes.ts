/** Processes that a server of the kit has started: those of PostgreSQL are not children of the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of the database in this folder; `undefined` if it does not run. */
export function postmasterOf(data: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return pid > 0 && existsSync(`/proc/${pid}`) ? pid : undefined;
  } catch {
    return undefined;
  }
}

export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

/** `undefined` if the process has ended. */
function parentOf(pid: number): number | undefined {
  try {
    // The name in parentheses may contain blanks: proc(5).
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** Does nothing if the process has ended. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {}
}

/**
 * Waits for the end of its standard input. Then ends the processes that have a file of the folder in their command line, in this
 * order: programs that start others again, databases, and after 10 seconds everything else. Removes the folder.
 */
const GUARDIAN = `
cat >/dev/null
each() {
  for process in /proc/[0-9]*; do
    grep -qsF "$0/" "$process/cmdline" || continue
    id=\${process#/proc/}
    if tr '\\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q 'bin/postgres '; then kind=database; else kind=other; fi
    case "$1" in all | $kind) pkill -CONT -P "$id"; kill -CONT "$id"; kill "-$2" "$id"; found=1 ;; esac
  done
}
each other KILL
for _ in $(seq 100); do
  found=
  each database QUIT
  [ -z "$found" ] && break
  sleep 0.1
done
each all KILL
rm -rf "$0"
`;

/** Ends all processes of a folder when the test ends, also when the process of the test is killed. */
export class ProcessGuardian {
  readonly #shell: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(folder: string) {
    // In another session: a signal for the group of the test does not reach it.
    this.#shell = spawn('sh', ['-c', GUARDIAN, folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#exited = new Promise((resolve) => this.#shell.once('close', resolve));
  }

  async end(): Promise<void> {
    this.#shell.stdin?.end();
    await this.#exited;
  }
}
