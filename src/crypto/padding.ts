/**
 * Pads plaintexts before encryption, so that the length of a ciphertext reveals little about the content.
 *
 * Format: the length of the plaintext as an unsigned 32-bit big-endian number, the plaintext, zero bytes up to the size.
 */
import { VaultError } from '../contract/errors.ts';

const LENGTH_BYTES = 4;
const MIN_BYTES = 64;

/** The sizes are powers of two and the halves between them: 64, 96, 128, 192, 256, 384, 512, ... */
export function paddedSize(plaintext_bytes: number): number {
  const needed = Math.max(MIN_BYTES, plaintext_bytes + LENGTH_BYTES);
  const power = 2 ** Math.ceil(Math.log2(needed));
  return needed <= power * 0.75 && power * 0.75 >= MIN_BYTES ? power * 0.75 : power;
}

/** The UTF-8 bytes of `text`, padded. */
export function pad(text: string): Buffer {
  const length = Buffer.byteLength(text);
  // allocUnsafe, since every byte is written: allocating and clearing a buffer would cost more than the rest.
  const padded = Buffer.allocUnsafe(paddedSize(length));
  padded.writeUInt32BE(length, 0);
  padded.write(text, LENGTH_BYTES);
  return padded.fill(0, LENGTH_BYTES + length);
}

/** Throws CORRUPT if length and size do not match, or a padding byte is not zero. */
export function unpad(padded: Buffer): string {
  const length = padded.length < LENGTH_BYTES ? -1 : padded.readUInt32BE(0);
  const end = LENGTH_BYTES + length;
  if (length < 0 || paddedSize(length) !== padded.length || !areZero(padded.subarray(end))) {
    throw new VaultError('CORRUPT', 'A sealed record has a wrong padding.', { reason: 'record_damaged' });
  }
  return padded.toString('utf8', LENGTH_BYTES, end);
}

/** A loop, because a callback per byte takes ten times as long. */
function areZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
