/**
 * Opens the log: JSON lines on stderr, by pino. Never blocks and never throws: if nothing reads stderr, lines are
 * dropped and counted, and one line reports their number once writing works again.
 */
import type { Writable } from 'node:stream';
import { LOG_PENDING_MAX_BYTES } from '../contract/limits.ts';
import type { Logger } from '../contract/logger.ts';
import type { LogLevel } from '../settings/settings.ts';

const LOG_BUFFER_BYTES = 4_096;
/** pino's number for `error`. */
const ERROR_LEVEL = 50;

export interface ProcessLog extends Logger {
  /** The number of lines that were dropped so far. */
  droppedLines(): number;
}

export async function openLogger(level: LogLevel, stderr: Writable = process.stderr): Promise<ProcessLog> {
  const { default: pino } = await import('pino');
  const stream = new LogStream(stderr);
  const lines = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream);
  process.once('exit', () => stream.flush());
  const write = (level: 'debug' | 'info' | 'warn' | 'error'): Logger['info'] => {
    if (!lines.isLevelEnabled(level)) return () => undefined;
    const is_urgent = level === 'warn' || level === 'error';
    return (fields, message) => {
      lines[level](fields, message);
      if (is_urgent) stream.flush();
    };
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    droppedLines: () => stream.dropped_lines,
  };
}

/**
 * Writes the lines of one event-loop iteration together, without waiting: the stream gives the bytes to the pipe at once
 * if they fit, so that they survive a crash, and keeps the rest in memory up to a limit.
 */
class LogStream {
  dropped_lines = 0;
  readonly #stderr: Writable;
  #buffer = '';
  #buffered_lines = 0;
  /** Dropped lines that no line has reported yet. */
  #unreported_lines = 0;
  #is_dropping = false;
  #is_flush_scheduled = false;

  constructor(stderr: Writable) {
    this.#stderr = stderr;
    stderr.on('error', () => undefined);
    stderr.on('drain', () => this.#resume());
  }

  write(line: string): void {
    this.#buffer += line;
    this.#buffered_lines += 1;
    if (this.#buffer.length >= LOG_BUFFER_BYTES) this.flush();
    if (this.#is_flush_scheduled) return;
    this.#is_flush_scheduled = true;
    setImmediate(() => {
      this.#is_flush_scheduled = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#buffered_lines === 0) return;
    const [text, lines] = [this.#buffer, this.#buffered_lines];
    this.#buffer = '';
    this.#buffered_lines = 0;
    if (this.#stderr.writableLength + text.length > LOG_PENDING_MAX_BYTES) this.#is_dropping = true;
    if (this.#is_dropping) this.#count(lines);
    else this.#send(text, lines);
  }

  #resume(): void {
    if (!this.#is_dropping) return;
    this.#is_dropping = false;
    this.#send('', 0);
  }

  #send(text: string, lines: number): void {
    const unreported = this.#unreported_lines;
    this.#unreported_lines = 0;
    const onWritten = (error?: Error | null) => {
      if (!error) return;
      this.#count(lines);
      this.#unreported_lines += unreported;
    };
    try {
      this.#stderr.write(`${reportOf(unreported)}${text}`, onWritten);
    } catch (error) {
      // Node.js 20 throws if stderr is a file on a full disk.
      onWritten(error instanceof Error ? error : new Error('not written'));
    }
  }

  #count(lines: number): void {
    this.dropped_lines += lines;
    this.#unreported_lines += lines;
  }
}

function reportOf(dropped_lines: number): string {
  if (dropped_lines === 0) return '';
  const time = new Date().toISOString();
  const msg = 'dropped log lines: standard error was not read, or could not be written';
  return `${JSON.stringify({ level: ERROR_LEVEL, time, dropped_lines, msg })}\n`;
}
