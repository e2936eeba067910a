/** Validates the options of a use policy strictly, so that a typo never widens what is allowed. */
import { VaultError } from '../../contract/errors.ts';
import { CALLS_PER_MINUTE_MAX, type UsePolicy } from '../../contract/use/policy.ts';
import { pathSegments, SAFE_METHODS, USE_METHODS, type UseMethod } from '../../contract/use/rules.ts';
import { parseTime } from '../terminal/relative_time.ts';
import type { UsePolicyOptions } from './options.ts';

const APPROVALS = ['never', 'writes', 'always'] as const;

/** `undefined` without any of the options. Throws INVALID_INPUT. */
export function parseUsePolicy(options: UsePolicyOptions, now: Date): UsePolicy | undefined {
  const { readOnly, methods, pathPrefix, callsPerMinute, useUntil, approve } = options;
  if (readOnly === true && methods !== undefined)
    throw invalid('Give either --read-only or --methods, not both.');
  const policy: UsePolicy = {
    ...(readOnly === true ? { methods: [...SAFE_METHODS] } : {}),
    ...(methods === undefined ? {} : { methods: parseMethods(methods) }),
    ...(pathPrefix === undefined ? {} : { path_prefixes: pathPrefix.map(parsePrefix) }),
    ...(callsPerMinute === undefined ? {} : { calls_per_minute: parseNumber(callsPerMinute) }),
    ...(useUntil === undefined ? {} : { expires_at: parseEnd(useUntil, now) }),
    ...(approve === undefined ? {} : { approve: parseApprove(approve) }),
  };
  return Object.keys(policy).length === 0 ? undefined : policy;
}

function parseMethods(text: string): UseMethod[] {
  return text.split(',').map((word) => {
    const method = USE_METHODS.find((known) => known === word.trim().toUpperCase());
    if (method !== undefined) return method;
    throw invalid(`--methods takes one or more of these, with commas: ${USE_METHODS.join(', ')}.`);
  });
}

function parsePrefix(text: string): string {
  if (pathSegments(text) !== undefined) return text;
  throw invalid(
    '--path-prefix takes a path such as /repos/acme, without a query, empty or dot segments, ";" or encoded separators.',
  );
}

function parseNumber(text: string): number {
  const number = /^[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= CALLS_PER_MINUTE_MAX) return number;
  throw invalid(`--calls-per-minute takes a whole number from 1 to ${CALLS_PER_MINUTE_MAX}.`);
}

function parseEnd(text: string, now: Date): string {
  const time = parseTime(text, now, 'ahead');
  if (time !== undefined) return time;
  throw invalid(
    '--use-until takes a date or time such as 2030-01-31 or 2030-01-31T08:00Z, or a span such as 30d.',
  );
}

function parseApprove(text: string): (typeof APPROVALS)[number] {
  const which = APPROVALS.find((known) => known === text);
  if (which !== undefined) return which;
  throw invalid(`--approve takes one of these: ${APPROVALS.join(', ')}.`);
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
