import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type * as z from 'zod';
import {
  DeleteInput,
  ListServicesInput,
  StatusInput,
  StoreInput,
  UpdateInput,
} from '../../src/contract/credential.ts';
import { VaultError } from '../../src/contract/errors.ts';
import { parseInput } from '../../src/contract/validation.ts';
import { checkAsync } from '../kit/property.ts';

const CANARY = 'sk-canary-7f3a';
const SCHEMAS: Record<string, z.ZodType> = {
  StoreInput,
  UpdateInput,
  StatusInput,
  ListServicesInput,
  DeleteInput,
};

function catchVaultError(schema: z.ZodType, input: unknown): VaultError {
  try {
    parseInput(schema, input);
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('the input was accepted');
}

describe('invalid input', () => {
  const good = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };

  test.each<readonly [string, z.ZodType, unknown]>([
    ['as an unknown key', StoreInput, { ...good, [CANARY]: 1 }],
    ['as several unknown keys', StoreInput, { ...good, [CANARY]: 1, [`${CANARY}2`]: 1 }],
    ['as the type', StoreInput, { ...good, credential_type: CANARY }],
    ['as an overlong service', StoreInput, { ...good, service_id: CANARY.repeat(20) }],
    ['as an overlong name', StoreInput, { ...good, name: CANARY.repeat(50) }],
    ['as a name with a control character', StoreInput, { ...good, name: `${CANARY}\u0007` }],
    ['as a stack with half a surrogate pair', StoreInput, { ...good, stack_id: `${CANARY}\ud800` }],
    ['as an overlong value', StoreInput, { ...good, credential_value: CANARY.repeat(100_000) }],
    ['inside a value that is not a string', StoreInput, { ...good, credential_value: { [CANARY]: CANARY } }],
    ['in a list of values', StoreInput, { ...good, credential_value: [CANARY] }],
    ['as the whole input', StoreInput, CANARY],
    ['as the only item of a list', StoreInput, [CANARY]],
    ['in place of the fields', UpdateInput, { service_id: 'linear', credentials: CANARY }],
    ['in a list in place of the fields', UpdateInput, { service_id: 'linear', credentials: [CANARY] }],
    [
      'as a field with a value that is not a string',
      UpdateInput,
      { service_id: 'linear', credentials: { [CANARY]: 7 } },
    ],
    ['as a field without a value', UpdateInput, { service_id: 'linear', credentials: { [CANARY]: '' } }],
    [
      'in an object in a field',
      UpdateInput,
      { service_id: 'linear', credentials: { a: { [CANARY]: CANARY } } },
    ],
    [
      'in a field beside the fields',
      UpdateInput,
      { service_id: 'linear', credentials: {}, [CANARY]: CANARY },
    ],
    ['as an overlong query', ListServicesInput, { query: CANARY.repeat(30) }],
    ['as a query that is an object', ListServicesInput, { query: { [CANARY]: CANARY } }],
    ['as a stack that is an object', StatusInput, { stack_id: { [CANARY]: CANARY } }],
    ['as a name that is a list', DeleteInput, { service_id: 'linear', name: [CANARY] }],
  ])('parseInput throws INVALID_INPUT for a secret %s and does not repeat it', (_, schema, input) => {
    const { code, message } = catchVaultError(schema, input);
    expect(code).toBe('INVALID_INPUT');
    expect(message).not.toContain('canary');
    expect(message).toMatch(/^Invalid input: .+\.$/);
  });

  test.each<readonly [string, z.ZodType, unknown, string]>([
    ['a missing argument', StoreInput, { credential_type: 'bearer' }, 'service_id must be a string'],
    ['an empty argument', StoreInput, { ...good, service_id: '' }, 'service_id must not be empty'],
    [
      'an unknown choice',
      StoreInput,
      { ...good, credential_type: 'token' },
      'credential_type must be one of: bearer, api_key',
    ],
    [
      'an id that is too long',
      StoreInput,
      { ...good, stack_id: 'x'.repeat(129) },
      'stack_id must be at most 128 characters long',
    ],
    [
      'a name that is too long',
      StoreInput,
      { ...good, name: 'x'.repeat(256) },
      'name must be at most 255 characters long',
    ],
    [
      'a control character',
      StoreInput,
      { ...good, name: '\u001b[2J' },
      'name must not hold control characters',
    ],
    [
      'an unknown key',
      StoreInput,
      { ...good, value: 'v' },
      'must not have a key that this operation does not know',
    ],
    ['two unknown keys', StoreInput, { ...good, a: 1, b: 1 }, 'must not have 2 keys'],
    ['a number instead of an object', StoreInput, 7, 'the arguments must be an object'],
    [
      'an empty value of a field',
      UpdateInput,
      { service_id: 'a', credentials: { b: '' } },
      'credentials (one of its entries) must not be empty',
    ],
  ])('parseInput names the argument and the problem of %s', (_, schema, input, expected) => {
    expect(catchVaultError(schema, input).message).toContain(expected);
  });

  test('parseInput limits the message for 10,000 invalid properties to 200 characters', () => {
    const credentials = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`field_${at}`, at]));
    expect(catchVaultError(UpdateInput, { service_id: 'a', credentials }).message.length).toBeLessThan(200);
  });

  test('parseInput never repeats any of the input', async () => {
    const word = fc.stringMatching(/^canary[a-z]{0,5}$/);
    const anything = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, word, fc.constantFrom(null, 0, true), tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(
        fc.oneof(word, fc.constantFrom('service_id', 'credentials', 'name')),
        tie('value'),
      ),
    }));
    const names = fc.constantFrom(...Object.keys(SCHEMAS));
    await checkAsync(fc.tuple(names, anything.value), async ([name, input]) => {
      const schema = SCHEMAS[name];
      if (schema === undefined || schema.safeParse(input).success) return;
      expect(catchVaultError(schema, input).message).not.toContain('canary');
    });
  });
});

describe('valid input', () => {
  test('parseInput returns valid input unchanged', () => {
    const store = {
      service_id: 'linear',
      credential_type: 'bearer',
      credential_value: ' v\n',
      name: 'é 🔑',
      stack_id: '../..',
    };
    expect(parseInput(StoreInput, store)).toEqual(store);
    expect(parseInput(StatusInput, {})).toEqual({});
  });

  test('parseInput accepts names and ids of the maximum length', () => {
    const input = { service_id: 'x'.repeat(128), stack_id: 'x'.repeat(128), name: 'x'.repeat(255) };
    expect(parseInput(DeleteInput, input)).toEqual(input);
  });
});
