/**
 * Validates input against a schema and describes the violations. Never repeats any of the input: a caller may have sent
 * a secret in the wrong field, or as a key of an object.
 */
import type * as z from 'zod';
import { VaultError } from './errors.ts';

const ISSUES_SHOWN_MAX = 5;

/**
 * Returns the parsed input. Throws INVALID_INPUT that names fields of the schema and the expected values. `label` is the
 * name of an input without fields, such as one argument of a command.
 */
export function parseInput<Output>(schema: z.ZodType<Output>, input: unknown, label?: string): Output {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalidInput(parsed.error.issues, label);
}

/** The error for input with these violations. */
export function invalidInput(issues: readonly z.core.$ZodIssue[], label = 'the arguments'): VaultError {
  const shown = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => describeIssue(issue, label));
  return new VaultError('INVALID_INPUT', `Invalid input: ${[...new Set(shown)].join('; ')}.`);
}

function describeIssue(issue: z.core.$ZodIssue, label: string): string {
  // Only the first step of a path is a name from the schema; deeper steps are keys from the input.
  const field = typeof issue.path[0] === 'string' ? issue.path[0] : label;
  const inside = issue.path.length > 1 ? ` (one of its entries)` : '';
  return `${field}${inside} ${describeExpectation(issue)}`;
}

/** Describes the expected value, without the input. Messages that begin with "must" come from our schemas. */
export function describeExpectation(issue: z.core.$ZodIssue): string {
  if (issue.message.startsWith('must ')) return issue.message;
  switch (issue.code) {
    case 'unrecognized_keys':
      return `must not have ${issue.keys.length === 1 ? 'a key' : `${issue.keys.length} keys`} that this operation does not know`;
    case 'invalid_type':
      return `must be ${article(issue.expected)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${unit(issue.origin)}`;
    case 'too_small':
      return issue.minimum === 1 && issue.origin === 'string'
        ? 'must not be empty'
        : `must be at least ${issue.minimum}${unit(issue.origin)}`;
    case 'invalid_value':
      return `must be one of: ${issue.values.map(String).join(', ')}`;
    case 'invalid_format':
      return 'has the wrong format';
    case 'custom':
      return issue.message;
    default:
      return 'is not valid';
  }
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters long';
  return origin === 'array' || origin === 'set' ? ' entries long' : '';
}
