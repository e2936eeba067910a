/**
 * Executes a change of one credential: reads the current row, lets the operation decide on it, seals the result, and
 * commits it with its audit entry in one transaction. Decides nothing itself; callers have passed the guard.
 */
import { type AuditAction, OBSERVED_ACTIONS } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import type { Batch, ChangePlan, LoadedRow, StoredMeta } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { bindDestination, storesSecret } from '../destinations/binding.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { tokenAfterWrite } from '../oauth/token_state.ts';
import type { PendingValues, RelatedWrites } from '../protection/pending_values.ts';
import { credentialProtected, isProtectedFrom, ProtectedValuesError } from '../protection/rule.ts';
import { deferError, retryOnConflict } from '../records/conflict_retry.ts';
import { idText, loadedRecord } from '../records/record_codec.ts';
import type { SealedNonce } from '../sealed_values/reader.ts';
import { UsedNonces } from '../sealed_values/used_nonces.ts';
import type { StackRecords } from '../stacks/repository.ts';
import {
  actionOf,
  type CredentialChange,
  changesOf,
  type ExistingCredential,
  type Mutation,
  ofSecrets,
  otherFields,
  TriedWriteError,
} from './changes.ts';
import { type CredentialMeta, type CredentialRef, damagedCredential } from './codec.ts';
import { nameTaken } from './name.ts';
import { CredentialQuota, growthOf, Reservation } from './quota.ts';

export interface WriteRequest {
  readonly caller: Caller;
  readonly keyring: OrganizationKeyring;
  readonly action: AuditAction;
  /** The credential to write, existing or new. */
  readonly ref: CredentialRef;
  /** Where it moves to. */
  readonly target?: CredentialRef;
  /** Whether it ends the protection. */
  readonly unprotects?: boolean;
  /** Rejects with CredentialMovedError unless the credential at `ref` has this id. */
  readonly id?: string;
  /** The field ids that the audit entry names. */
  readonly fields: readonly string[];
  /** Of the sealed values among the new ones. */
  readonly nonces?: readonly SealedNonce[];
  /** Whether `change` may read the present values. */
  readonly needs_values?: boolean;
  /** Default: the values that wait for a person are deleted if the credential is deleted, moved or no longer protected. */
  readonly also?: RelatedWrites | undefined;
  /** Rejects with ProtectedValuesError if the credential is protected. Default: FORBIDDEN, reason `credential_protected`. */
  readonly may_wait?: boolean;
  /** Rejects with TriedWriteError, or ProtectedValuesError, if nothing else refuses the write. Writes nothing. */
  readonly is_trial?: boolean;
  readonly change: Mutation;
}

type WriterParts = Pick<
  VaultDependencies,
  'store' | 'codec' | 'records' | 'audit_log' | 'services' | 'isHostAllowed' | 'quota' | 'now'
>;

/** Additional writes for the stack in the same transaction; throws if nothing can be stored in the stack. */
type StackWrites = () => Pick<Batch, 'writes' | 'audit'>;
const NO_WRITES: StackWrites = () => ({ writes: [], audit: [] });

/** Findings of a use, a test or a refresh. */
const OBSERVED: ReadonlySet<AuditAction> = new Set(OBSERVED_ACTIONS);

interface Written {
  readonly meta: CredentialMeta;
  /** `undefined` after a delete. */
  readonly row: StoredMeta | undefined;
}

export class CredentialWriter {
  readonly #parts: WriterParts;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #nonces: UsedNonces;
  readonly #quota: CredentialQuota;
  readonly #valid_keys: ApiKeySet;
  readonly #pending: PendingValues;

  constructor(
    parts: WriterParts,
    guard: Guard,
    stacks: StackRecords,
    valid_keys: ApiKeySet,
    pending: PendingValues,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#nonces = new UsedNonces(parts);
    this.#quota = new CredentialQuota(parts, stacks);
    this.#valid_keys = valid_keys;
    this.#pending = pending;
  }

  /**
   * Resolves with the credential as written (as deleted, for a delete) once that is durable. NOT_FOUND and FORBIDDEN are
   * audited as denials.
   */
  async write(request: WriteRequest): Promise<CredentialMeta> {
    try {
      // The row itself cannot conflict, since it is read in the transaction; its stack can.
      return await retryOnConflict(() => this.#writeOnce(request));
    } catch (error) {
      await this.#recordDenial(request, error);
      throw error;
    }
  }

  async #recordDenial({ caller, keyring, action, ref }: WriteRequest, error: unknown): Promise<void> {
    if (!(error instanceof VaultError) || (error.code !== 'NOT_FOUND' && error.code !== 'FORBIDDEN')) return;
    const beyond = error.reason === 'credential_protected' ? 'protected' : 'beyond what the caller may do';
    const reason = error.code === 'NOT_FOUND' ? 'not found' : beyond;
    await this.#guard.recordDenial(caller, keyring, action, ref, reason);
  }

  async #writeOnce(request: WriteRequest): Promise<CredentialMeta> {
    const { caller, keyring, action, ref, target, nonces = [], needs_values = false } = request;
    const { user, stack } = target ?? ref;
    const { codec, store } = this.#parts;
    const stackWrites =
      action === 'delete'
        ? NO_WRITES
        : await deferError(this.#stacks.stackWritesFor(caller, keyring, user, stack));
    const usage = action === 'delete' ? undefined : await this.#quota.usageOf(keyring, user);
    const reservation = usage && new Reservation(usage);
    const index = codec.indexOf(keyring, ref);
    const target_index = target && codec.indexOf(keyring, target);
    const key_reads = this.#valid_keys.reads(caller, keyring);
    const nonce_reads = this.#nonces.reads(keyring, nonces);
    const drops_pending = action === 'delete' || target !== undefined || request.unprotects === true;
    const also = request.also ?? (drops_pending ? this.#pending.removalOf(keyring, ref) : undefined);
    const reads = [
      { index, values: needs_values },
      ...key_reads,
      ...nonce_reads,
      ...(also?.reads ?? []),
      ...(target_index ? [{ index: target_index }] : []),
    ];
    const plan = ([current, ...others]: readonly (LoadedRow | undefined)[]) => {
      const [key_set] = others.splice(0, key_reads.length);
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const used = others.splice(0, nonce_reads.length);
      const more = also?.writes(others.splice(0, also.reads.length)) ?? [];
      const withMore = () => {
        const { writes, audit } = stackWrites();
        return {
          writes: [...writes, ...more, ...this.#nonces.writes(keyring, nonces, used)],
          audit: [...audit, ...(also?.audit?.() ?? [])],
        };
      };
      const related = nonces.length + more.length > 0 ? withMore : stackWrites;
      const planned = this.#plan(request, related, target_index ?? index, current, others[0]);
      reservation?.replace(growthOf(planned.batch, user === ref.user ? current : undefined));
      if (request.is_trial === true) throw new TriedWriteError(planned.result.meta);
      return planned;
    };
    let written: Written;
    try {
      written = await store.change(reads, plan, keyring.id);
    } catch (error) {
      reservation?.release();
      throw error;
    }
    reservation?.commit();
    const { meta, row } = written;
    if (nonces.length > 0) this.#nonces.sweep(keyring);
    this.#pending.sweep(keyring);
    if (row !== undefined && meta.revision > 1) codec.remember(row, meta);
    return meta;
  }

  #plan(
    request: WriteRequest,
    related: StackWrites,
    index: Buffer,
    current: LoadedRow | undefined,
    occupant: LoadedRow | undefined,
  ): ChangePlan<Written> {
    const { caller, keyring, action, ref } = request;
    const { codec, audit_log, now } = this.#parts;
    const before = current && this.#openBefore(request, current.row);
    if (request.id !== undefined && before?.id !== request.id) throw new CredentialMovedError();
    const values = () => codec.openValues(keyring, loadedRecord(current));
    const existing = before && { meta: before, values };
    const is_protected = before !== undefined && !OBSERVED.has(action) && isProtectedFrom(caller, before);
    if (is_protected && request.may_wait !== true) throw credentialProtected();
    const change = request.change(existing);
    if (change !== 'delete') {
      if (occupant !== undefined && codec.openFound(keyring, occupant.row).id !== before?.id)
        throw nameTaken();
      const planned = this.#put(request, related, index, existing, change, current?.row);
      if (is_protected) throw new ProtectedValuesError(before, planned.result.meta);
      return planned;
    }
    if (current === undefined || before === undefined) throw noSuchCredential();
    const { id, fields, revision } = before;
    const entry = newEntry(caller, action, now(), { ref, credential_id: id, fields, revision });
    const deletion = { do: 'delete', expected_revision: revision, id: current.row.id } as const;
    const { writes, audit } = related();
    const batch = { writes: [...writes, deletion], audit: [...audit, audit_log.append(keyring, entry)] };
    return { batch, result: { meta: before, row: undefined } };
  }

  #put(
    { caller, keyring, action, ref, target, fields }: WriteRequest,
    stackWrites: StackWrites,
    index: Buffer,
    existing: ExistingCredential | undefined,
    change: CredentialChange,
    current: StoredMeta | undefined,
  ): ChangePlan<Written> {
    const { codec, audit_log } = this.#parts;
    const { writes, audit } = stackWrites();
    const before = existing?.meta;
    const { user, stack, service, name } = target ?? ref;
    if (name !== null && name !== before?.name) assertNewName('credential', name);
    const expected_revision = before?.revision ?? 0;
    const id_bytes = current?.id ?? codec.newIdBytes();
    const id = before?.id ?? idText(id_bytes);
    const revision = expected_revision + 1;
    const at = this.#parts.now();
    const updated_at = formatTimestamp(at);
    const refreshed = action === 'refresh' ? before : undefined;
    const meta: CredentialMeta = {
      user,
      stack,
      service,
      name,
      id,
      revision,
      type: change.type,
      fields: [...change.values.keys()],
      created_at: before?.created_at ?? updated_at,
      // A refresh is not a change by a person or an agent.
      updated_at: refreshed?.updated_at ?? updated_at,
      modified_by: refreshed?.modified_by ?? caller.user,
      inactive: change.inactive ?? before?.inactive ?? false,
      last_used_at: before?.last_used_at ?? null,
      unit: change.unit ?? before?.unit,
      destination:
        change.destination ??
        bindDestination(this.#parts, service, fields, existing, change.values, change.approved),
      ...ofSecrets(change, before, storesSecret(this.#parts, service, fields)),
      token: change.token ?? tokenAfterWrite(this.#parts.services.find(service), before, fields, at),
      protected: change.protected ?? before?.protected,
      values_revision: fields.length > 0 ? revision : before?.values_revision,
      use_policy: change.use_policy === undefined ? before?.use_policy : (change.use_policy ?? undefined),
    };
    const scope = codec.scopeOf(keyring, user, stack);
    const sealed = codec.seal(keyring, { id: id_bytes, scope, index }, meta, change.values);
    const changes = changesOf(before, meta);
    const logged_as = action === 'update' && fields.length === 0 ? actionOf(changes) : action;
    const entry = newEntry(caller, logged_as, at, {
      ref: target ?? ref,
      credential_id: id,
      fields,
      ...otherFields(before, meta, fields),
      changes,
      revision,
    });
    const batch = {
      writes: [...writes, { do: 'put', expected_revision, ...sealed } as const],
      audit: [...audit, audit_log.append(keyring, entry)],
    };
    return { batch, result: { meta, row: sealed.row } };
  }

  /** A damaged credential can only be deleted, and only by its reference, which is all that is known of it. */
  #openBefore({ keyring, action, ref, id }: WriteRequest, row: StoredMeta): CredentialMeta {
    try {
      return this.#parts.codec.openFound(keyring, row);
    } catch (error) {
      const is_damaged = error instanceof VaultError && error.code === 'CORRUPT';
      if (!is_damaged || action !== 'delete' || id !== undefined) throw error;
      return damagedCredential(ref, row);
    }
  }
}

/** The credential was moved or deleted after it was looked up by its id. The caller looks it up again. */
export class CredentialMovedError extends Error {}

export function noSuchCredential(): VaultError {
  return new VaultError('NOT_FOUND', 'No such credential.');
}
