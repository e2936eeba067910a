/**
 * Finds short values, such as a PIN, where they are whole tokens: no letter, digit, "_" or "-" is next to them. Inside of
 * words and numbers they are coincidences.
 */

const TOKEN_CHARACTER = /[A-Za-z0-9_-]/;
const IS_TOKEN_BYTE = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x80 || TOKEN_CHARACTER.test(String.fromCharCode(byte)) ? 1 : 0,
);

export class TokenMatcher {
  /** By their first byte, the longest first. */
  readonly #tokens = new Map<number, Buffer[]>();
  readonly #longest: number;

  constructor(tokens: readonly Buffer[]) {
    for (const token of tokens) {
      const others = this.#tokens.get(token[0] as number) ?? [];
      this.#tokens.set(token[0] as number, others);
      others.push(token);
      others.sort((a, b) => b.length - a.length);
    }
    this.#longest = Math.max(0, ...tokens.map(({ length }) => length));
  }

  /** `[start, end, ...]`. `before`: the byte before `bytes`. `is_last`: nothing follows `bytes`. */
  find(bytes: Buffer, before: number | undefined, is_last: boolean): readonly number[] {
    const found: number[] = [];
    if (this.#longest === 0) return found;
    for (let start = 0; start < bytes.length; start++) {
      if (isTokenByte(start === 0 ? before : bytes[start - 1])) continue;
      for (const token of this.#tokens.get(bytes[start] as number) ?? []) {
        const end = start + token.length;
        if (end > bytes.length || (end === bytes.length && !is_last) || isTokenByte(bytes[end])) continue;
        if (bytes.compare(token, 0, token.length, start, end) !== 0) continue;
        found.push(start, end);
        break;
      }
    }
    return found;
  }

  /** How many bytes at the end of `bytes` may be the beginning of a token, or a token whose end is not known yet. */
  unfinishedBytes(bytes: Buffer, before: number | undefined): number {
    const { length } = bytes;
    for (let start = Math.max(0, length - this.#longest); start < length; start++) {
      if (isTokenByte(start === 0 ? before : bytes[start - 1])) continue;
      const size = length - start;
      for (const token of this.#tokens.get(bytes[start] as number) ?? [])
        if (size <= token.length && bytes.compare(token, 0, size, start, length) === 0) return size;
    }
    return 0;
  }
}

function isTokenByte(byte: number | undefined): boolean {
  return byte !== undefined && IS_TOKEN_BYTE[byte] === 1;
}
