/** The position of a syntax error in JSON, for people who write service definitions by hand. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findJsonSyntaxError } from '../../src/io/json_syntax_error.ts';
import { runSize } from '../kit/run_size.ts';

const RUNS = runSize({ quick: 100, ci: 200, slow: 2_000 });

describe('findJsonSyntaxError', () => {
  test.each([
    ['', 1, 1],
    ['   ', 1, 4],
    ['{', 1, 2],
    ['{"a":1,}', 1, 8],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
    ['{\r\n  "a": nul\r\n}', 2, 8],
    ['[1, 2', 1, 6],
    ['[1,,2]', 1, 4],
    ['[01]', 1, 3],
    ['[1.]', 1, 2],
    ['{a: 1}', 1, 2],
    ["{'a': 1}", 1, 2],
    ['{"a" 1}', 1, 6],
    ['{"a": "b\nc"}', 1, 7],
    ['{"a": "\\x"}', 1, 7],
    ['{"a": "open', 1, 7],
    ['{"a": 1}]', 1, 9],
    ['[}', 1, 2],
    ['// no\n{}', 1, 1],
    ['\u00a0{}', 1, 1],
  ])('findJsonSyntaxError returns the position for %j: line %i, column %i', (text, line, column) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(findJsonSyntaxError(text)).toEqual({ line, column });
  });

  test('findJsonSyntaxError returns a position exactly if JSON.parse throws', () => {
    const almost_json = fc.oneof(
      fc.json(),
      fc
        .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', '"', ':', ' ', '0', '\\', '\n', 'e'))
        .map(([json, at, put]) => {
          const position = json.length === 0 ? 0 : at % json.length;
          return json.slice(0, position) + put + json.slice(position + 1);
        }),
      fc.string(),
    );
    fc.assert(
      fc.property(almost_json, (text) => {
        let is_json = true;
        try {
          JSON.parse(text);
        } catch {
          is_json = false;
        }
        expect(findJsonSyntaxError(text) === undefined).toBe(is_json);
      }),
      { numRuns: RUNS },
    );
  });

  test('findJsonSyntaxError takes less than a second for long and deep texts', () => {
    const started = performance.now();
    expect(findJsonSyntaxError(`"${'a'.repeat(256 * 1024)}`)).toEqual({ line: 1, column: 1 });
    expect(findJsonSyntaxError('['.repeat(1_000))).toEqual({ line: 1, column: 1_001 });
    expect(findJsonSyntaxError('['.repeat(100_000))).toBeUndefined();
    expect(findJsonSyntaxError(`"${'\\n'.repeat(100_000)}"`)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
