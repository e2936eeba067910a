/** Writes the body of a response to stdout or to a file. */
import type { ServiceStream } from '../../../contract/use/call.ts';
import type { CliContext } from '../../context.ts';
import { isBrokenPipe, outputError, print } from '../../terminal/output.ts';
import { escapeUnprintable } from '../../terminal/terminal_text.ts';
import type { OutputFile } from './output_file.ts';

interface BodyOptions {
  /** Instead of stdout. */
  readonly file: OutputFile | undefined;
  /** Whether control characters are written to a terminal too. */
  readonly is_raw: boolean;
}

/** Shorter bodies need no progress. */
const PROGRESS_FROM_BYTES = 1024 * 1024;
const PROGRESS_EVERY_MS = 200;

export async function writeBody(
  context: CliContext,
  { body }: ServiceStream,
  { file, is_raw }: BodyOptions,
): Promise<void> {
  // On a terminal, the body itself shows the progress.
  const progress = new Progress(context, file !== undefined || context.stdout.isTTY !== true);
  try {
    const parts = progress.of(body);
    if (file === undefined) return await writeStdout(context, parts, is_raw);
    await file.write(parts);
    progress.end();
    await print(context, `Wrote ${progress.bytes} bytes.`);
  } finally {
    progress.end();
    await body.return(undefined);
  }
}

/** A response must not control the terminal, unless the person wants it to. */
async function writeStdout(
  { stdout }: CliContext,
  body: AsyncIterable<Uint8Array>,
  is_raw: boolean,
): Promise<void> {
  if (stdout.isTTY !== true || is_raw) {
    for await (const part of body) if ((await writePart(stdout, part)) === 'closed') return;
    return;
  }
  const decoder = new TextDecoder();
  let is_line_open = false;
  const writeText = (text: string) => {
    if (text !== '') is_line_open = !text.endsWith('\n');
    return writePart(stdout, escapeLines(text));
  };
  try {
    for await (const part of body)
      if ((await writeText(decoder.decode(part, { stream: true }))) === 'closed') return;
    await writeText(decoder.decode());
  } finally {
    // What follows, such as an error, starts on its own line.
    if (is_line_open) await writeText('\n');
  }
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
  readonly #is_shown: boolean;
  #shown_at = 0;
  bytes = 0;

  constructor({ stderr }: CliContext, is_wanted: boolean) {
    this.#stderr = stderr;
    this.#is_shown = is_wanted && stderr.isTTY === true;
  }

  /** The same parts, counted. */
  async *of(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const part of parts) {
      this.bytes += part.length;
      this.#show();
      yield part;
    }
  }

  #show(): void {
    if (!this.#is_shown || this.bytes < PROGRESS_FROM_BYTES) return;
    const now = performance.now();
    if (now - this.#shown_at < PROGRESS_EVERY_MS) return;
    this.#shown_at = now;
    this.#stderr.write(`\r${(this.bytes / PROGRESS_FROM_BYTES).toFixed(1)} MiB`);
  }

  /** Removes the line. */
  end(): void {
    if (this.#shown_at > 0) this.#stderr.write('\r\x1b[K');
    this.#shown_at = 0;
  }
}
