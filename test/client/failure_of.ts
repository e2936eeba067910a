/** Catches the error of a client call. */
import { expect } from 'vitest';
import { KeyholdError } from '../../src/client/keyhold_error.ts';

/** Returns the KeyholdError that `act` throws. Fails the test on success or any other error. */
export async function catchKeyholdError(act: () => unknown): Promise<KeyholdError> {
  try {
    await act();
  } catch (error) {
    expect(error).toBeInstanceOf(KeyholdError);
    if (error instanceof KeyholdError) return error;
  }
  throw new Error('the call succeeded');
}
