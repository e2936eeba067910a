/**
 * Writes to the streams: data to stdout, everything else to stderr. A reader that closes the pipe early, such as `head`, is no
 * failure.
 */
import { VaultError } from '../../contract/errors.ts';
import { errnoOf } from '../../io/errno.ts';
import type { CliContext } from '../context.ts';

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
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error === undefined || error === null || isBrokenPipe(error)) resolve();
      else reject(outputError(error));
    });
  });
}

/** Prints data for people. */
export function print(context: CliContext, text: string): Promise<void> {
  return write(context.stdout, `${text}\n`);
}

/** Prints data for programs: JSON, indented by two spaces. */
export function printJson(context: CliContext, value: unknown): Promise<void> {
  return write(context.stdout, `${JSON.stringify(value, null, 2)}\n`);
}

/** Prints a message that is not part of the data. */
export function note(context: CliContext, text: string): Promise<void> {
  return write(context.stderr, `${text}\n`);
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof CODES;
export type Paint = (style: Style, text: string) => string;

/** Colours for stdout; none in a pipe, with NO_COLOR (https://no-color.org) or on a dumb terminal. */
export function paintFor({ stdout, env }: Pick<CliContext, 'stdout' | 'env'>): Paint {
  const plain = stdout.isTTY !== true || (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
  return plain ? (_style, text) => text : (style, text) => `\u001b[${CODES[style]}m${text}\u001b[0m`;
}

/** The examples at the end of a command's help: lines that a reader can copy. */
export function examples(...lines: readonly string[]): string {
  return `\n${lines.length === 1 ? 'Example' : 'Examples'}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

/** Quotes an argument for a POSIX shell (POSIX.1-2017, Shell Command Language, section 2.2.2). */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_.,:@%/+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
