/**
 * Values that are tested before they are stored, or without being stored. Each test is a use: it needs the scope of uses, and
 * is in the audit log before the values are given out. Sends nothing itself.
 */
import type { AuditedUse } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { missingFields } from '../../services/missing_fields.ts';
import type { ChangePlan, LoadedRow } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
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
import { policiesOf, type UseLimits } from './limits.ts';
import { assertUsable, usableCredential } from './usable.ts';
import type { Candidate, OpenedUse, UsableCredential, UseRequest } from './use.ts';
import { changedMeanwhile, USE, type UseLog } from './use_log.ts';

/** The result of a write that was only tried. */
export interface TriedWrite {
  readonly before: CredentialMeta | undefined;
  readonly after: CredentialMeta;
  readonly values: CredentialValues;
}

interface Prepared {
  readonly caller: Caller;
  readonly keyring: OrganizationKeyring;
  readonly ref: CredentialRef;
  readonly credential: UsableCredential;
  readonly given: ReadonlySet<string>;
  readonly values: CredentialValues;
  /** The stored credential; `null`: none may exist. Absent: the values are for none. */
  readonly stored?: CredentialMeta | null;
}

type Parts = Pick<
  VaultDependencies,
  'store' | 'codec' | 'records' | 'audit_log' | 'services' | 'isHostAllowed' | 'now'
>;

export class Candidates {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #valid_keys: ApiKeySet;
  readonly #limits: UseLimits;
  readonly #log: UseLog;

  constructor(parts: Parts, guard: Guard, valid_keys: ApiKeySet, limits: UseLimits, log: UseLog) {
    this.#parts = parts;
    this.#guard = guard;
    this.#valid_keys = valid_keys;
    this.#limits = limits;
    this.#log = log;
  }

  /** The credential as a write would leave it, bound as that would bind it. Throws as `Uses.find` does. */
  async ofWrite(
    caller: Caller,
    ref: CredentialRef,
    { before, after, values }: TriedWrite,
    given: Iterable<string>,
  ): Promise<Candidate> {
    const service = this.#parts.services.get(ref.service);
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    const meta = { ...after, id: before?.id ?? after.id };
    return this.#prepare({ caller, keyring, ref, service, meta, values, given, stored: before ?? null });
  }

  /**
   * Values that are not stored: neither sealed values, which only a write uses up, nor references, which could be sent
   * anywhere. Throws as `Uses.find` does.
   */
  async ofValues(
    caller: Caller,
    service_id: string,
    texts: Readonly<Record<string, string>>,
  ): Promise<Candidate> {
    const service = this.#parts.services.get(service_id);
    const ref = await requestedRef(this.#guard, caller, service, { service_id });
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    const values = checkValues(service, new Map(Object.entries(texts)), refuseSealed);
    const at = this.#parts.now().toISOString();
    const meta: CredentialMeta = {
      ...ref,
      id: this.#parts.records.newId(),
      revision: 0,
      type: service.credential_types[0] ?? 'custom',
      fields: [...values.keys()],
      created_at: at,
      updated_at: at,
      modified_by: caller.user,
      inactive: false,
      expires_at: null,
      last_used_at: null,
      destination: destinationOf(this.#parts, service, values),
    };
    return this.#prepare({ caller, keyring, ref, service, meta, values, given: values.keys() });
  }

  async #prepare({
    service,
    meta,
    values: all,
    given,
    ...shared
  }: Omit<Prepared, 'credential' | 'given'> & {
    readonly service: Service;
    readonly meta: CredentialMeta;
    readonly given: Iterable<string>;
  }): Promise<Candidate> {
    const { caller, keyring, ref } = shared;
    const now = this.#parts.now();
    const destination = await this.#log.auditRefusals(caller, keyring, ref, () => {
      assertComplete(service, meta, now);
      if (meta.destination === undefined && !shared.stored) throw noServer();
      return assertUsable(this.#parts, service, meta, now, 'test');
    });
    const defined = new Set(service.fields.map(({ field_id }) => field_id));
    const values = new Map([...all].filter(([field_id]) => defined.has(field_id)));
    const credential = usableCredential(service, meta, [...values.keys()], destination);
    const prepared = { ...shared, credential, values, given: new Set(given) };
    return {
      credential,
      given: prepared.given,
      begin: (request) => this.#begin(prepared, request),
    };
  }

  async #begin(prepared: Prepared, request: UseRequest): Promise<OpenedUse> {
    const { caller, keyring, ref, credential, values, stored } = prepared;
    const use = auditedUse(this.#parts.records.newId(), request, undefined);
    const policies = policiesOf(caller, credential);
    await this.#log.auditRefusals(
      caller,
      keyring,
      ref,
      () => {
        this.#limits.count(policies, request, this.#parts.now());
        return this.#append(prepared, use);
      },
      use,
    );
    const finish = this.#log.finisher({ caller, keyring, use, target: targetOf(ref, stored) });
    return { values, revision: credential.revision, finish };
  }

  #append({ caller, keyring, ref, credential, stored }: Prepared, use: AuditedUse): Promise<void> {
    const { store, codec, audit_log, now } = this.#parts;
    const key_reads = this.#valid_keys.reads(caller, keyring);
    const reads = [...key_reads, ...(stored === undefined ? [] : [{ index: codec.indexOf(keyring, ref) }])];
    const plan = (rows: readonly (LoadedRow | undefined)[]): ChangePlan<void> => {
      const [key_set] = rows.slice(0, key_reads.length);
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const loaded = rows[key_reads.length];
      const current = loaded && codec.openFound(keyring, loaded.row);
      if (stored !== undefined && (current?.id !== stored?.id || current?.revision !== stored?.revision))
        throw changedMeanwhile();
      const facts = { ...targetOf(ref, stored), fields: credential.fields, use };
      const entry = newEntry(caller, USE.action, now(), facts);
      return { batch: { writes: [], audit: [audit_log.append(keyring, entry)] }, result: undefined };
    };
    return store.change(reads, plan);
  }
}

/** As the audit log names it: values that are for no credential have a service only. */
function targetOf(ref: CredentialRef, stored: Prepared['stored']) {
  if (stored === undefined) return { service_id: ref.service };
  return stored === null ? { ref } : { ref, credential_id: stored.id };
}

/** The message of a stored credential would name commands that add the missing fields to it. */
function assertComplete(service: Service, meta: CredentialMeta, now: Date): void {
  const status = credentialStatus(service, meta, now);
  if (status.required_credentials_added) return;
  const missing = missingFields(service, status).join(', ');
  const message = `These values cannot be tested without ${missing}. Give all of them in one call.`;
  throw new VaultError('INVALID_INPUT', message);
}

function noServer(): VaultError {
  return new VaultError('INVALID_INPUT', 'These values name no server, so that they cannot be tested.');
}

function refuseSealed(_text: string, field_id: string): never {
  const message = `The value of ${field_id} is sealed. Sealed values can be stored, not tested without it.`;
  throw new VaultError('INVALID_INPUT', message);
}
