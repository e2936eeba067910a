/**
 * Runs the command of a field: without a shell, with PATH and HOME as its environment and nothing of Keyhold, in a process
 * group that is killed at the time limit. Its output is the value; its errors are not shown, since they may contain it.
 */
import { spawn } from 'node:child_process';
import { VALUE_MAX_BYTES } from '../../contract/limits.ts';
import { errnoOf } from '../../io/errno.ts';
import type { CommandSource } from '../../vault/values/value_source.ts';
import { valueError } from './value_error.ts';

const COMMAND_TIMEOUT_MS = 30_000;

export interface CommandOptions {
  /** Only PATH and HOME of it reach the command. */
  readonly env: NodeJS.ProcessEnv;
  /** Shorter in tests. */
  readonly timeout_ms?: number;
}

type Ending =
  | { readonly what: 'output'; readonly text: string }
  | { readonly what: 'exit'; readonly code: number | null }
  | { readonly what: 'not_started' | 'too_long' | 'too_late' };

/**
 * Runs the command of a field, and returns its output without its last line end. Rejects with UPSTREAM if the command
 * cannot be started, fails, or exceeds the limit of time or bytes; the message has the exit code and no output.
 */
export async function runCommand(
  field_id: string,
  source: CommandSource,
  { env, timeout_ms = COMMAND_TIMEOUT_MS }: CommandOptions,
): Promise<string> {
  const ending = await run(source, { PATH: env.PATH, HOME: env.HOME }, timeout_ms);
  if (ending.what === 'output') return ending.text.replace(/\r?\n$/, '');
  throw valueError('UPSTREAM', field_id, `comes from a command, which ${describe(ending)}.`);
}

function describe(ending: Exclude<Ending, { what: 'output' }>): string {
  if (ending.what === 'exit')
    return ending.code === null ? 'was killed by a signal' : `failed with exit code ${ending.code}`;
  if (ending.what === 'not_started') return 'could not be started. Set it again with `keyhold update`';
  return ending.what === 'too_late' ? 'did not end in time' : 'printed more than a value can have';
}

function run({ program, args }: CommandSource, env: NodeJS.ProcessEnv, timeout_ms: number): Promise<Ending> {
  return new Promise((resolve) => {
    // Its own process group, so that its children are killed too.
    const child = startCommand(program, args, env);
    if (child === undefined) return resolve({ what: 'not_started' });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (ending: Ending) => {
      clearTimeout(timer);
      const is_running = ending.what === 'too_late' || ending.what === 'too_long';
      if (is_running && child.pid !== undefined) killGroup(child.pid);
      child.stdout.destroy();
      resolve(ending);
    };
    const timer = setTimeout(() => end({ what: 'too_late' }), timeout_ms);
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > VALUE_MAX_BYTES) end({ what: 'too_long' });
    });
    child.once('error', () => end({ what: 'not_started' }));
    child.once('close', (code) =>
      end(code === 0 ? { what: 'output', text: Buffer.concat(chunks).toString() } : { what: 'exit', code }),
    );
  });
}

/** `undefined` if the system refuses at once, as it does for arguments that are too large. */
function startCommand(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  try {
    return spawn(program, args, { env, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  } catch {
    // Without the cause, which may quote an argument.
    return undefined;
  }
}

/** The group may have ended (ESRCH), or belong to another user, as that of sudo does (EPERM): it is left to end by itself. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    const code = errnoOf(error);
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
