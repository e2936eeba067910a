/** Runs a command line in a real terminal, which `script` of util-linux creates. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts');
/** The program from its source: each start compiles it with tsx, which takes seconds on a busy machine. */
export const SOURCE_PROGRAM = `${process.execPath} --import tsx ${MAIN}`;

export const HAS_SCRIPT: boolean =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true;

/** A text to type after its prompt is shown. */
export type Typed = readonly [prompt: RegExp, keys: string];

/** Types each text after its prompt. Resolves when the command line has ended. */
export async function runInTerminal(
  line: string,
  typed: readonly Typed[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number | null; readonly shown: string }> {
  const child: ChildProcessWithoutNullStreams = spawn('script', ['-qec', line, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', ...env },
  });
  let shown = '';
  let read_length = 0;
  const remaining = [...typed];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    const [next] = remaining;
    if (next === undefined || !next[0].test(shown.slice(read_length))) return;
    remaining.shift();
    read_length = shown.length;
    setTimeout(() => child.stdin.write(next[1]), 100);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, shown };
}
