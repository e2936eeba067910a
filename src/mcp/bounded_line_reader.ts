/**
 * Splits standard input into lines, and drops those that are too long or not valid UTF-8 (RFC 3629). Without the limit, a
 * line without an end would fill the memory. Skips a byte order mark before the first line.
 */
import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';

const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

export interface LineReaderOptions {
  readonly max_bytes: number;
  /** Called with each line, without its end. */
  readonly onLine: (line: string) => void;
  /** Called once for each dropped line. */
  readonly onLineDropped: (reason: 'too_long' | 'not_utf8') => void;
  /** The end of the input is passed on after this has resolved, because it makes the SDK stop sending responses. */
  readonly drainCalls: () => Promise<void>;
}

/** As a stream it has no data; it reports the end and the errors of its source. */
export class BoundedLineReader extends Readable {
  readonly #options: LineReaderOptions;
  #parts: Buffer[] = [];
  #bytes = 0;
  #is_dropping = false;
  #is_first = true;

  /** Reads `source` from now on. */
  constructor(source: Readable, options: LineReaderOptions) {
    super();
    this.#options = options;
    // Not pipe(), which costs more per message than the response does.
    source.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    source.once('error', (error) => this.destroy(error));
    source.once('end', () => void options.drainCalls().then(() => this.push(null)));
  }

  override _read(): void {}

  #onChunk(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#append(chunk.subarray(start, end));
      this.#endLine();
      start = end + 1;
    }
    this.#append(chunk.subarray(start));
  }

  #append(part: Buffer): void {
    if (this.#is_dropping || part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#options.max_bytes) return;
    this.#clear();
    this.#is_dropping = true;
    this.#options.onLineDropped('too_long');
  }

  /** Drops a line that is not valid UTF-8: decoding would replace bytes, and store another value than was sent. */
  #endLine(): void {
    if (!this.#is_dropping) {
      const [first] = this.#parts;
      const line = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
      this.#clear();
      if (isUtf8(line)) this.#options.onLine(this.#withoutMark(line).toString());
      else this.#options.onLineDropped('not_utf8');
    }
    this.#clear();
    this.#is_first = false;
  }

  /** Windows PowerShell 5.1 writes a byte order mark before what it pipes to a program. */
  #withoutMark(line: Buffer): Buffer {
    const has_mark = this.#is_first && line.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
    return has_mark ? line.subarray(BYTE_ORDER_MARK.length) : line;
  }

  #clear(): void {
    this.#parts = [];
    this.#bytes = 0;
    this.#is_dropping = false;
  }
}
