/**
 * Carries the output of a child process to the output of this process, without the values. Waits for a slow reader as the
 * child would, so memory stays bounded. A reader that closes its end closes the child's.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { PatternSet } from '../../egress/redaction/pattern_set.ts';
import { Redactor } from '../../egress/redaction/redactor.ts';

/** A pipe with its file descriptor for the child. */
export interface OutputPipe {
  readonly descriptor: number;
  readonly output: Readable;
}

/**
 * Named pipes for the child's output, made by `mkfifo`. Node.js itself would use sockets, with which a script cannot open
 * /dev/stdout or /dev/stderr. `undefined` if the system has none.
 */
export function openPipes(count: number): readonly OutputPipe[] | undefined {
  if (count === 0) return [];
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), 'keyhold-pipes-'));
    const paths = Array.from({ length: count }, (_, at) => join(folder ?? '', String(at)));
    const env = process.env.PATH === undefined ? {} : { PATH: process.env.PATH };
    const { status } = spawnSync('mkfifo', ['-m', '600', ...paths], { env, stdio: 'ignore' });
    return status === 0 ? paths.map(openPipe) : undefined;
  } catch {
    return undefined;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function openPipe(path: string): OutputPipe {
  // The reader first: a pipe without one cannot be opened for writing.
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const descriptor = openSync(path, constants.O_WRONLY);
  return { descriptor, output: new Socket({ fd: reader, readable: true, writable: false }) };
}

/** Closes the child's ends in this process, so that the output ends when the child's do. */
export function closeDescriptors(pipes: readonly OutputPipe[]): void {
  for (const { descriptor } of pipes) closeSync(descriptor);
}

/** Resolves when everything is written, or `to` is closed. Never rejects: the child's exit code is the result. */
export async function forward(from: Readable, to: Writable, patterns: PatternSet): Promise<void> {
  const redactor = new Redactor(patterns);
  const stop = () => from.destroy();
  const write = (parts: readonly Buffer[]) => {
    for (const part of parts) to.write(part);
    if (!to.writableNeedDrain || from.isPaused()) return;
    from.pause();
    to.once('drain', () => from.resume());
  };
  to.once('close', stop);
  to.on('error', stop);
  if (to.destroyed) stop();
  await new Promise<void>((resolve) => {
    from.on('data', (chunk: Buffer) => write(redactor.write(chunk)));
    from.on('error', stop);
    from.once('close', resolve);
  });
  if (!to.destroyed && !to.writableEnded) {
    write(redactor.end());
    await new Promise<void>((resolve) => {
      to.once('close', resolve);
      to.write('', () => resolve());
    });
  }
  to.off('close', stop);
  to.off('error', stop);
}
