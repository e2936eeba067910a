/** Programs of Debian that check the files of `packaging/`. Without one, its tests are skipped; in CI they fail. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

/** Whether the tests of a program are skipped: never in CI. */
export function isMissing(program: string): boolean {
  return (
    process.env.CI === undefined && spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined
  );
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;

/** Runs the program to its end. Rejects only if it cannot be started. */
export async function runExternal(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Output> {
  try {
    const output = await promisify(execFile)(program, args, { ...options, maxBuffer: OUTPUT_MAX_BYTES });
    return { code: 0, ...output };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}
