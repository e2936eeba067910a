/**
 * Reads the committed frames of a write-ahead log (https://sqlite.org/fileformat2.html#the_write_ahead_log) without SQLite,
 * which would apply them to the vault file.
 */
import { readSync } from 'node:fs';

const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The low bit of the magic number says whether checksums read their input as big-endian words. */
const MAGIC = 0x37_7f_06_82;
const FORMAT_VERSION = 3_007_000;

export interface WalFrame {
  readonly page_number: number;
  readonly page: Buffer;
}

/** The page size that the log has in its header; `undefined` for a log that SQLite ignores. */
export function walPageSize(header: Buffer): number | undefined {
  if (header.length < WAL_HEADER_BYTES) return undefined;
  const magic = header.readUInt32BE(0);
  if ((magic & ~1) >>> 0 !== MAGIC || header.readUInt32BE(4) !== FORMAT_VERSION) return undefined;
  const page_size = header.readUInt32BE(8);
  const [first, second] = checksum(header.subarray(0, 24), (magic & 1) === 1, [0, 0]);
  const is_valid = first === header.readUInt32BE(24) && second === header.readUInt32BE(28);
  return is_valid && page_size >= 512 ? page_size : undefined;
}

export function readWalHeader(file: number): Buffer {
  const header = Buffer.alloc(WAL_HEADER_BYTES);
  return header.subarray(0, readSync(file, header, 0, WAL_HEADER_BYTES, 0));
}

/** The frames of each committed transaction, in order. Ends where SQLite's recovery ends. */
export function* committedTransactions(file: number, header: Buffer): Generator<readonly WalFrame[]> {
  const page_size = walPageSize(header);
  if (page_size === undefined) return;
  const is_big_endian = (header.readUInt32BE(0) & 1) === 1;
  const salts = header.subarray(16, 24);
  let sums: Checksum = [header.readUInt32BE(24), header.readUInt32BE(28)];
  let transaction: WalFrame[] = [];
  const frame_bytes = FRAME_HEADER_BYTES + page_size;
  for (let at = WAL_HEADER_BYTES; ; at += frame_bytes) {
    const frame = Buffer.alloc(frame_bytes);
    if (readSync(file, frame, 0, frame_bytes, at) < frame_bytes) return;
    if (!frame.subarray(8, 16).equals(salts)) return;
    const page = frame.subarray(FRAME_HEADER_BYTES);
    sums = checksum(page, is_big_endian, checksum(frame.subarray(0, 8), is_big_endian, sums));
    if (sums[0] !== frame.readUInt32BE(16) || sums[1] !== frame.readUInt32BE(20)) return;
    transaction.push({ page_number: frame.readUInt32BE(0), page });
    // The size of the database after the commit; zero in the other frames.
    if (frame.readUInt32BE(4) === 0) continue;
    yield transaction;
    transaction = [];
  }
}

type Checksum = readonly [first: number, second: number];

function checksum(bytes: Buffer, is_big_endian: boolean, [first, second]: Checksum): Checksum {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    first = (first + view.getUint32(at, !is_big_endian) + second) >>> 0;
    second = (second + view.getUint32(at + 4, !is_big_endian) + first) >>> 0;
  }
  return [first, second];
}
