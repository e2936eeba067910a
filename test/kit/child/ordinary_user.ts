/**
 * Runs the built program as a user other than root, because root ignores file permissions. If the tests run as root,
 * the user is `nobody`, with a copy of the program if this user cannot read the original.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { removeFolder } from '../remove_folder.ts';
import { type Finished, PROGRAM } from './built_program.ts';

const SYSTEM_USER_ID = 65_534;
/** Packages that are not bundled into the program, and their dependencies. */
const PACKAGES = ['better-sqlite3', 'bindings', 'file-uri-to-path', 'zod'];

export interface OrdinaryUser {
  /** An empty folder of this user, removed when the test ends. */
  newFolder(): string;
  /** Changes the owner of a file or folder to this user. */
  give(path: string): void;
  start(args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess;
  run(args: readonly string[], env: NodeJS.ProcessEnv, input?: string): Promise<Finished>;
}

export const NO_USER = 'no ordinary user can run the program here, so this was not tested';

/** Determined once per test file. */
let can_run_original: boolean | undefined;

/** `undefined` if no such user is available, for example on Windows. */
export function ordinaryUser(): OrdinaryUser | undefined {
  if (process.getuid === undefined) return undefined;
  const ids = process.getuid() === 0 ? { uid: SYSTEM_USER_ID, gid: SYSTEM_USER_ID } : {};
  can_run_original ??= canRun(PROGRAM, ids);
  const program = can_run_original ? PROGRAM : copyOfProgram();
  if (!can_run_original && !canRun(program, ids)) return undefined;
  const start = (args: readonly string[], env: NodeJS.ProcessEnv) => {
    const child = spawn(process.execPath, [program, ...args], {
      ...ids,
      env: { PATH: process.env.PATH, HOME: '/nonexistent', ...env },
      cwd: '/',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const give = (path: string) => {
    if (ids.uid !== undefined) chownSync(path, ids.uid, ids.gid);
  };
  return {
    start,
    give,
    newFolder: () => {
      const folder = mkdtempSync(join(tmpdir(), 'keyhold-user-'));
      give(folder);
      onTestFinished(() => removeFolder(folder));
      return folder;
    },
    run: (args, env, input = '') => toItsEnd(start(args, env), input),
  };
}

function canRun(program: string, ids: { readonly uid?: number; readonly gid?: number }): boolean {
  const { status } = spawnSync(process.execPath, [program, '--version'], { ...ids, cwd: '/', env: {} });
  return status === 0;
}

function copyOfProgram(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyhold-copy-'));
  chmodSync(folder, 0o755);
  onTestFinished(() => removeFolder(folder));
  cpSync(dirname(PROGRAM), join(folder, 'dist'), { recursive: true });
  for (const name of PACKAGES) {
    const target = join(folder, 'node_modules', name);
    mkdirSync(dirname(target), { recursive: true });
    const source = dirname(createRequire(PROGRAM).resolve(`${name}/package.json`));
    // The sources of the driver are large and not needed at run time.
    cpSync(source, target, {
      recursive: true,
      filter: (path) => !/\/(?:deps|src|obj|obj\.target)$/.test(path),
    });
  }
  return join(folder, 'dist', 'keyhold.js');
}

async function toItsEnd(child: ChildProcess, input: string): Promise<Finished> {
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
    });
  }
  child.stdin?.on('error', () => undefined).end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...text }));
  });
}
