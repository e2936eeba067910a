/**
 * Values that are not stored, as a test before their storage sees them. A test of them is a use: it needs the scope of uses
 * and is in the audit log before it receives the values.
 */
import type { Caller } from '../../contract/caller.ts';
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { missingFields } from '../../services/missing_fields.ts';
import { newEntry } from '../audit/entry.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import { requestedRef } from '../credentials/name.ts';
import { credentialStatus } from '../credentials/status.ts';
import { checkValues } from '../credentials/value_validation.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { destinationOf } from '../destinations/binding.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { CredentialValues } from '../records/record_codec.ts';
import { auditedUse } from './audited_use.ts';
import type { Candidate } from './candidate.ts';
import type { UseOutcomes } from './outcomes.ts';
import type { OpenedUse, UseOutcome, UseRequest } from './use.ts';

/** The parts of a candidate that a write would store. */
export interface CandidateState {
  readonly service: Service;
  readonly ref: CredentialRef;
  readonly values: CredentialValues;
  readonly destination: Destination | undefined;
  readonly before: CredentialMeta | undefined;
}

type Parts = Pick<
  VaultDependencies,
  'services' | 'isHostAllowed' | 'store' | 'records' | 'audit_log' | 'now'
>;

export class Candidates {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #outcomes: UseOutcomes;

  constructor(parts: Parts, guard: Guard, outcomes: UseOutcomes) {
    this.#parts = parts;
    this.#guard = guard;
    this.#outcomes = outcomes;
  }

  /** A credential of these values alone. Throws INVALID_INPUT for values that could not be stored. Sealed ones are not accepted. */
  async ofValues(
    caller: Caller,
    input: { readonly service_id: string; readonly credentials: Readonly<Record<string, string>> },
  ): Promise<Candidate> {
    const service = this.#parts.services.get(input.service_id);
    const ref = requestedRef(caller, service, { service_id: service.slug });
    const keyring = await this.#guard.authorize(caller, 'credentials:use', ref, 'use');
    const given = new Map(Object.entries(input.credentials));
    const refuse = () => {
      throw new VaultError('INVALID_INPUT', 'Sealed values can be stored, but not tested before.');
    };
    // Without references, which only a stored value may have.
    const values = checkValues(service, given, refuse);
    const destination = destinationOf(this.#parts, service, values);
    return this.#candidate(caller, keyring, { service, ref, values, destination, before: undefined });
  }

  /** The credential that a write would store. */
  async ofWrite(caller: Caller, state: CandidateState): Promise<Candidate> {
    const keyring = await this.#guard.authorize(caller, 'credentials:use', state.ref, 'use');
    return this.#candidate(caller, keyring, state);
  }

  #candidate(caller: Caller, keyring: OrganizationKeyring, state: CandidateState): Candidate {
    const { service, ref, values, destination, before } = state;
    const fields = [...values.keys()];
    const status = credentialStatus(service, { ...EMPTY, ...ref, fields }, this.#parts.now());
    if (destination === undefined || !status.required_credentials_added) {
      const missing = missingFields(service, status).join(', ') || 'a field that names its host';
      const message = `The values cannot be tested: they have no ${missing}. Give all fields together, or store them without verify.`;
      throw new VaultError('INVALID_INPUT', message);
    }
    const { stack, name } = ref;
    const begin = (request: UseRequest, address?: string) =>
      this.#begin(caller, keyring, state, request, address);
    return { service, stack, name, credential_id: before?.id ?? null, fields, destination, begin };
  }

  async #begin(
    caller: Caller,
    keyring: OrganizationKeyring,
    { ref, values, before }: CandidateState,
    request: UseRequest,
    address: string | undefined,
  ): Promise<OpenedUse> {
    const { audit_log, store, records, now } = this.#parts;
    const use = auditedUse(records.newId(), request, address);
    const about = before === undefined ? { ref } : { ref, credential_id: before.id };
    const entry = newEntry(caller, 'use', now(), { ...about, fields: [...values.keys()], use });
    await store.commit({ writes: [], audit: [audit_log.append(keyring, entry)] });
    let is_finished = false;
    const finish = ({ status, reason, bytes, origin, address: used }: UseOutcome) => {
      if (is_finished) return;
      is_finished = true;
      const known = { status: status ?? null, bytes: bytes ?? null };
      const where = { origin: origin ?? use.origin, address: used ?? use.address };
      const facts = {
        ...about,
        use: { ...use, ...known, ...where },
        ...(reason === undefined ? {} : { reason }),
      };
      this.#outcomes.add(keyring, newEntry(caller, 'use_outcome', now(), facts));
    };
    return { values, finish };
  }
}

/** The attributes of a credential that its completeness does not depend on. */
const EMPTY = {
  id: '',
  revision: 0,
  type: 'custom',
  created_at: '',
  updated_at: '',
  modified_by: '',
  inactive: false,
  expires_at: null,
  last_used_at: null,
} as const;
