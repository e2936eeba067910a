/** How errors are said in the dialect of Toolzz: `{"message"}`. Input is never repeated: only keys of the schema are said. */
import type * as z from 'zod';
import { ERROR_TABLE, type PublicError } from '../../contract/errors.ts';
import type { ErrorResponse, InvalidInput } from '../../http/dialect.ts';

const ISSUES_SHOWN_MAX = 5;

/** `status` is given where the frame refuses by itself. */
export function toolzzError({ code, message }: PublicError, status?: number): ErrorResponse {
  return { status: status ?? ERROR_TABLE[code].http_status, body: { message } };
}

/** 400 with the first issues in one message. */
export function toolzzInvalid({ target, issues }: InvalidInput): ErrorResponse {
  const said = issues
    .slice(0, ISSUES_SHOWN_MAX)
    .map((issue) => `${placeOf(target, issue)} ${explain(issue)}`);
  return { status: 400, body: { message: `${[...new Set(said)].join('; ')}.` } };
}

/** Only the first step of a path is the schema's own word; deeper ones are the caller's keys. */
function placeOf(target: InvalidInput['target'], { path: [first] }: z.core.$ZodIssue): string {
  return typeof first === 'string' ? first : `The ${target}`;
}

/** What a schema says where a value is not there at all, which zod itself does not tell from a wrong one. */
export const REQUIRED = 'is required';

function explain(issue: z.core.$ZodIssue): string {
  if (issue.message === REQUIRED) return REQUIRED;
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`;
    case 'invalid_value':
      return `must be one of: ${issue.values.map(String).join(', ')}`;
    case 'invalid_format':
      return issue.format === 'guid' ? 'must be a UUID' : 'is not valid';
    case 'too_small':
      return 'must not be empty';
    case 'too_big':
      return `is too long: ${issue.maximum} at most`;
    case 'custom':
      return issue.path.length === 0 ? 'must be JSON' : issue.message;
    default:
      return 'is not valid';
  }
}
