/**
 * Approvals of values for protected credentials. Approving writes them as the caller's request would have; the pending
 * record is deleted in the same transaction. The callers have passed the guard.
 */
import { Approval, NO_REQUEST } from '../../contract/approval.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import type { LoadedRow } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { CredentialChange, ExistingCredential } from '../credentials/changes.ts';
import { type CredentialMeta, refOf } from '../credentials/codec.ts';
import { mergeValues, replaceValue } from '../credentials/replace_value.ts';
import { CredentialMovedError, type CredentialWriter } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { bindDestination } from '../destinations/binding.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import {
  destinationText,
  type PendingMeta,
  type PendingValue,
  type PendingValues,
} from '../protection/pending_values.ts';
import { removal } from '../records/entity_repository.ts';
import { type CredentialValues, uuidBytes } from '../records/record_codec.ts';
import { noSuchApproval } from './destination_approvals.ts';
import { requester } from './use_approval.ts';

/** What waits, and the API key of the caller who requested it. */
export interface FoundApproval {
  readonly approval: Approval;
  readonly api_key_id: string | null;
}

export class ValueApprovals {
  readonly #parts: VaultDependencies;
  readonly #writer: CredentialWriter;
  readonly #pending: PendingValues;
  readonly #valid_keys: ApiKeySet;

  constructor(
    parts: VaultDependencies,
    writer: CredentialWriter,
    pending: PendingValues,
    valid_keys: ApiKeySet,
  ) {
    this.#parts = parts;
    this.#valid_keys = valid_keys;
    this.#writer = writer;
    this.#pending = pending;
  }

  /** Also deletes expired values. */
  async list(keyring: OrganizationKeyring, { organization }: Caller): Promise<readonly Approval[]> {
    this.#pending.sweep(keyring);
    return (await this.#pending.list(keyring)).map((one) => this.#describe(one, organization));
  }

  /** `undefined` unless values wait under this id. */
  async find(
    keyring: OrganizationKeyring,
    { organization }: Caller,
    id: string,
  ): Promise<FoundApproval | undefined> {
    const found = await this.#pending.get(keyring, id);
    if (found === undefined) return undefined;
    const { api_key_id = null } = found.meta.requested_by;
    return { approval: this.#describe(found, organization), api_key_id };
  }

  /** NOT_FOUND if no values wait under this id; CONFLICT if the credential has changed since they were given. */
  async approve(keyring: OrganizationKeyring, caller: Caller, id: string): Promise<Approval> {
    const { meta } = await this.#get(keyring, id);
    const ref = refOf(meta);
    let values: CredentialValues = new Map();
    const open = ([loaded]: readonly (LoadedRow | undefined)[]) => {
      const opened = this.#pending.open(keyring, loaded);
      if (opened === undefined) throw noSuchApproval();
      values = opened.values();
      return [removal(opened.found)];
    };
    try {
      await this.#writer.write({
        caller,
        keyring,
        action: 'approve_values',
        ref,
        id: meta.credential_id,
        fields: meta.fields,
        needs_values: true,
        also: { reads: [{ id: idOf(id), values: true }], writes: open },
        change: (current) => this.#changeOf(meta, current, values),
      });
    } catch (error) {
      throw error instanceof CredentialMovedError ? credentialChanged() : error;
    }
    return { ...this.#describe({ id, revision: 1, meta }, caller.organization), state: 'approved' };
  }

  /** Deletes the values. Throws as `approve`. */
  async deny(keyring: OrganizationKeyring, caller: Caller, id: string): Promise<Approval> {
    const { store, audit_log, now } = this.#parts;
    const reads = [{ id: idOf(id) }, ...this.#valid_keys.reads(caller, keyring)];
    const denied = await store.change(reads, ([loaded, key_set]) => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const found = this.#pending.open(keyring, loaded)?.found;
      if (found === undefined) throw noSuchApproval();
      const { credential_id, fields } = found.meta;
      const facts = { ref: refOf(found.meta), credential_id, record_id: id, fields };
      const entry = newEntry(caller, 'deny_values', now(), facts);
      const batch = { writes: [removal(found)], audit: [audit_log.append(keyring, entry)] };
      return { batch, result: found };
    });
    return { ...this.#describe(denied, caller.organization), state: 'denied' };
  }

  async #get(keyring: OrganizationKeyring, id: string): Promise<PendingValue> {
    const found = await this.#pending.get(keyring, id);
    if (found === undefined) throw noSuchApproval();
    return found;
  }

  #changeOf(
    meta: PendingMeta,
    current: ExistingCredential | undefined,
    given: CredentialValues,
  ): CredentialChange {
    if (current === undefined || !isUnchanged(meta, current.meta)) throw credentialChanged();
    const service = this.#parts.services.get(meta.service);
    const values = valuesAfter(meta, service, current, given);
    const destination = bindDestination(this.#parts, service.slug, meta.fields, current, values);
    // A person approved the origins that were shown.
    if (!isSameList(meta.new_origins, destinationText(destination))) throw destinationMoved();
    return { type: meta.type, values, destination };
  }

  #describe({ id, meta }: PendingValue, organization: string): Approval {
    const name = this.#parts.services.find(meta.service)?.name ?? meta.service;
    const { bound_origins, new_origins, fields } = meta;
    return Approval.parse({
      id,
      kind: 'stored_values',
      state: 'pending',
      created_at: meta.requested_at,
      expires_at: meta.expires_at,
      organization,
      user: meta.user,
      summary: `${name} gets new values: ${fields.join(', ')}`,
      service_id: meta.service,
      credential_id: meta.credential_id,
      stack_id: meta.stack,
      name: meta.name,
      requested_by: requesterOf(meta),
      bound_origins: bound_origins === null ? null : [...bound_origins],
      new_origins: new_origins === null ? null : [...new_origins],
      fields: [...fields],
      ...NO_REQUEST,
    } satisfies Approval);
  }
}

function requesterOf({ user, requested_by: by }: PendingMeta): string {
  const { edge, api_key_id = null, claimed_client = null } = by;
  const text = requester({ edge, api_key_id, claimed_client });
  return by.user === user ? text : `${text}, user ${by.user}`;
}

function valuesAfter(
  { mode }: PendingMeta,
  service: Service,
  current: ExistingCredential,
  given: CredentialValues,
): CredentialValues {
  if (mode === 'merge') return mergeValues(current, given);
  const [only] = given;
  if (only === undefined) throw new Error('no value');
  return replaceValue(current, service, ...only).values;
}

/** A refusal of the service changes no value, and is what new values are for. */
function isUnchanged(meta: PendingMeta, current: CredentialMeta): boolean {
  const is_only_rejected =
    !meta.rejected && current.rejected !== undefined && current.revision === meta.revision + 1;
  return current.id === meta.credential_id && (current.revision === meta.revision || is_only_rejected);
}

function isSameList(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return JSON.stringify(a && [...a].sort()) === JSON.stringify(b && [...b].sort());
}

/** For an id of a record that was found by it. */
function idOf(id: string): Buffer {
  const bytes = uuidBytes(id);
  if (bytes === undefined) throw noSuchApproval();
  return bytes;
}

function credentialChanged(): VaultError {
  return new VaultError(
    'CONFLICT',
    'The credential has changed since these values were given, so they were not stored. Deny them with `keyhold approvals deny`; have the values given again, or store them yourself.',
    { reason: 'approval_used' },
  );
}

function destinationMoved(): VaultError {
  return new VaultError(
    'CONFLICT',
    'The definition of the service has changed since these values were given: they would be sent elsewhere. Deny them with `keyhold approvals deny`, and have the values given again.',
    { reason: 'destination_changed' },
  );
}
