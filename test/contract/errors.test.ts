import { describe, expect, test } from 'vitest';
import {
  adviceFor,
  ERROR_TABLE,
  type ErrorCode,
  type ErrorReason,
  toPublicError,
  VaultError,
} from '../../src/contract/errors.ts';

/** Code, HTTP status, exit code and the beginning of the advice. Public: a change here breaks clients. */
const ROWS: readonly (readonly [ErrorCode, number, number, string])[] = [
  ['INVALID_INPUT', 400, 2, 'Correct the arguments'],
  ['UNAUTHENTICATED', 401, 3, 'Ask the user to connect'],
  ['FORBIDDEN', 403, 4, 'Ask the user for the permission'],
  ['NOT_FOUND', 404, 5, 'Check the id'],
  ['CONFLICT', 409, 6, 'Check the present state'],
  ['EXPIRED', 410, 7, 'Ask the user to renew'],
  ['INACTIVE', 409, 8, 'Ask the user to switch'],
  ['RATE_LIMITED', 429, 9, 'Wait'],
  ['LOCKED', 423, 10, 'Tell the user'],
  ['WRONG_KEY', 503, 11, 'Tell the user'],
  ['CORRUPT', 500, 12, 'Tell the user. Do not overwrite'],
  ['UNAVAILABLE', 503, 13, 'Tell the user. Retry'],
  ['UPSTREAM', 502, 14, 'The service did not respond'],
  ['INTERNAL', 500, 1, 'Tell the user and quote the request id'],
];

describe('ERROR_TABLE', () => {
  test('has exactly these codes', () => {
    expect(Object.keys(ERROR_TABLE)).toEqual(ROWS.map(([code]) => code));
  });

  test.each(ROWS)(
    'maps %s to HTTP %i, exit code %i and the advice "%s..."',
    (code, http_status, exit_code, advice) => {
      expect(ERROR_TABLE[code]).toMatchObject({ http_status, exit_code });
      expect(ERROR_TABLE[code].advice.startsWith(advice)).toBe(true);
    },
  );

  test('gives every code a different exit code, none of which a shell uses for signals', () => {
    const exit_codes = ROWS.map(([code]) => ERROR_TABLE[code].exit_code);
    expect(new Set(exit_codes).size).toBe(ROWS.length);
    expect(Math.min(...exit_codes)).toBeGreaterThan(0);
    expect(Math.max(...exit_codes)).toBeLessThan(126);
  });
});

describe('toPublicError', () => {
  const CANARY = 'sk-canary-7f3a';

  test.each([
    ['an Error', new Error(CANARY, { cause: new Error(CANARY) })],
    [
      'an Error with a code of Keyhold',
      Object.assign(new Error(CANARY), { code: 'NOT_FOUND', reason: CANARY }),
    ],
    [
      'an Error that is named VaultError',
      Object.assign(new Error(CANARY), { name: 'VaultError', code: 'CORRUPT' }),
    ],
    ['text', CANARY],
    ['an object', { message: CANARY }],
    ['nothing', undefined],
    ['null', null],
  ])('returns INTERNAL and nothing of the error for %s', (_, thrown) => {
    const shown = toPublicError(thrown, '01J0000000000000000000000R');
    expect(shown.code).toBe('INTERNAL');
    expect(shown.request_id).toBe('01J0000000000000000000000R');
    expect(shown.message).toContain('01J0000000000000000000000R');
    expect(JSON.stringify(shown)).not.toContain(CANARY);
    expect(JSON.stringify(toPublicError(thrown))).not.toMatch(/canary|undefined|null/);
  });

  test('returns code, reason, message and request id of a VaultError, and neither cause nor stack', () => {
    const error = new VaultError('CORRUPT', 'It is damaged.', {
      reason: 'record_damaged',
      cause: new Error(CANARY),
    });
    expect(toPublicError(error, 'R')).toEqual({
      code: 'CORRUPT',
      reason: 'record_damaged',
      message: 'It is damaged.',
      request_id: 'R',
    });
    expect(toPublicError(new VaultError('CONFLICT', 'Again.'))).toEqual({
      code: 'CONFLICT',
      message: 'Again.',
    });
  });
});

test('a VaultError keeps its cause, and has no property `cause` without one', () => {
  const cause = new Error('first');
  const error = new VaultError('UPSTREAM', 'second', { cause });
  expect(error).toBeInstanceOf(Error);
  expect([error.name, error.code, error.reason, error.message]).toEqual([
    'VaultError',
    'UPSTREAM',
    undefined,
    'second',
  ]);
  expect(error.cause).toBe(cause);
  expect('cause' in new VaultError('UPSTREAM', 'second')).toBe(false);
});

describe('adviceFor', () => {
  const advice = (code: ErrorCode, reason?: ErrorReason) =>
    adviceFor({ code, message: 'It failed.', ...(reason === undefined ? {} : { reason }) });

  test.each(ROWS)('returns the advice of the table for %s without a reason', (code) => {
    expect(advice(code)).toBe(ERROR_TABLE[code].advice);
  });

  test('suggests other arguments only if they are the problem, not if the vault is', () => {
    expect(advice('INVALID_INPUT', 'double_seal')).toBe(ERROR_TABLE.INVALID_INPUT.advice);
    expect(advice('INVALID_INPUT', 'sealed_value_unreadable')).toBe(ERROR_TABLE.INVALID_INPUT.advice);
    for (const reason of ['setting_invalid', 'service_definition_invalid', 'not_a_file'] as const) {
      expect(advice('INVALID_INPUT', reason)).toMatch(/^Tell the user/);
    }
    expect(advice('NOT_FOUND', 'vault_missing')).toMatch(/^Tell the user/);
  });

  test('never suggests to overwrite a damaged record', () => {
    expect(advice('CORRUPT', 'record_damaged')).toBe(ERROR_TABLE.CORRUPT.advice);
    expect(advice('CORRUPT', 'audit_broken')).toContain('Do not overwrite');
  });
});
