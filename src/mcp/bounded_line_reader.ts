/**
 * Passes whole lines on and drops those that are too long or not UTF-8 (RFC 3629): past its own limit the SDK's transport would give up the
 * connection, and with it every other request.
 */
import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';

const NEWLINE = 0x0a;

export class BoundedLineReader extends Readable {
  readonly #max_bytes: number;
  readonly #dropped: () => void;
  #held: Buffer[] = [];
  #held_bytes = 0;
  #dropping = false;

  /**
   * Takes what `source` reads from now on. `dropped` is told of every line that is not passed on, once. The end is
   * passed on when `settled` has resolved: with it the SDK stops answering, also what was asked before.
   */
  constructor(source: Readable, max_bytes: number, dropped: () => void, settled: () => Promise<void>) {
    super();
    this.#max_bytes = max_bytes;
    this.#dropped = dropped;
    // By hand and not through a pipe, which costs each message more than to answer it.
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.once('error', (error) => this.destroy(error));
    source.once('end', () => void settled().then(() => this.push(null)));
  }

  /** Lines come when they come. */
  override _read(): void {}

  #take(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#hold(chunk.subarray(start, end + 1));
      this.#pass();
      this.#dropping = false;
      this.#forget();
      start = end + 1;
    }
    this.#hold(chunk.subarray(start));
  }

  #hold(part: Buffer): void {
    if (this.#dropping || part.length === 0) return;
    this.#held.push(part);
    this.#held_bytes += part.length;
    if (this.#held_bytes <= this.#max_bytes) return;
    this.#dropping = true;
    this.#forget();
    this.#dropped();
  }

  /** What is not UTF-8 would come out changed, and a value would be stored that is not the one that was sent. */
  #pass(): void {
    if (this.#dropping) return;
    const [first] = this.#held;
    const line = this.#held.length === 1 && first !== undefined ? first : Buffer.concat(this.#held);
    if (isUtf8(line)) this.push(line);
    else this.#dropped();
  }

  #forget(): void {
    this.#held = [];
    this.#held_bytes = 0;
  }
}
