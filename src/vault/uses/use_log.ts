/** Logs uses of credentials: refusals before they reject, and outcomes in the background. Never a value. */
import type { AuditedUse } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import { type EntryFacts, newEntry } from '../audit/entry.ts';
import type { CredentialRef } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { UseOutcomes } from './outcomes.ts';
import type { UseOutcome } from './use.ts';

export const USE = { scope: 'credentials:use', action: 'use' } as const;

/** As the audit log names the codes of refusals without a reason. Failures of the vault are not refusals. */
const REFUSAL_REASONS: ReadonlyMap<ErrorCode, string> = new Map([
  ['NOT_FOUND', 'not found'],
  ['INACTIVE', 'inactive'],
  ['EXPIRED', 'expired'],
  ['INVALID_INPUT', 'incomplete'],
  ['FORBIDDEN', 'not allowed'],
  ['RATE_LIMITED', 'too many uses'],
]);

/** A use that the log has. `target`: the credential or service in its entries. */
export interface LoggedUse {
  readonly caller: Caller;
  readonly keyring: OrganizationKeyring;
  readonly use: AuditedUse;
  readonly target: Pick<EntryFacts, 'ref' | 'service_id' | 'credential_id'>;
}

export class UseLog {
  readonly #now: VaultDependencies['now'];
  readonly #guard: Guard;
  readonly #outcomes: UseOutcomes;

  constructor(parts: Pick<VaultDependencies, 'store' | 'audit_log' | 'now'>, guard: Guard) {
    this.#now = parts.now;
    this.#guard = guard;
    this.#outcomes = new UseOutcomes(parts);
  }

  /** Runs a further check of an authorized use. Audits a refusal before it rejects. */
  async auditRefusals<Result>(
    caller: Caller,
    keyring: OrganizationKeyring,
    ref: CredentialRef,
    decide: () => Result | Promise<Result>,
    use?: AuditedUse,
  ): Promise<Result> {
    try {
      return await decide();
    } catch (error) {
      const reason =
        error instanceof VaultError ? (error.reason ?? REFUSAL_REASONS.get(error.code)) : undefined;
      const facts = use === undefined ? {} : { use: { ...use, id: null } };
      if (reason !== undefined)
        await this.#guard.recordDenial(caller, keyring, USE.action, ref, reason.replaceAll('_', ' '), facts);
      throw error;
    }
  }

  /** The function that logs the outcome of a use, once. It never throws. */
  finisher({ caller, keyring, use, target }: LoggedUse): (outcome: UseOutcome) => void {
    let is_finished = false;
    return ({ status, reason, bytes, origin, address }) => {
      if (is_finished) return;
      is_finished = true;
      const facts = {
        ...target,
        use: {
          ...use,
          status: status ?? null,
          bytes: bytes ?? null,
          origin: origin ?? use.origin,
          address: address ?? use.address,
        },
        ...(reason === undefined ? {} : { reason }),
      };
      this.#outcomes.add(keyring, newEntry(caller, 'use_outcome', this.#now(), facts));
    };
  }

  /** Resolves when the outcomes that wait are in the log or could not be written. */
  flush(): Promise<void> {
    return this.#outcomes.flush();
  }
}

/** The credential was changed after it was found. A CONFLICT without a reason: the caller may find it again and repeat. */
export function changedMeanwhile(): VaultError {
  return new VaultError('CONFLICT', 'The credential was changed or deleted meanwhile. Call again.', {
    next: 'Repeat the same call.',
    retry: true,
  });
}
