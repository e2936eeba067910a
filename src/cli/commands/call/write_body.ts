/** Writes the body of a response to stdout, or to a file that appears only when it is complete. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, openSync, renameSync, rmSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { ServiceStream } from '../../../contract/call.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { CliContext } from '../../context.ts';
import { isBrokenPipe, outputError, print } from '../../terminal/output.ts';
import { escapeUnprintable } from '../../terminal/terminal_text.ts';

interface BodyOptions {
  readonly output?: string;
  readonly raw?: boolean;
}

/** Shorter bodies need no progress. */
const PROGRESS_FROM_BYTES = 1024 * 1024;
const PROGRESS_EVERY_MS = 200;
const OWNER_ONLY = 0o600;

export async function writeBody(
  context: CliContext,
  { body }: ServiceStream,
  { output, raw }: BodyOptions,
): Promise<void> {
  const progress = new Progress(context);
  try {
    if (output !== undefined) {
      await writeFile(body, output, progress);
      await print(context, `Wrote ${progress.bytes} bytes.`);
    } else await writeStdout(context, body, progress, raw === true);
  } finally {
    progress.end();
    await body.return(undefined);
  }
}

async function writeFile(body: AsyncIterable<Uint8Array>, path: string, progress: Progress): Promise<void> {
  const partial = `${path}.${randomUUID()}`;
  const file = createWriteStream(partial, { fd: openNew(partial) });
  const ended = finished(file);
  ended.catch(() => undefined);
  try {
    for await (const part of body) {
      progress.add(part.length);
      if (!file.write(part)) await Promise.race([once(file, 'drain'), ended]);
    }
    file.end();
    await ended;
    renameSync(partial, path);
  } catch (error) {
    file.destroy();
    rmSync(partial, { force: true });
    if (error instanceof VaultError) throw error;
    throw notWritable(error);
  }
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', OWNER_ONLY);
  } catch (cause) {
    throw notWritable(cause);
  }
}

function notWritable(cause: unknown): VaultError {
  const message = 'The file that --output names cannot be written. Check its folder.';
  return new VaultError('UNAVAILABLE', message, { cause });
}

/** A response must not control the terminal, unless the person wants it to. */
async function writeStdout(
  { stdout }: CliContext,
  body: AsyncIterable<Uint8Array>,
  progress: Progress,
  is_raw: boolean,
): Promise<void> {
  const is_terminal = stdout.isTTY === true && !is_raw;
  const decoder = new TextDecoder();
  for await (const part of body) {
    progress.add(part.length);
    const shown = is_terminal ? escapeLines(decoder.decode(part, { stream: true })) : part;
    if ((await writePart(stdout, shown)) === 'closed') return;
  }
  if (is_terminal) await writePart(stdout, `${escapeLines(decoder.decode())}\n`);
}

function escapeLines(text: string): string {
  return text.replaceAll('\r\n', '\n').split('\t').map(escapeUnprintable).join('\t');
}

function writePart(stream: NodeJS.WritableStream, part: string | Uint8Array): Promise<'written' | 'closed'> {
  return new Promise((resolve, reject) => {
    stream.write(part, (error) => {
      if (error === undefined || error === null) resolve('written');
      else if (isBrokenPipe(error)) resolve('closed');
      else reject(outputError(error));
    });
  });
}

/** A line on stderr with the number of bytes, if stderr is a terminal and the body is long. */
class Progress {
  readonly #stderr: NodeJS.WriteStream;
  #shown_at = 0;
  bytes = 0;

  constructor({ stderr }: CliContext) {
    this.#stderr = stderr;
  }

  add(bytes: number): void {
    this.bytes += bytes;
    if (this.#stderr.isTTY !== true || this.bytes < PROGRESS_FROM_BYTES) return;
    const now = performance.now();
    if (now - this.#shown_at < PROGRESS_EVERY_MS) return;
    this.#shown_at = now;
    this.#stderr.write(`\r${(this.bytes / PROGRESS_FROM_BYTES).toFixed(1)} MiB`);
  }

  end(): void {
    if (this.#shown_at > 0) this.#stderr.write('\r\x1b[K');
  }
}
