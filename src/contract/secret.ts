/**
 * The wrapper that every secret value lives in while it is in memory.
 *
 * It prints as `[redacted]` wherever a runtime prints things: string conversion, JSON, `util.inspect`.
 * `reveal()` is the one way to the bytes.
 */

const REDACTED = '[redacted]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Search for this name to find every place that handles one. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }
}
