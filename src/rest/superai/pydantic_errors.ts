/** Describes invalid input in the format of pydantic, without repeating any of it. */
import type * as z from 'zod';
import type { InvalidInput } from '../../http/dialect.ts';
import { NOT_JSON } from '../../io/strict_json.ts';

export interface ValidationDetail {
  /** `body`, `path` or `query`, and the keys of the path. */
  readonly loc: (string | number)[];
  readonly msg: string;
  readonly type: string;
}

export function detailOf(target: InvalidInput['target'], issue: z.core.$ZodIssue): ValidationDetail {
  // The request pipeline rejected the body before a schema could.
  if (target === 'body' && issue.code === 'custom' && issue.path.length === 0)
    return {
      loc: ['body'],
      msg: issue.message === NOT_JSON ? 'JSON decode error' : issue.message,
      type: 'json_invalid',
    };
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  return { loc: [target, ...path], ...explain(issue) };
}

/** The messages of the schemas for a missing value, and for one that is not an object. */
export const REQUIRED = 'Field required';
export const NO_DICTIONARY = 'Input should be a valid dictionary';

const NO_OBJECT = 'Input should be a valid dictionary or object to extract fields from';

const TYPES: Readonly<Record<string, Omit<ValidationDetail, 'loc'>>> = {
  string: { msg: 'Input should be a valid string', type: 'string_type' },
  number: { msg: 'Input should be a valid integer', type: 'int_type' },
  int: { msg: 'Input should be a valid integer', type: 'int_type' },
  boolean: { msg: 'Input should be a valid boolean', type: 'bool_type' },
  object: { msg: NO_OBJECT, type: 'model_attributes_type' },
};

function explain(issue: z.core.$ZodIssue): Omit<ValidationDetail, 'loc'> {
  if (issue.message === REQUIRED) return { msg: REQUIRED, type: 'missing' };
  if (issue.message === NO_DICTIONARY) return { msg: NO_DICTIONARY, type: 'dict_type' };
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? { msg: 'Input is not valid', type: 'value_error' };
    case 'invalid_value':
      return { msg: `Input should be ${formatAlternatives(issue.values.map(String))}`, type: 'enum' };
    case 'invalid_format':
      return issue.format === 'guid'
        ? { msg: 'Input should be a valid UUID', type: 'uuid_parsing' }
        : { msg: 'Input is not valid', type: 'value_error' };
    case 'too_small':
      return issue.origin === 'string'
        ? { msg: `String should have at least ${characters(issue.minimum)}`, type: 'string_too_short' }
        : { msg: `Input should be greater than or equal to ${issue.minimum}`, type: 'greater_than_equal' };
    case 'too_big':
      return issue.origin === 'string'
        ? { msg: `String should have at most ${characters(issue.maximum)}`, type: 'string_too_long' }
        : { msg: `Input should be less than or equal to ${issue.maximum}`, type: 'less_than_equal' };
    default:
      return { msg: 'Input is not valid', type: 'value_error' };
  }
}

/** `'a', 'b' or 'c'`. */
export function formatAlternatives(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  const last = quoted.at(-1) ?? '';
  return quoted.length < 2 ? last : `${quoted.slice(0, -1).join(', ')} or ${last}`;
}

function characters(count: number | bigint): string {
  return `${count} character${Number(count) === 1 ? '' : 's'}`;
}
