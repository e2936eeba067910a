/**
 * Carries a change of one credential out: reads, lets the operation say what becomes of it, seals, and commits it
 * together with its audit entry. Decides nothing; only the vault's guard lets anybody get here.
 */
import type { AuditAction } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import type { Batch, Planned, StoredMeta, StoredRecord, StoreNow } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { type CredentialValues, idText } from '../records/record_codec.ts';
import type { StackRecords } from '../stacks/repository.ts';
import type { CredentialMeta, CredentialRef } from './codec.ts';
import type { CredentialLookup, LookupKey } from './lookup.ts';

/** What an operation makes of the credential as it stands. What it does not say stays. */
export interface CredentialChange {
  readonly type: string;
  readonly values: CredentialValues;
  readonly unit?: string | undefined;
  readonly inactive?: boolean | undefined;
}

/** The credential as it stands. */
export interface ExistingCredential {
  readonly meta: CredentialMeta;
  /** Opened only by an operation that merges or moves. */
  values(): CredentialValues;
}

/** Called while nobody else can write, perhaps more than once; what it throws undoes the write. */
export type Mutation = (current: ExistingCredential | undefined) => CredentialChange | 'delete';

export interface WriteRequest {
  readonly caller: Caller;
  readonly keyring: OrganizationKeyring;
  readonly action: AuditAction;
  /** Where the credential is, or is to be. */
  readonly place: CredentialRef;
  /** Where it moves to. */
  readonly target?: CredentialRef;
  /** The credential with this id and no other: rejects with CredentialMoved where it does not stand there any more. */
  readonly id?: string;
  /** The field ids that the audit entry names. */
  readonly fields: readonly string[];
  readonly change: Mutation;
}

type WriterParts = Pick<VaultDependencies, 'store' | 'codec' | 'log' | 'now'>;

/** What a write does besides, or throws where the stack takes none. */
type Companions = () => Pick<Batch, 'writes' | 'audit'>;
const NONE: Companions = () => ({ writes: [], audit: [] });

/** What a write finds within its transaction. */
interface Standing {
  readonly stored: StoreNow;
  readonly row: StoredMeta | undefined;
  readonly before: CredentialMeta | undefined;
}

interface Written {
  readonly meta: CredentialMeta;
  /** `undefined`: it is gone. */
  readonly record: StoredRecord | undefined;
}

export class CredentialWriter {
  readonly #parts: WriterParts;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #places: CredentialLookup;

  constructor(parts: WriterParts, guard: Guard, stacks: StackRecords, places: CredentialLookup) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#places = places;
  }

  /**
   * Resolves with the credential as written (as deleted, for a delete) once that is durable. A change that throws
   * NOT_FOUND is logged as refused.
   */
  async write(request: WriteRequest): Promise<CredentialMeta> {
    const { caller, keyring, action, place } = request;
    const spot = this.#places.spot(keyring, place);
    try {
      return await retryOnConflict(() => this.#writeOnce(request, spot));
    } catch (error) {
      if (error instanceof VaultError && error.code === 'NOT_FOUND')
        await this.#guard.recordDenial(caller, keyring, action, place, 'not found');
      throw error;
    }
  }

  async #writeOnce(request: WriteRequest, spot: LookupKey): Promise<CredentialMeta> {
    const { caller, keyring, action, place, target } = request;
    const { user, stack } = target ?? place;
    const also =
      action === 'delete' ? NONE : await settled(this.#stacks.companions(caller, keyring, user, stack));
    const planned = (stored: StoreNow) => this.#plan(request, spot, also, stored);
    const { meta, record } = await this.#parts.store.change(planned);
    if (record !== undefined && target === undefined) this.#places.remember(spot, record, meta);
    return meta;
  }

  #plan(request: WriteRequest, spot: LookupKey, also: Companions, stored: StoreNow): Planned<Written> {
    const { caller, keyring, action, place } = request;
    const row = stored.find(spot.index);
    const before = row && this.#openBefore(request, spot, row);
    if (request.id !== undefined && before?.id !== request.id) throw new CredentialMovedError();
    const values = () => this.#values(stored, keyring, row);
    const changed = request.change(before && { meta: before, values });
    if (changed !== 'delete') return this.#put(request, spot, also, { stored, row, before }, changed);
    if (row === undefined || before === undefined) throw noSuchCredential();
    const { id, fields, revision } = before;
    const facts = { place, credential_id: id, fields, revision };
    const entry = newEntry(caller, action, this.#parts.now(), facts);
    const gone = { do: 'delete', expected_revision: revision, id: row.id } as const;
    const batch = { writes: [gone], audit: [this.#parts.log.append(keyring, entry)] };
    return { batch, result: { meta: before, record: undefined } };
  }

  #put(
    { caller, keyring, action, place, target, fields }: WriteRequest,
    spot: LookupKey,
    also: Companions,
    { stored, row, before }: Standing,
    changed: CredentialChange,
  ): Planned<Written> {
    const { codec, log } = this.#parts;
    const { writes, audit } = also();
    const { user, stack, service, name } = target ?? place;
    const expected_revision = before?.revision ?? 0;
    const id_bytes = row?.id ?? codec.newIdBytes();
    const id = before?.id ?? idText(id_bytes);
    const revision = expected_revision + 1;
    const at = this.#parts.now();
    const updated_at = formatTimestamp(at);
    const unit = changed.unit ?? before?.unit;
    const meta: CredentialMeta = {
      user,
      stack,
      service,
      name,
      id,
      revision,
      type: changed.type,
      fields: [...changed.values.keys()],
      created_at: before?.created_at ?? updated_at,
      updated_at,
      modified_by: caller.user,
      inactive: changed.inactive ?? before?.inactive ?? false,
      expires_at: null,
      last_used_at: before?.last_used_at ?? null,
      last_test: null,
      unit,
    };
    const there =
      target === undefined ? { index: spot.index, row } : this.#freeTarget(keyring, target, id, stored);
    const scope = there.row?.scope ?? codec.scopeOf(keyring, user, stack);
    const sealed_as = { id: id_bytes, scope, index: there.index };
    const record = codec.seal(keyring, sealed_as, meta, changed.values);
    const facts = { place: target ?? place, credential_id: id, fields, revision };
    const batch = {
      writes: [...writes, { do: 'put', expected_revision, record } as const],
      audit: [...audit, log.append(keyring, newEntry(caller, action, at, facts))],
    };
    return { batch, result: { meta, record } };
  }

  /** A damaged credential can be got rid of by its place, which is all that is known of it; nothing else can be done. */
  #openBefore(
    { keyring, action, place, id }: WriteRequest,
    spot: LookupKey,
    row: StoredMeta,
  ): CredentialMeta {
    try {
      return this.#places.open(keyring, spot, row);
    } catch (error) {
      const is_damaged = error instanceof VaultError && error.code === 'CORRUPT';
      if (!is_damaged || action !== 'delete' || id !== undefined) throw error;
      return damagedCredential(place, row);
    }
  }

  /** The index of a place that nobody else's credential has. Throws CONFLICT, which no second try mends. */
  #freeTarget(keyring: OrganizationKeyring, place: CredentialRef, id: string, stored: StoreNow) {
    const spot = this.#places.spot(keyring, place);
    const row = stored.find(spot.index);
    if (row === undefined || this.#places.open(keyring, spot, row).id === id)
      return { index: spot.index, row };
    throw nameTaken();
  }

  #values(stored: StoreNow, keyring: OrganizationKeyring, row: StoredMeta | undefined): CredentialValues {
    const whole = row && stored.get(row.id);
    if (whole === undefined) throw noSuchCredential();
    return this.#parts.codec.openValues(keyring, whole);
  }
}

/** What came of it, for later: its failure counts only where it is asked for. */
async function settled<Result>(outcome: Promise<Result>): Promise<() => Result> {
  try {
    const result = await outcome;
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** A credential was moved or deleted between being found and being written. Whoever found it looks for it again. */
export class CredentialMovedError extends Error {}

export function noSuchCredential(): VaultError {
  return new VaultError('NOT_FOUND', 'No such credential.');
}

/** What can be said of a credential that does not open. */
function damagedCredential(place: CredentialRef, row: StoredMeta): CredentialMeta {
  return {
    ...place,
    id: idText(row.id),
    revision: row.revision,
    type: 'custom',
    fields: [],
    created_at: '',
    updated_at: '',
    modified_by: '',
    inactive: true,
    expires_at: null,
    last_used_at: null,
    last_test: null,
  };
}

/** A name for a credential that another one of the service has. */
export function nameTaken(): VaultError {
  return new VaultError(
    'CONFLICT',
    'There is a credential of this name for this service already. Choose another name, or update that one.',
    { reason: 'credential_exists' },
  );
}
