/** Reads a backup from a stream of bytes. Every part is authenticated before it is returned, and the last one has to arrive. */
import { damagedStream, SecretStreamReader, STREAM_HEADER_BYTES } from '../../crypto/secret_stream.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import { type BackupHeader, parseHeader } from './format.ts';
import { type BackupPart, decodePart } from './parts.ts';

const HEADER_LINE_MAX_BYTES = 64 * 1024;
/** A page of records with one record at the limit of its size. */
const PART_MAX_BYTES = 64 * 1024 * 1024;
const LINE_END = 0x0a;

export class BackupReader {
  readonly #bytes: ByteReader;
  readonly #lines: Buffer;
  readonly header: BackupHeader;

  private constructor(bytes: ByteReader, lines: Buffer, header: BackupHeader) {
    this.#bytes = bytes;
    this.#lines = lines;
    this.header = header;
  }

  /** Reads the header. Rejects as `parseHeader`. */
  static async open(source: AsyncIterable<Buffer>): Promise<BackupReader> {
    const bytes = new ByteReader(source);
    const first = await bytes.line(HEADER_LINE_MAX_BYTES);
    const second = await bytes.line(HEADER_LINE_MAX_BYTES);
    const header = parseHeader(first.toString().trimEnd(), second.toString());
    return new BackupReader(bytes, Buffer.concat([first, second]), header);
  }

  /** All parts in order. Rejects with CORRUPT at a part that was changed, moved or cut off. */
  async *parts(sodium: LoadedSodium, key: Buffer): AsyncGenerator<BackupPart, void> {
    const stream = new SecretStreamReader(
      sodium,
      key,
      await this.#bytes.take(STREAM_HEADER_BYTES),
      this.#lines,
    );
    while (!stream.has_ended) {
      const length = (await this.#bytes.take(4)).readUInt32BE();
      if (length > PART_MAX_BYTES) throw damagedStream();
      yield decodePart(stream.decrypt(await this.#bytes.take(length)));
    }
    if (!(await this.#bytes.isAtEnd())) throw damagedStream();
  }
}

class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #chunks: Buffer[] = [];
  #available = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Rejects with CORRUPT if the source ends before. */
  async take(length: number): Promise<Buffer> {
    while (this.#available < length) if (!(await this.#readMore())) throw damagedStream();
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(length)];
    this.#available = all.length - length;
    return all.subarray(0, length);
  }

  /** With its line end; all that there is, up to `max` bytes, if there is no line end. */
  async line(max: number): Promise<Buffer> {
    for (;;) {
      const all = Buffer.concat(this.#chunks);
      const end = all.indexOf(LINE_END) + 1;
      if (end > 0) return this.take(end);
      if (all.length >= max || !(await this.#readMore())) return this.take(Math.min(all.length, max));
    }
  }

  async isAtEnd(): Promise<boolean> {
    return this.#available === 0 && !(await this.#readMore());
  }

  async #readMore(): Promise<boolean> {
    const { done, value } = await this.#source.next();
    if (done === true) return false;
    this.#chunks.push(value);
    this.#available += value.length;
    return true;
  }
}
