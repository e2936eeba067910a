/** Finding the program of a command, and the errors of a start. */
import { describe, expect, test } from 'vitest';
import { findProgram, startError } from '../../../src/use/run/program.ts';

describe('a command', () => {
  test.each([
    ['with an empty name', ''],
    ['with a name that is too long for the system', 'x'.repeat(300)],
    ['with a path that is too long for the system', `/${'x'.repeat(300)}`],
  ])('%s is not found', (_what, command) => {
    expect(() => findProgram(command, '/usr/bin:/bin')).toThrow(
      expect.objectContaining({ name: 'ProgramError', exit_code: 127 }),
    );
  });

  test('is found in the first folder of PATH that has it', () => {
    expect(findProgram('sh', '/nonexistent:/bin')).toBe('/bin/sh');
  });
});

test.each([
  ['ENOENT', 127, /does not exist/],
  ['EACCES', 126, /Check its permissions/],
  ['E2BIG', 126, /too large/],
  ['EAGAIN', 126, /another process now \(EAGAIN\)/],
])('the error %s of a start has the exit code %i and the next step', (code, exit_code, message) => {
  expect(startError(Object.assign(new Error('spawn'), { code }))).toMatchObject({
    exit_code,
    message: expect.stringMatching(message),
  });
});
