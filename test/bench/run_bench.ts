/** How much later `keyhold run` starts a command than a bare spawn does. */
import { spawn } from 'node:child_process';
import { atMost, inMilliseconds, median, type Row } from './report.ts';
import type { Programs } from './stdio_bench.ts';

const STARTS = 15;
const LATER_MAX_MS = 150;

/** Until the command has printed something: its start, not its end. */
function startTime(program: string, args: readonly string[], home: string): Promise<number> {
  const began = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, KEYHOLD_HOME: home },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.stdout.once('data', () => resolve(performance.now() - began));
    child.once('close', (code) => code !== 0 && reject(new Error(`the command ended with ${code}`)));
  });
}

/** The home has a credential of `linear` without a name. */
export async function benchRun({ keyhold, home }: Programs): Promise<Row[]> {
  const command = ['/bin/sh', '-c', 'echo started'] as const;
  const times = { bare: [] as number[], run: [] as number[] };
  for (let round = 0; round < STARTS; round++) {
    times.bare.push(await startTime(command[0], command.slice(1), home));
    times.run.push(
      await startTime(process.execPath, [keyhold, 'run', '--service', 'linear', '--', ...command], home),
    );
  }
  const [run, bare] = [median(times.run), median(times.bare)];
  return [
    atMost(
      `keyhold run starts a command, of bare spawn + ${LATER_MAX_MS} ms`,
      run / (bare + LATER_MAX_MS),
      1,
      inMilliseconds(run),
      inMilliseconds(bare),
    ),
  ];
}
