/**
 * Finds many byte patterns at once: the algorithm of Wu and Manber ("A fast algorithm for multi-pattern searching", 1994)
 * with blocks of three bytes. Compiled once for a set of values, since that takes milliseconds for fifty of them.
 */
import type { Secret } from '../../contract/secret.ts';
import { encodingsOf, PATTERN_MIN_BYTES } from './encodings.ts';
import { TokenMatcher } from './token_matcher.ts';

/** Bytes of each pattern that the search looks at before it compares the whole. */
const WINDOW_MAX_BYTES = 48;
const BLOCK_BYTES = 3;
const HASHES = 1 << 16;
const PAIRS = 1 << 16;

/** Start and end of each found pattern, in the order in which they begin: `[start, end, start, end, ...]`. */
export type Ranges = readonly number[];

export class PatternSet {
  readonly #patterns: readonly Buffer[];
  readonly #window: number;
  readonly #longest: number;
  /** How far the window may move, by the hash of its last block. */
  readonly #shifts: Uint8Array;
  /** The patterns whose window ends with a block of this hash, the longest first. */
  readonly #candidates = new Map<number, number[]>();
  /** Marks the first two bytes of each pattern. */
  readonly #pairs = new Uint8Array(PAIRS);
  readonly #by_pair = new Map<number, Buffer[]>();
  readonly #first_bytes = new Uint8Array(256);
  readonly tokens: TokenMatcher;

  constructor(values: Iterable<Secret>) {
    const encodings = [...values].flatMap((value) => encodingsOf(value.reveal()));
    this.#patterns = withoutDuplicates(encodings.filter(({ length }) => length >= PATTERN_MIN_BYTES));
    this.tokens = new TokenMatcher(encodings.filter(({ length }) => length < PATTERN_MIN_BYTES));
    const lengths = this.#patterns.map(({ length }) => length);
    this.#window = Math.min(WINDOW_MAX_BYTES, ...lengths);
    this.#longest = Math.max(0, ...lengths);
    this.#shifts = new Uint8Array(HASHES).fill(this.#window - BLOCK_BYTES + 1);
    this.#patterns.forEach((pattern, at) => {
      this.#addWindow(pattern, at);
      this.#addStart(pattern);
    });
    for (const candidates of this.#candidates.values())
      candidates.sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
  }

  #addWindow(pattern: Buffer, at: number): void {
    for (let last = BLOCK_BYTES - 1; last < this.#window; last++) {
      const hash = hashAt(pattern, last);
      const shift = this.#window - 1 - last;
      this.#shifts[hash] = Math.min(this.#shifts[hash] ?? 0, shift);
      if (shift > 0) continue;
      const others = this.#candidates.get(hash);
      if (others === undefined) this.#candidates.set(hash, [at]);
      else others.push(at);
    }
  }

  #addStart(pattern: Buffer): void {
    const pair = pairAt(pattern, 0);
    this.#pairs[pair] = 1;
    this.#first_bytes[pattern[0] ?? 0] = 1;
    const others = this.#by_pair.get(pair);
    if (others === undefined) this.#by_pair.set(pair, [pattern]);
    else others.push(pattern);
  }

  /** The patterns in `bytes`, which may overlap. */
  find(bytes: Buffer): Ranges {
    const found: number[] = [];
    if (this.#patterns.length === 0) return found;
    const window = this.#window;
    const shifts = this.#shifts;
    const ends = new Map<number, number>();
    for (let last = window - 1; last < bytes.length; ) {
      const hash = hashAt(bytes, last);
      const shift = shifts[hash] as number;
      if (shift > 0) {
        last += shift;
        continue;
      }
      const start = last - window + 1;
      const end = this.#matchAt(bytes, start, hash, ends);
      if (end > start) found.push(start, end);
      last += 1;
    }
    return found;
  }

  /** The end of the longest pattern at `start`, or `start`. `ends`: where each pattern was found last. */
  #matchAt(bytes: Buffer, start: number, hash: number, ends: Map<number, number>): number {
    for (const at of this.#candidates.get(hash) ?? []) {
      const pattern = this.#patterns[at] as Buffer;
      const end = start + pattern.length;
      // A pattern within itself, as of a value of equal characters, would be compared for every byte.
      if (end > bytes.length || start < (ends.get(at) ?? 0)) continue;
      if (bytes.compare(pattern, 0, pattern.length, start, end) !== 0) continue;
      ends.set(at, end);
      return end;
    }
    return start;
  }

  /** How many bytes at the end of `bytes` may be the beginning of a pattern. */
  unfinishedBytes(bytes: Buffer): number {
    const { length } = bytes;
    for (let start = Math.max(0, length - this.#longest + 1); start < length - 1; start++) {
      const pair = pairAt(bytes, start);
      if (this.#pairs[pair] === 0) continue;
      const size = length - start;
      for (const pattern of this.#by_pair.get(pair) ?? [])
        if (size < pattern.length && bytes.compare(pattern, 0, size, start, length) === 0) return size;
    }
    return length > 0 && this.#first_bytes[bytes[length - 1] as number] === 1 ? 1 : 0;
  }
}

function hashAt(bytes: Uint8Array, last: number): number {
  const [a, b, c] = [bytes[last - 2] as number, bytes[last - 1] as number, bytes[last] as number];
  return ((a << 10) ^ (b << 5) ^ c) & (HASHES - 1);
}

function pairAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function withoutDuplicates(patterns: readonly Buffer[]): readonly Buffer[] {
  return [...new Map(patterns.map((pattern) => [pattern.toString('latin1'), pattern])).values()];
}
