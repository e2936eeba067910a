/**
 * Replaces values in a stream, a text or JSON by `[redacted]`. A stream is delayed only by bytes that may be the beginning
 * of a value. It protects against services that repeat what they received, not against a hostile one, which can
 * split or encrypt it.
 */
import { VaultError } from '../../contract/errors.ts';
import { JSON_DEPTH_MAX } from '../../contract/limits.ts';
import type { PatternSet, Ranges } from './pattern_set.ts';

const MASK = Buffer.from('[redacted]');

/** For one stream. */
export class Redactor {
  readonly #patterns: PatternSet;
  #pending: Buffer = Buffer.alloc(0);
  /** So many bytes of `#pending` belong to a value for which the mask was returned. */
  #masked = 0;
  /** The last byte before `#pending`. */
  #before: number | undefined;
  #count = 0;

  constructor(patterns: PatternSet) {
    this.#patterns = patterns;
  }

  /** The number of values that were replaced. */
  get count(): number {
    return this.#count;
  }

  /** Returns what of the stream is known by now. */
  write(chunk: Buffer): readonly Buffer[] {
    return this.#process(chunk, false);
  }

  /** Returns the rest of the stream. */
  end(): readonly Buffer[] {
    return this.#process(Buffer.alloc(0), true);
  }

  #process(chunk: Buffer, is_last: boolean): readonly Buffer[] {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const { tokens } = this.#patterns;
    const kept = is_last
      ? 0
      : Math.max(this.#patterns.unfinishedBytes(bytes), tokens.unfinishedBytes(bytes, this.#before));
    const end = bytes.length - kept;
    const ranges = merge(this.#patterns.find(bytes), tokens.find(bytes, this.#before, is_last));
    const parts: Buffer[] = [];
    let done = this.#masked;
    for (let at = 0; at < ranges.length; at += 2) {
      const [from, to] = [ranges[at] as number, ranges[at + 1] as number];
      // It is found again, perhaps within a longer value.
      if (from >= end) break;
      if (from > done) parts.push(bytes.subarray(done, from));
      // Otherwise it overlaps one whose mask was returned.
      if (from >= done) {
        parts.push(MASK);
        this.#count += 1;
      }
      done = Math.max(done, to);
    }
    if (done < end) parts.push(bytes.subarray(done, end));
    this.#before = end > 0 ? bytes[end - 1] : this.#before;
    this.#masked = Math.max(0, done - end);
    // A copy: the caller may use the memory of the chunk again.
    this.#pending = Buffer.from(bytes.subarray(end));
    return parts;
  }
}

/** Unites ranges that overlap. */
function merge(ranges: Ranges, others: Ranges): Ranges {
  if (ranges.length <= 2 && others.length === 0) return ranges;
  const pairs: [number, number][] = [];
  for (const list of [ranges, others])
    for (let at = 0; at < list.length; at += 2) pairs.push([list[at] as number, list[at + 1] as number]);
  pairs.sort(([a], [b]) => a - b);
  const merged: number[] = [];
  for (const [start, end] of pairs) {
    const last = merged.at(-1);
    if (last !== undefined && start < last) merged[merged.length - 1] = Math.max(last, end);
    else merged.push(start, end);
  }
  return merged;
}

/** A text without the values, and how many were replaced. */
export function redactText(
  patterns: PatternSet,
  text: string,
): { readonly text: string; readonly count: number } {
  const redactor = new Redactor(patterns);
  const parts = [...redactor.write(Buffer.from(text)), ...redactor.end()];
  return redactor.count === 0
    ? { text, count: 0 }
    : { text: Buffer.concat(parts).toString(), count: redactor.count };
}

/**
 * JSON without the values: in strings and names, after their escapes are decoded. Redact the text too, before it is parsed:
 * a number may have lost its digits since. Throws UPSTREAM for JSON that is nested too deeply.
 */
export function redactJson(
  patterns: PatternSet,
  json: unknown,
): { readonly json: unknown; readonly count: number } {
  let count = 0;
  const redact = (text: string) => {
    const redacted = redactText(patterns, text);
    count += redacted.count;
    return redacted.text;
  };
  const walk = (value: unknown, depth = 0): unknown => {
    if (depth > JSON_DEPTH_MAX)
      throw new VaultError(
        'UPSTREAM',
        'The JSON of the response is nested too deeply. Request another part of it.',
      );
    if (typeof value === 'string') return redact(value);
    if (typeof value === 'number') return redactNumber(value);
    if (Array.isArray(value)) return value.map((inner) => walk(inner, depth + 1));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [redact(name), walk(inner, depth + 1)]),
    );
  };
  /** A numeric value, such as a PIN, may come back as a number. */
  const redactNumber = (value: number) => {
    const text = redact(String(value));
    return text === String(value) ? value : text;
  };
  return { json: walk(json), count };
}
