/**
 * Passes complete lines on and drops those that are too long or not valid UTF-8 (RFC 3629). Without it, the SDK's
 * transport would close the connection at its own limit, and with it every other call.
 */
import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';

const NEWLINE = 0x0a;

export class BoundedLineReader extends Readable {
  readonly #max_bytes: number;
  readonly #onLineDropped: () => void;
  #parts: Buffer[] = [];
  #bytes = 0;
  #is_dropping = false;

  /**
   * Reads `source` from now on. `onLineDropped` is called once for each dropped line. The end of `source` is passed on
   * after `drainCalls` has resolved, because it makes the SDK stop sending responses.
   */
  constructor(
    source: Readable,
    max_bytes: number,
    onLineDropped: () => void,
    drainCalls: () => Promise<void>,
  ) {
    super();
    this.#max_bytes = max_bytes;
    this.#onLineDropped = onLineDropped;
    // Not pipe(), which costs more per message than the response does.
    source.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    source.once('error', (error) => this.destroy(error));
    source.once('end', () => void drainCalls().then(() => this.push(null)));
  }

  /** Lines are pushed when they arrive. */
  override _read(): void {}

  #onChunk(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#append(chunk.subarray(start, end + 1));
      this.#endLine();
      start = end + 1;
    }
    this.#append(chunk.subarray(start));
  }

  #append(part: Buffer): void {
    if (this.#is_dropping || part.length === 0) return;
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes <= this.#max_bytes) return;
    this.#clear();
    this.#is_dropping = true;
    this.#onLineDropped();
  }

  /** Drops a line that is not valid UTF-8: decoding would replace bytes, and store another value than was sent. */
  #endLine(): void {
    if (!this.#is_dropping) {
      const [first] = this.#parts;
      const line = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
      if (isUtf8(line)) this.push(line);
      else this.#onLineDropped();
    }
    this.#clear();
  }

  #clear(): void {
    this.#parts = [];
    this.#bytes = 0;
    this.#is_dropping = false;
  }
}
