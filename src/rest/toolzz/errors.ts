/** The error format of the Toolzz dialect: `{"message"}`. Messages name keys of the schema and never repeat input. */
import type * as z from 'zod';
import { ERROR_TABLE, type PublicError } from '../../contract/errors.ts';
import { describeExpectation } from '../../contract/validation.ts';
import type { ErrorResponse, InvalidInput } from '../../http/dialect.ts';

const ISSUES_SHOWN_MAX = 5;

/** A given `status` overrides that of the error table. */
export function toolzzError({ code, message }: PublicError, status?: number): ErrorResponse {
  return { status: status ?? ERROR_TABLE[code].http_status, body: { message } };
}

/** 400 with the first issues in one message. */
export function toolzzInvalid({ target, issues }: InvalidInput): ErrorResponse {
  const described = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => {
    // Deeper steps of the path are keys of the caller.
    const [first] = issue.path;
    // The request pipeline rejected the body before a schema could.
    if (target === 'body' && issue.code === 'custom' && first === undefined)
      return `The body cannot be read. ${issue.message.replace(/\.$/, '')}`;
    return `${typeof first === 'string' ? first : `The ${target}`} ${explain(issue)}`;
  });
  return { status: 400, body: { message: `${[...new Set(described)].join('; ')}.` } };
}

/** The message of the schemas for a missing value. */
export const REQUIRED = 'is required';

function explain(issue: z.core.$ZodIssue): string {
  if (issue.message === REQUIRED) return REQUIRED;
  switch (issue.code) {
    case 'invalid_format':
      return issue.format === 'guid' ? 'must be a UUID' : 'is not valid';
    case 'too_small':
      return 'must not be empty';
    case 'too_big':
      return `is too long: ${issue.maximum} at most`;
    case 'custom':
      return issue.message;
    default:
      return describeExpectation(issue);
  }
}
