/** Who may change a protected credential: only its owner, or an administrator, as a person. Pure functions. */
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import { mayDecideFor } from '../guard.ts';

export function isProtectedFrom(caller: Caller, meta: Pick<CredentialMeta, 'protected' | 'user'>): boolean {
  return meta.protected === true && !mayDecideFor(caller, meta.user);
}

export function credentialProtected(): VaultError {
  return new VaultError(
    'FORBIDDEN',
    'The credential is protected: only a person changes it, on the pages of Keyhold or with `keyhold store`, `keyhold update` or `keyhold delete` on the machine of the vault. Nothing was changed. New values that are given over MCP or /v1/credentials wait for approval.',
    { reason: 'credential_protected' },
  );
}

/**
 * The caller gave values for a protected credential that could be stored otherwise. Ends the transaction; the values are kept
 * for a person to decide.
 */
export class ProtectedValuesError extends Error {
  readonly before: CredentialMeta;
  /** The credential as it would be. */
  readonly after: CredentialMeta;

  constructor(before: CredentialMeta, after: CredentialMeta) {
    super('the credential is protected');
    this.before = before;
    this.after = after;
  }
}
