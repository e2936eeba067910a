/** The cost of the key derivation of an encrypted PKCS#8 key (RFC 8018, RFC 7914), so that no key blocks the process. */

const INTEGER = 0x02;
const SEQUENCE = 0x30;

/**
 * The product of all numbers in the algorithm parameters: iterations of PBKDF2, or N, r and p of scrypt, times the length of
 * the key if it is stated. Infinite for bytes that are not DER.
 */
export function derivationCost(der: Buffer): number {
  const whole = elementsOf(der)?.[0];
  const algorithm = whole && elementsOf(whole.content)?.[0];
  return algorithm?.tag === SEQUENCE ? product(algorithm.content) : Number.POSITIVE_INFINITY;
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

function product(content: Buffer): number {
  const elements = elementsOf(content);
  if (elements === undefined) return Number.POSITIVE_INFINITY;
  return elements.reduce((cost, { tag, content: inner }) => {
    if (tag === SEQUENCE) return cost * product(inner);
    // Longer ones are infinite.
    return tag === INTEGER ? cost * Math.max(1, Number.parseInt(inner.toString('hex'), 16)) : cost;
  }, 1);
}

/** ITU-T X.690: tag, length, content. */
function elementsOf(bytes: Buffer): Element[] | undefined {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    let start = at + 2;
    if (length >= 0x80) {
      const size = length - 0x80;
      if (size < 1 || size > 3 || start + size > bytes.length) return undefined;
      length = bytes.readUIntBE(start, size);
      start += size;
    }
    if (start + length > bytes.length) return undefined;
    elements.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}
