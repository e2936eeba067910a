/** Starts nodes that write to one vault: processes of `load_program.ts`, which end with the test. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { LoadLine, LoadStart } from './load_program.ts';

export type Acknowledged = Extract<LoadLine, { event: 'acknowledged' }> & { readonly at_ms: number };
export type Refused = Extract<LoadLine, { event: 'refused' }>;

export interface LoadNode {
  /** In the order in which the lines came, with the time by `performance.now()` of this process. */
  readonly acknowledged: readonly Acknowledged[];
  readonly refused: readonly Refused[];
  begin(): void;
  /** Resolves when every caller has ended its last write. Rejects if the process has failed. */
  end(): Promise<void>;
}

/** Resolves when the node has opened the vault. */
export async function startLoadNode(program: string, start: LoadStart): Promise<LoadNode> {
  const child = spawn(process.execPath, [program, JSON.stringify(start)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const acknowledged: Acknowledged[] = [];
  const refused: Refused[] = [];
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve, reject) => {
    void exited.then(() => reject(new Error(`the node ended: ${stderr}`)));
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line: LoadLine = JSON.parse(text);
      if (line.event === 'ready') resolve();
      else if (line.event === 'refused') refused.push(line);
      else acknowledged.push({ ...line, at_ms: performance.now() });
    });
  });
  return {
    acknowledged,
    refused,
    begin: () => void child.stdin.write('begin\n'),
    async end() {
      child.stdin.end();
      const code = await exited;
      if (code !== 0) throw new Error(`the node ended with ${code}: ${stderr}`);
    },
  };
}
