/**
 * Files with values for a child process: readable by this user only, and removed when the run ends, also by `process.exit`.
 * Files of a run that was killed are removed by the next run that writes files.
 */
import { lstatSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VaultError } from '../../contract/errors.ts';

const FOLDER_PATTERN = /^keyhold-run-(\d+)-/;

export class PrivateFiles {
  readonly #parent: string;
  #folder: string | undefined;
  readonly #removeAtExit = () => this.remove();

  /** Creates nothing yet. */
  constructor(env: NodeJS.ProcessEnv) {
    this.#parent = parentFolder(env);
  }

  /** Writes a file and returns its path. Throws UNAVAILABLE if it cannot be written. */
  write(name: string, text: string): string {
    try {
      const path = join(this.folder(), name);
      writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
      return path;
    } catch (cause) {
      this.remove();
      throw new VaultError(
        'UNAVAILABLE',
        'A private file for the command could not be written. Check the free space and the permissions of the folder for temporary files. Nothing was started.',
        { cause },
      );
    }
  }

  /** The folder of the files, mode 0700. Created by the first call. */
  folder(): string {
    if (this.#folder === undefined) {
      removeAbandoned(this.#parent);
      this.#folder = mkdtempSync(join(this.#parent, `keyhold-run-${process.pid}-`));
      process.once('exit', this.#removeAtExit);
    }
    return this.#folder;
  }

  /** Removes all files. Never throws. */
  remove(): void {
    if (this.#folder === undefined) return;
    removeFolder(this.#folder);
    this.#folder = undefined;
    process.off('exit', this.#removeAtExit);
  }
}

/** XDG_RUNTIME_DIR is in memory and private to the user (XDG Base Directory Specification). */
function parentFolder({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv): string {
  if (XDG_RUNTIME_DIR === undefined || !XDG_RUNTIME_DIR.startsWith('/')) return tmpdir();
  const folder = statSync(XDG_RUNTIME_DIR, { throwIfNoEntry: false });
  const is_usable = folder?.isDirectory() === true && folder.uid === process.getuid?.();
  return is_usable ? XDG_RUNTIME_DIR : tmpdir();
}

function removeAbandoned(parent: string): void {
  try {
    for (const name of readdirSync(parent)) {
      const [, pid] = FOLDER_PATTERN.exec(name) ?? [];
      if (pid === undefined || isRunning(Number(pid))) continue;
      const { uid } = lstatSync(join(parent, name));
      if (process.getuid === undefined || uid === process.getuid()) removeFolder(join(parent, name));
    }
  } catch {
    // A later run tries again.
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

function removeFolder(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // The next run removes it.
  }
}
