/**
 * Pads a plaintext before it is sealed, so that the length of a sealed part tells little about what is in it.
 *
 * Form: the length of the plaintext as an unsigned 32-bit big-endian number, the plaintext, zero bytes up to the size.
 */
import { VaultError } from '../contract/errors.ts';

const LENGTH_BYTES = 4;
const SMALLEST_BYTES = 64;

/** The sizes are powers of two and the halves between them: 64, 96, 128, 192, 256, 384, 512, ... */
export function paddedSize(plaintext_bytes: number): number {
  const needed = Math.max(SMALLEST_BYTES, plaintext_bytes + LENGTH_BYTES);
  const power = 2 ** Math.ceil(Math.log2(needed));
  return needed <= power * 0.75 && power * 0.75 >= SMALLEST_BYTES ? power * 0.75 : power;
}

export function pad(plaintext: Buffer): Buffer {
  const padded = Buffer.alloc(paddedSize(plaintext.length));
  padded.writeUInt32BE(plaintext.length, 0);
  plaintext.copy(padded, LENGTH_BYTES);
  return padded;
}

/** Throws CORRUPT where the length or the size is not one that `pad` makes, or a padding byte is not zero. */
export function unpad(padded: Buffer): Buffer {
  const length = padded.length < LENGTH_BYTES ? -1 : padded.readUInt32BE(0);
  if (length < 0 || paddedSize(length) !== padded.length) {
    throw new VaultError('CORRUPT', 'A sealed record has a wrong padding.', { reason: 'record_damaged' });
  }
  for (let at = LENGTH_BYTES + length; at < padded.length; at++) {
    if (padded[at] !== 0) {
      throw new VaultError('CORRUPT', 'A sealed record has a wrong padding.', { reason: 'record_damaged' });
    }
  }
  return padded.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
}
