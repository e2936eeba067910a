/** What a call of the client is refused with. */
import { expect } from 'vitest';
import { KeyholdError } from '../../src/client/keyhold_error.ts';

/** Fails the test when `act` goes well, or throws anything else. */
export async function failureOf(act: () => unknown): Promise<KeyholdError> {
  try {
    await act();
  } catch (error) {
    expect(error).toBeInstanceOf(KeyholdError);
    if (error instanceof KeyholdError) return error;
  }
  throw new Error('nothing was refused');
}
