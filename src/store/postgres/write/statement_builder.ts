/** Collects the parts of a data-modifying statement and their array parameters. */
import { byteaArray, int4Array, int8Array, textArray } from '../arrays.ts';
import type { Query } from '../connection.ts';

export class StatementBuilder {
  /** A letter for each part: statements with the same parts have the same text, and are prepared once. */
  #name = 'write_';
  readonly #parts: string[] = [];
  readonly #values: Buffer[] = [];
  readonly #conditions: string[] = [];
  /** Parts that free indexes, which later parts wait for. */
  readonly before: string[] = [];

  query(): Query | undefined {
    if (this.#parts.length === 0) return undefined;
    // No number has the name of a condition: the cast fails.
    const result = this.#conditions.length === 0 ? "'1'" : `CASE ${this.#conditions.join(' ')} ELSE '1' END`;
    const text = `WITH ${this.#parts.join(',\n')} SELECT (${result})::integer`;
    return { name: this.#name, text, values: this.#values };
  }

  /** A condition that is always true, and executes the parts before. */
  afterParts(keyword: 'AND' | 'WHERE'): string {
    if (this.before.length === 0) return '';
    return `${keyword} ${this.before.map((name) => `(SELECT count(*) FROM ${name}) >= 0`).join(' AND ')}`;
  }

  add(letter: string, part: string): void {
    this.#name += letter;
    this.#parts.push(part);
  }

  /** The part must return as many rows as the array has elements. */
  expect(part: string, array: string, failure: string): void {
    this.failIf(`(SELECT count(*) FROM ${part}) <> cardinality(${array})`, failure);
  }

  /** The error message of the statement contains `failure`. */
  failIf(condition: string, failure: string): void {
    this.#conditions.push(`WHEN ${condition} THEN '${failure}'`);
  }

  #parameter(value: Buffer, type: string): string {
    this.#values.push(value);
    return `$${this.#values.length}::${type}[]`;
  }

  bytea(elements: readonly Buffer[]): string {
    return this.#parameter(byteaArray(elements), 'bytea');
  }

  text(elements: readonly string[]): string {
    return this.#parameter(textArray(elements), 'text');
  }

  int4(elements: readonly number[]): string {
    return this.#parameter(int4Array(elements), 'integer');
  }

  int8(elements: readonly number[]): string {
    return this.#parameter(int8Array(elements), 'bigint');
  }
}
