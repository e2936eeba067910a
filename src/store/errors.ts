/** The errors of a store that are the same for every engine. */
import { VaultError } from '../contract/errors.ts';
import type { VaultMove } from './move.ts';

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

const MOVE_RETRY_AFTER_S = 10;

/** The vault is being moved, or was moved: `move` names the new store. */
export function movedError({ location, is_done }: VaultMove): VaultError {
  const message = is_done
    ? `The vault was moved to ${location}, so nothing was changed here. Set KEYHOLD_STORE to the new store and restart Keyhold.`
    : `The vault is being moved to ${location}, so nothing was changed. Try again shortly. If no move is running, complete it with \`keyhold move\`, or end it with \`keyhold move --cancel\`.`;
  const next_step = is_done ? { retry: false } : { retry: true, retry_after: MOVE_RETRY_AFTER_S };
  return new VaultError('UNAVAILABLE', message, { reason: 'vault_moved', ...next_step });
}

/** A part of a vault was received, and the move or restore has not ended. */
export function incompleteMoveError(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'This store has a part of a vault only: the move or restore to it has not ended. Complete it with `keyhold move` from the former store or with `keyhold restore`, or use the former store.',
    { reason: 'move_incomplete' },
  );
}

export function targetNotEmptyError(): VaultError {
  return new VaultError(
    'CONFLICT',
    'The new store already contains a vault, so nothing was changed. Name an empty database, or a file that does not exist.',
    { reason: 'target_not_empty' },
  );
}

export function receivingError(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'Another restore or move to this vault is running. Wait until it ends, then try again.',
    { reason: 'busy' },
  );
}
