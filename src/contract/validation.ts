/**
 * Checks input against a schema and says what is wrong with it, without repeating any of it: a caller may have put
 * a value in the wrong place, and a key of an object may be one.
 */
import type * as z from 'zod';
import { VaultError } from './errors.ts';

const ISSUES_SHOWN_MAX = 5;

/**
 * Returns the parsed input, or throws INVALID_INPUT that names the places known to the schema and what was expected
 * there.
 */
export function parseInput<Output>(schema: z.ZodType<Output>, input: unknown): Output {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalidInput(parsed.error.issues);
}

/** The error for input that a schema has found these faults in. */
export function invalidInput(issues: readonly z.core.$ZodIssue[]): VaultError {
  const shown = issues.slice(0, ISSUES_SHOWN_MAX).map(describeIssue);
  return new VaultError('INVALID_INPUT', `Invalid input: ${[...new Set(shown)].join('; ')}.`);
}

function describeIssue(issue: z.core.$ZodIssue): string {
  // Only the first step of a path is the schema's own word; deeper ones are the caller's keys.
  const place = typeof issue.path[0] === 'string' ? issue.path[0] : 'the arguments';
  const inside = issue.path.length > 1 ? ` (one of its entries)` : '';
  return `${place}${inside} ${expectation(issue)}`;
}

function expectation(issue: z.core.$ZodIssue): string {
  // Only a schema's own words begin so.
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
      return 'has the wrong form';
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
