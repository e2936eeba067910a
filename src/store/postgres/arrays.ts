/**
 * Arrays as binary parameters (PostgreSQL source, array_send): ciphertext crosses the network as it is, not as hexadecimal
 * text. `pg` sends every Buffer as a binary parameter.
 */

/** Object ids of the element types (pg_type.dat). */
const BYTEA = 17;
const INT8 = 20;
const INT4 = 23;
const TEXT = 25;

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;

/** One dimension with the lower bound 1, without nulls. */
function arrayOf(element_type: number, elements: readonly Buffer[]): Buffer {
  let size = HEADER_BYTES;
  for (const element of elements) size += LENGTH_BYTES + element.length;
  const array = Buffer.allocUnsafe(size);
  array.writeInt32BE(elements.length === 0 ? 0 : 1, 0);
  array.writeInt32BE(0, 4);
  array.writeInt32BE(element_type, 8);
  if (elements.length === 0) return array.subarray(0, 12);
  array.writeInt32BE(elements.length, 12);
  array.writeInt32BE(1, 16);
  let offset = HEADER_BYTES;
  for (const element of elements) {
    offset = array.writeInt32BE(element.length, offset);
    offset += element.copy(array, offset);
  }
  return array;
}

export function byteaArray(elements: readonly Buffer[]): Buffer {
  return arrayOf(BYTEA, elements);
}

export function textArray(elements: readonly string[]): Buffer {
  return arrayOf(
    TEXT,
    elements.map((element) => Buffer.from(element)),
  );
}

export function int4Array(elements: readonly number[]): Buffer {
  return arrayOf(
    INT4,
    elements.map((element) => {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32BE(element);
      return bytes;
    }),
  );
}

export function int8Array(elements: readonly number[]): Buffer {
  return arrayOf(
    INT8,
    elements.map((element) => {
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64BE(BigInt(element));
      return bytes;
    }),
  );
}

/** Parses the columns of the store's tables; any other type stays text. */
export function parserOf(type: number): (text: string) => unknown {
  if (type === BYTEA) return (text) => Buffer.from(text.slice(2), 'hex');
  if (type === INT8 || type === INT4) return Number;
  if (type === 16) return (text) => text === 't';
  return (text) => text;
}
