import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { describeFailure } from '../../src/contract/logger.ts';

const CANARY = 'sk-canary-7f3a';

function jsonSyntaxError(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}

describe('describeFailure', () => {
  test.each<readonly [string, unknown]>([
    ['the message of an Error', new Error(CANARY)],
    ['a message of several lines', new Error(`first\n${CANARY}\nlast`)],
    ['a line of a message in the format of a frame', new Error(`first\n    at ${CANARY}\nlast`)],
    ['the text that JSON.parse quotes', jsonSyntaxError(`x${CANARY}`)],
    ['the text that JSON.parse quotes, in the format of a frame', jsonSyntaxError(`{\n    at ${CANARY}`)],
    ['a thrown string', CANARY],
    ['a thrown object', { message: CANARY, stack: `Error\n    at ${CANARY}` }],
    ['the cause of a VaultError', new VaultError('UPSTREAM', 'It failed.', { cause: new Error(CANARY) })],
    ['a cause that is a string', new VaultError('UPSTREAM', 'It failed.', { cause: CANARY })],
    [
      'the message of an Error with the name VaultError',
      Object.assign(new Error(CANARY), { name: 'VaultError' }),
    ],
  ])('describeFailure does not return %s', (_, thrown) => {
    const described = JSON.stringify(describeFailure(thrown));
    expect(described).not.toContain('canary');
    expect(described).toContain('name');
  });

  test('describeFailure returns name, code and frames of an error and of its causes', () => {
    const cause = Object.assign(new TypeError('quoted'), { code: 'ENOENT' });
    const [outer, inner, ...more] = describeFailure(new VaultError('UNAVAILABLE', 'Try again.', { cause }));
    expect(outer).toMatchObject({ name: 'VaultError', code: 'UNAVAILABLE', message: 'Try again.' });
    expect(inner).toMatchObject({ name: 'TypeError', code: 'ENOENT' });
    expect(inner).not.toHaveProperty('message');
    expect(inner?.frames).toContainEqual(expect.stringContaining('logger.test.ts'));
    expect(more).toEqual([]);
  });

  test('describeFailure returns the frames of an error with a message of several lines', () => {
    const [described] = describeFailure(new Error('first\nsecond\n  at nowhere'));
    expect(described?.frames).toContainEqual(expect.stringContaining('logger.test.ts'));
  });

  test('describeFailure returns at most five errors of a cycle of causes', () => {
    const one = new Error('one');
    const other = new Error('other', { cause: one });
    one.cause = other;
    expect(describeFailure(one)).toHaveLength(5);
  });

  test('describeFailure describes a thrown value that is not an error, and an error without a stack', () => {
    expect(describeFailure(undefined)).toEqual([{ name: 'undefined' }]);
    expect(describeFailure(7)).toEqual([{ name: 'number' }]);
    const bare = new Error('bare');
    delete bare.stack;
    expect(describeFailure(bare)).toEqual([{ name: 'Error', frames: [] }]);
  });
});
