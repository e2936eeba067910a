/** The errors of a store that are the same for every engine. */
import { VaultError } from '../contract/errors.ts';

export function conflictError(cause?: unknown): VaultError {
  return new VaultError(
    'CONFLICT',
    'Another request changed this at the same time. Your change was not made; try again.',
    { cause },
  );
}

/** An audit entry was sealed with an earlier key than that of the head. */
export function keyRotatedError(): VaultError {
  const message = 'A key was rotated at the same time. Your change was not made; try again.';
  return new VaultError('CONFLICT', message, { reason: 'key_rotated' });
}

/** The position of the next entry is taken by one that this vault did not write. */
export function brokenLogError(cause?: unknown): VaultError {
  return new VaultError(
    'CORRUPT',
    'The audit log was tampered with, so nothing was written. Run `keyhold audit verify`, then restore a backup.',
    { reason: 'audit_broken', cause },
  );
}

export function tooManyWritesError(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'Too many writes are waiting. Nothing was changed; try again shortly.',
    { reason: 'busy' },
  );
}

export function closedError(): VaultError {
  return new VaultError('UNAVAILABLE', 'The vault was closed. Open it again.');
}
