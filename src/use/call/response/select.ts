/** Evaluates a JMESPath expression (jmespath.org) on a response, within limits of size and time. */
import vm from 'node:vm';
import jmespath from 'jmespath';
import { VaultError } from '../../../contract/errors.ts';
import { CALL_SELECT_MAX_BYTES, CALL_SELECT_TIME_MS } from '../../../contract/limits.ts';
import type { Content } from './content.ts';

/** Throws INVALID_INPUT for text that is not an expression. Call it before the request is sent. */
export function assertExpression(expression: string): void {
  try {
    jmespath.search(null, expression);
  } catch (cause) {
    // A function refuses the type of null, which the response is not.
    if (cause instanceof Error && cause.message.startsWith('TypeError')) return;
    throw new VaultError(
      'INVALID_INPUT',
      'select is not a JMESPath expression. Examples: "items[].name", "[].{id: id, title: title}", "length(@)".',
      { cause },
    );
  }
}

/** The selected JSON, or why nothing was selected. */
export function select(
  content: Content,
  expression: string,
): { readonly content: Content } | { readonly failure: string } {
  if (content.kind !== 'json') return { failure: 'The response is not JSON, so select was not applied.' };
  if (content.text.length > CALL_SELECT_MAX_BYTES)
    return {
      failure: 'The response is too large for select. Request a smaller part of it, or page through it.',
    };
  try {
    const text = evaluate(content.json, expression);
    return { content: { kind: 'json', json: JSON.parse(text), text } };
  } catch {
    return {
      failure:
        'select could not be applied to this response: a function does not fit the type of the data, or it took too long. Compare it with the body.',
    };
  }
}

/** Ends code that runs too long: `vm` interrupts it, although it is not code of the response. */
function evaluate(json: unknown, expression: string): string {
  const run = () => {
    const selected: unknown = jmespath.search(json, expression);
    assertSmall(selected);
    // A function, such as of "constructor", has no text.
    return JSON.stringify(selected ?? null) ?? 'null';
  };
  return String(vm.runInNewContext('run()', { run }, { timeout: CALL_SELECT_TIME_MS }));
}

/** Throws for a result whose text is too large. Parts may be in it many times. */
function assertSmall(selected: unknown): void {
  let size = 0;
  const walk = (value: unknown) => {
    size += typeof value === 'string' ? value.length + 2 : 4;
    if (size > CALL_SELECT_MAX_BYTES) throw new Error('too large');
    if (typeof value !== 'object' || value === null) return;
    for (const [name, inner] of Object.entries(value)) {
      size += Array.isArray(value) ? 1 : name.length + 3;
      walk(inner);
    }
  };
  walk(selected);
}
