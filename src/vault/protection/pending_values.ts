/**
 * Values that a caller gave for a protected credential and that wait for a person: one record per credential, with values
 * sealed like those of credentials, deleted when a person decides, when the credential goes and a week later. Found by
 * the reference of the credential, so that the transaction that deletes or moves the credential deletes them.
 */
import type { PendingApproval } from '../../contract/approval.ts';
import type { Caller } from '../../contract/caller.ts';
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import {
  PENDING_VALUES_AGE_MS,
  PENDING_VALUES_BYTES_MAX,
  PENDING_VALUES_PER_ORGANIZATION_MAX,
  PENDING_VALUES_PER_USER_MAX,
} from '../../contract/limits.ts';
import type { Batch, LoadedRow, RecordWrite, RowRead, StoredMeta } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import { type CredentialRef, refOf } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { HourlySweep } from '../records/hourly_sweep.ts';
import { type CredentialValues, loadedRecord } from '../records/record_codec.ts';
import type { SealedNonce } from '../sealed_values/reader.ts';
import { UsedNonces } from '../sealed_values/used_nonces.ts';
import type { ProtectedValuesError } from './rule.ts';

/** `store`: replaces the one value, and what was issued with it. `merge`: sets fields and keeps the others. */
export type PendingMode = 'store' | 'merge';

export interface PendingMeta extends CredentialRef {
  readonly credential_id: string;
  /** Of the credential when the values were given, and whether the service had refused its values. */
  readonly revision: number;
  readonly rejected: boolean;
  readonly mode: PendingMode;
  /** The type of the credential afterwards. */
  readonly type: string;
  readonly fields: readonly string[];
  /** Where the credential is bound to, and where it would be bound to: see `destinationText`. */
  readonly bound_origins: readonly string[] | null;
  readonly new_origins: readonly string[] | null;
  /** Who gave the values. */
  readonly requested_by: Pick<Caller, 'user' | 'edge' | 'api_key_id' | 'claimed_client'>;
  readonly requested_at: string;
  readonly expires_at: string;
}
export type PendingValue = Versioned<PendingMeta>;

export interface GivenValues {
  readonly mode: PendingMode;
  readonly values: CredentialValues;
  readonly nonces: readonly SealedNonce[];
}

/** Further rows of a transaction, and the writes that follow from them. */
export interface RelatedWrites {
  readonly reads: readonly RowRead[];
  /** Called before the decision on the credential. An exception undoes the write. */
  writes(rows: readonly (LoadedRow | undefined)[]): readonly RecordWrite[];
  /** Further audit entries. Called after `writes`. */
  audit?(): Batch['audit'];
}

type Parts = Pick<VaultDependencies, 'store' | 'codec' | 'records' | 'audit_log' | 'notify' | 'now'>;

export class PendingValues {
  readonly #parts: Parts;
  readonly #valid_keys: ApiKeySet;
  readonly #nonces: UsedNonces;
  readonly #records: EntityRepository<PendingMeta>;
  readonly #sweep = new HourlySweep();

  constructor(parts: Parts, valid_keys: ApiKeySet) {
    this.#parts = parts;
    this.#valid_keys = valid_keys;
    this.#nonces = new UsedNonces(parts);
    this.#records = new EntityRepository(parts, 'pending_values');
  }

  /**
   * Keeps values that a write refused with `refused`, in place of those that wait for the same credential. CONFLICT if
   * the credential has changed since; RATE_LIMITED if too many wait.
   */
  async keep(
    caller: Caller,
    keyring: OrganizationKeyring,
    { before, after }: ProtectedValuesError,
    { mode, values, nonces }: GivenValues,
  ): Promise<PendingValue> {
    const { store, codec, records, audit_log, now } = this.#parts;
    const ref = refOf(before);
    const expired = await this.assertBelowLimits(keyring, ref);
    const at = now();
    const meta: PendingMeta = {
      ...ref,
      credential_id: before.id,
      revision: before.revision,
      rejected: before.rejected !== undefined,
      mode,
      type: after.type,
      fields: [...values.keys()],
      bound_origins: destinationText(before.destination),
      new_origins: destinationText(after.destination),
      requested_by: {
        user: caller.user,
        edge: caller.edge,
        api_key_id: caller.api_key_id,
        claimed_client: caller.claimed_client,
      },
      requested_at: at.toISOString(),
      expires_at: new Date(at.getTime() + PENDING_VALUES_AGE_MS).toISOString(),
    };
    // Never that of earlier values: a person approves what was shown under the id.
    const created: PendingValue = { id: records.newRandomId(), revision: 1, meta };
    const key_reads = this.#valid_keys.reads(caller, keyring);
    const reads = [
      { index: codec.indexOf(keyring, ref) },
      { index: this.indexOf(keyring, ref) },
      ...key_reads,
      ...this.#nonces.reads(keyring, nonces),
    ];
    const result = await store.change(reads, ([credential, former, ...others]) => {
      const [key_set] = others.splice(0, key_reads.length);
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const current = credential && codec.openFound(keyring, credential.row);
      if (current?.id !== before.id || current.revision !== before.revision)
        throw new VaultError('CONFLICT', 'The credential has been changed meanwhile. Call again.');
      const entry = newEntry(caller, 'request_values', at, {
        ref,
        credential_id: before.id,
        record_id: created.id,
        fields: meta.fields,
      });
      const list = { key: keyOf(ref), scope: this.#records.scope(keyring, []) };
      const writes = [
        ...expired.map(removal),
        ...(former === undefined ? [] : [deletionOf(former.row)]),
        ...this.#nonces.writes(keyring, nonces, others),
        this.#records.put(keyring, list, created.id, 1, meta, values),
      ];
      return { batch: { writes, audit: [audit_log.append(keyring, entry)] }, result: created };
    });
    if (nonces.length > 0) this.#nonces.sweep(keyring);
    this.#parts.notify({
      kind: 'stored_values',
      approval_id: created.id,
      organization: caller.organization,
      user: ref.user,
      summary: `new values for ${ref.service}: ${meta.fields.join(', ')}`,
      code: null,
      created_at: meta.requested_at,
      expires_at: meta.expires_at,
    });
    return result;
  }

  /** Those that wait for a person, newest first. */
  async list(keyring: OrganizationKeyring): Promise<readonly PendingValue[]> {
    const current = (await this.#all(keyring)).filter((one) => !this.#isExpired(one));
    const kept = await Promise.all(current.map((one) => this.#hasCredential(keyring, one)));
    return current.filter((_, at) => kept[at] === true);
  }

  /** `undefined` for an unknown id and if the values have expired or their credential is missing. */
  async get(keyring: OrganizationKeyring, id: string): Promise<PendingValue | undefined> {
    const found = await this.#records.get(keyring, id);
    if (found === undefined || this.#isExpired(found)) return undefined;
    return (await this.#hasCredential(keyring, found)) ? found : undefined;
  }

  /** What the status of a credential shows. */
  async pendingOf(keyring: OrganizationKeyring, meta: CredentialRef): Promise<PendingApproval | null> {
    const found = await this.#records.find(keyring, keyOf(meta));
    return found === undefined || this.#isExpired(found) ? null : describePending(found);
  }

  /** The record and its values, from the transaction. `undefined` if they are missing or have expired. */
  open(keyring: OrganizationKeyring, loaded: LoadedRow | undefined) {
    const found = this.#records.openOwn(keyring, loaded?.row);
    if (loaded === undefined || found === undefined || this.#isExpired(found)) return undefined;
    const values = () => this.#parts.records.openValues(keyring, loadedRecord(loaded));
    return { found, values };
  }

  /** The write that deletes the values of a credential together with it. */
  removalOf(keyring: OrganizationKeyring, ref: CredentialRef): RelatedWrites {
    return {
      reads: [{ index: this.indexOf(keyring, ref) }],
      writes: ([loaded]) => (loaded === undefined ? [] : [deletionOf(loaded.row)]),
    };
  }

  /** As `removalOf`, outside a transaction. */
  async removalNow(keyring: OrganizationKeyring, ref: CredentialRef): Promise<readonly RecordWrite[]> {
    const row = await this.#records.rowAt(keyring, keyOf(ref));
    return row === undefined ? [] : [deletionOf(row)];
  }

  indexOf(keyring: OrganizationKeyring, ref: CredentialRef): Buffer {
    return this.#records.indexOf(keyring, keyOf(ref));
  }

  /** Deletes expired values in the background, at most once an hour for an organization. */
  sweep(keyring: OrganizationKeyring): void {
    this.#sweep.run(keyring, () => this.deleteExpired(keyring));
  }

  async deleteExpired(keyring: OrganizationKeyring): Promise<void> {
    const expired = (await this.#all(keyring)).filter((one) => this.#isExpired(one));
    if (expired.length > 0) await this.#parts.store.commit({ writes: expired.map(removal), audit: [] });
  }

  #all(keyring: OrganizationKeyring): Promise<readonly PendingValue[]> {
    return this.#records.list(keyring, this.#records.scope(keyring, []), Number.POSITIVE_INFINITY);
  }

  /** Throws RATE_LIMITED if too many values wait. Returns the expired ones, to delete. */
  async assertBelowLimits(
    keyring: OrganizationKeyring,
    ref: CredentialRef,
  ): Promise<readonly PendingValue[]> {
    const key = JSON.stringify(keyOf(ref));
    const others = (await this.#all(keyring)).filter(({ meta }) => JSON.stringify(keyOf(meta)) !== key);
    const expired = others.filter((one) => this.#isExpired(one));
    const waiting = others.length - expired.length;
    const of_user = others.filter((one) => one.meta.user === ref.user && !expired.includes(one)).length;
    const { values_bytes } = await this.#parts.store.usage(this.#records.scope(keyring, []));
    if (
      of_user >= PENDING_VALUES_PER_USER_MAX ||
      waiting >= PENDING_VALUES_PER_ORGANIZATION_MAX ||
      values_bytes >= PENDING_VALUES_BYTES_MAX
    ) {
      const message =
        'Too many values wait for approval, so nothing was kept. Have the user decide on them: `keyhold approvals list`.';
      throw new VaultError('RATE_LIMITED', message);
    }
    return expired;
  }

  async #hasCredential(keyring: OrganizationKeyring, { meta }: PendingValue): Promise<boolean> {
    const { store, codec } = this.#parts;
    const row = await store.find(codec.indexOf(keyring, meta));
    return row !== undefined && codec.openIfIntact(keyring, row)?.id === meta.credential_id;
  }

  #isExpired({ meta }: PendingValue): boolean {
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime();
  }
}

export function describePending({ id, meta }: PendingValue): PendingApproval {
  const { fields, requested_at, expires_at } = meta;
  const command = `keyhold approvals approve ${id}`;
  return { approval_id: id, fields: [...fields], requested_at, expires_at, command };
}

/** Origins, or the fields of a server that is not used over HTTP. `null`: not bound. */
export function destinationText(destination: Destination | undefined): readonly string[] | null {
  if (destination === undefined) return null;
  const { origins, fields } = destination;
  return origins.length > 0 ? [...origins] : Object.entries(fields).map(([id, value]) => `${id} ${value}`);
}

function keyOf({ user, stack, service, name }: CredentialRef): string[] {
  return [user, stack, service, name ?? ''];
}

function deletionOf({ id, revision }: StoredMeta): RecordWrite {
  return { do: 'delete', expected_revision: revision, id };
}
