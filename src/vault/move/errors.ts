/** Why a move or its cancellation was refused. */
import { VaultError } from '../../contract/errors.ts';
import type { VaultMove } from '../../store/move.ts';

export function completeError({ location }: VaultMove): VaultError {
  return new VaultError(
    'CONFLICT',
    `The move to ${location} is complete, so it cannot be cancelled. Nothing was changed. To go back, set KEYHOLD_STORE to the new store, and move the vault from there.`,
    { reason: 'vault_moved' },
  );
}

export function otherVaultError({ location }: VaultMove): VaultError {
  return new VaultError(
    'CONFLICT',
    `The move to ${location} was not completed, and another vault is there now. Nothing was changed. Remove that vault, then end the move with \`keyhold move ${location} --cancel\`, or run it again.`,
    { reason: 'target_not_empty' },
  );
}

export function findingsError(count: number): VaultError {
  return new VaultError(
    'CORRUPT',
    `The audit logs have ${count} ${count === 1 ? 'finding' : 'findings'}: see \`keyhold audit verify\`. The vault was not moved. To move it as it is, add --accept.`,
    { reason: 'audit_broken' },
  );
}
