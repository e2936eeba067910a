/**
 * Writes to the streams: data to stdout, everything else to stderr. A reader that closes the pipe early, such as `head`, is no
 * failure.
 */
import { VaultError } from '../../contract/errors.ts';
import { errnoOf } from '../../io/errno.ts';
import type { CliContext } from '../context.ts';
import { type Part, renderLines, toJson } from './terminal_text.ts';

const BROKEN_PIPE_CODES = new Set(['EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END', 'EOF']);

/** Whether a write failed because the reader closed the pipe. */
export function isBrokenPipe(error: unknown): boolean {
  return BROKEN_PIPE_CODES.has(errnoOf(error) ?? '');
}

export function outputError(cause: unknown): VaultError {
  return new VaultError('UNAVAILABLE', 'The output could not be written. Is the disk full?', { cause });
}

/** Resolves when the text is written or the pipe is closed. Otherwise rejects with UNAVAILABLE. */
export function write(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return writeText(isBrokenPipe, stream, text);
}

/** Resolves when the text is written. Rejects with UNAVAILABLE if not, also for a closed pipe: for text that is shown only once. */
export function writeOnce(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return writeText(() => false, stream, text);
}

/** Ignores the errors that `isIgnored` returns true for. */
function writeText(
  isIgnored: (error: Error) => boolean,
  stream: NodeJS.WritableStream,
  text: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error === undefined || error === null || isIgnored(error)) resolve();
      else reject(outputError(error));
    });
  });
}

/** Prints data for people, in one line or several. Control characters in strings are replaced, line ends too. */
export function print(context: CliContext, lines: Part | readonly Part[]): Promise<void> {
  return write(context.stdout, `${renderLines(lines)}\n`);
}

/** Prints data for programs: JSON, indented by two spaces. */
export function printJson(context: CliContext, value: unknown): Promise<void> {
  return write(context.stdout, `${toJson(value)}\n`);
}

/**
 * Prints a message that is not part of the data. Control characters are replaced as by `print`. Never rejects: a message
 * that cannot be written must not keep the data from being printed.
 */
export async function note(context: CliContext, lines: Part | readonly Part[]): Promise<void> {
  const written = write(context.stderr, `${renderLines(lines)}\n`);
  await written.catch(() => {});
}

/** The examples at the end of a command's help: lines that a reader can copy. */
export function examples(...lines: readonly string[]): string {
  return `\n${lines.length === 1 ? 'Example' : 'Examples'}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
