/** Reads how an operation ends: success, or the error it fails with. */
import { VaultError } from '../../src/contract/errors.ts';

/**
 * `ok`, or the code of the VaultError followed by its reason if it has one. Rethrows any other error: it is a defect.
 */
export async function outcomeOf(operation: Promise<unknown>): Promise<string> {
  const error = await readVaultError(operation);
  if (error === undefined) return 'ok';
  return error.reason === undefined ? error.code : `${error.code} ${error.reason}`;
}

/** `ok`, or code, reason and message of the VaultError, to compare two errors completely. */
export async function fullOutcomeOf(operation: Promise<unknown>): Promise<string> {
  const error = await readVaultError(operation);
  return error === undefined ? 'ok' : JSON.stringify([error.code, error.reason ?? null, error.message]);
}

/** The VaultError of an operation that must fail. Throws if it succeeds or fails with any other error. */
export async function errorOf(operation: Promise<unknown>): Promise<VaultError> {
  const error = await readVaultError(operation);
  if (error === undefined) throw new Error('the operation succeeded');
  return error;
}

async function readVaultError(operation: Promise<unknown>): Promise<VaultError | undefined> {
  try {
    await operation;
    return undefined;
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
}
