/** Reads from the socket of a probe: lines, and bytes of a known size. All that it keeps in memory is bounded. */
import type { Socket } from 'node:net';

const LINE_MAX_BYTES = 64 * 1024;
const BYTES_MAX = 1024 * 1024;

/** One for each socket, for its whole life. Every read rejects with the error of the socket, or when the server closes it. */
export class SocketReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  /** The next line, without its line break. */
  async line(): Promise<string> {
    let end = this.#buffer.indexOf('\n');
    while (end < 0) {
      if (this.#buffer.length > LINE_MAX_BYTES) throw new Error('the line is too long');
      await this.#receive();
      end = this.#buffer.indexOf('\n');
    }
    return this.#take(end + 1)
      .toString('utf8')
      .replace(/\r?\n$/, '');
  }

  async bytes(count: number): Promise<Buffer> {
    if (!Number.isInteger(count) || count < 0 || count > BYTES_MAX) throw new Error('the size is invalid');
    while (this.#buffer.length < count) await this.#receive();
    return this.#take(count);
  }

  #take(count: number): Buffer {
    const taken = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    return taken;
  }

  async #receive(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) throw Object.assign(new Error('closed'), { code: 'ECONNRESET' });
    this.#buffer = Buffer.concat([this.#buffer, value]);
  }
}

/** For the fact `tls`: the protocol, such as `TLSv1.3`, or `none`. */
export function encryptionOf(socket: Socket): string {
  const getProtocol: unknown = Reflect.get(socket, 'getProtocol');
  return typeof getProtocol === 'function' ? String(getProtocol.call(socket)) : 'none';
}
