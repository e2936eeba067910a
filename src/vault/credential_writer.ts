/**
 * Carries a change of one credential out: reads, lets the operation say what becomes of it, seals, and commits it
 * together with its audit entry. Decides nothing; only the vault's guard lets anybody get here.
 */
import type { AuditAction } from '../contract/audit.ts';
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import type { StoredMeta } from '../store/store.ts';
import { newEntry } from './audit_entry.ts';
import { type CredentialPlaces, keyOfPlace, type Spot } from './credential_places.ts';
import { CREDENTIAL_KIND, type CredentialMeta, type CredentialPlace } from './credential_record.ts';
import type { Guard } from './guard.ts';
import type { OrganizationRing } from './key_ring.ts';
import { OneAtATime } from './one_at_a_time.ts';
import { type CredentialValues, idText } from './record_codec.ts';
import { retryOnConflict } from './retry.ts';
import type { StackRecords } from './stack_records.ts';
import type { VaultParts } from './vault_parts.ts';

/** What an operation makes of the credential as it stands. What it does not say stays. */
export interface Changed {
  readonly type: string;
  readonly values: CredentialValues;
  /** Where it moves to. */
  readonly place?: CredentialPlace;
  readonly unit?: string | undefined;
  readonly inactive?: boolean | undefined;
}

/** The credential as it stands. */
export interface Current {
  readonly meta: CredentialMeta;
  /** Opened only by an operation that merges or moves. */
  values(): Promise<CredentialValues>;
}

export type ChangeOf = (current: Current | undefined) => Promise<Changed | 'delete'>;

export interface WriteRequest {
  readonly caller: Caller;
  readonly ring: OrganizationRing;
  readonly action: AuditAction;
  /** Where the credential is, or is to be. */
  readonly place: CredentialPlace;
  /** The credential with this id and no other: rejects with CredentialMoved where it does not stand there any more. */
  readonly id?: string;
  /** The field ids that the audit entry names. */
  readonly fields: readonly string[];
  readonly change: ChangeOf;
}

type WriterParts = Pick<VaultParts, 'store' | 'codec' | 'log' | 'now'>;

export class CredentialWriter {
  readonly #parts: WriterParts;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #places: CredentialPlaces;
  readonly #one_at_a_time = new OneAtATime();

  constructor(parts: WriterParts, guard: Guard, stacks: StackRecords, places: CredentialPlaces) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#places = places;
  }

  /**
   * Resolves with the credential as written (as deleted, for a delete) once that is durable. Does all again from the
   * start when another process was faster; a change that throws NOT_FOUND is logged as refused.
   */
  write(request: WriteRequest): Promise<CredentialMeta> {
    const { caller, ring, action, place } = request;
    return this.#one_at_a_time.run(keyOfPlace(ring, place), async () => {
      try {
        return await retryOnConflict(() => this.#writeOnce(request));
      } catch (error) {
        if (error instanceof VaultError && error.code === 'NOT_FOUND')
          await this.#guard.logDenied(caller, ring, action, place, 'not found');
        throw error;
      }
    });
  }

  async #writeOnce(request: WriteRequest): Promise<CredentialMeta> {
    const { caller, ring, action, place } = request;
    const { store, codec, log, now } = this.#parts;
    const spot = await this.#places.look(ring, place);
    const { row, index } = spot;
    const before = this.#openBefore(request, spot);
    if (request.id !== undefined && before?.id !== request.id) throw new CredentialMoved();
    const changed = await request.change(
      row && before && { meta: before, values: () => this.#values(ring, row) },
    );
    const at = now();
    const expected_revision = before?.revision ?? 0;
    if (changed === 'delete') {
      if (row === undefined || before === undefined) throw noSuchCredential();
      const { id, fields, revision } = before;
      const entry = newEntry(caller, action, at, { place, credential_id: id, fields, revision });
      const gone = { do: 'delete', expected_revision, id: row.id } as const;
      await store.commit({ writes: [gone], audit: [log.append(ring, entry)] });
      return before;
    }
    const moved = changed.place ?? place;
    const unit = changed.unit ?? before?.unit;
    // Spread last: what is added to an object after a spread costs V8 a microsecond each.
    const meta: CredentialMeta = {
      user: moved.user,
      stack: moved.stack,
      service: moved.service,
      name: moved.name,
      id: before?.id ?? codec.newId(),
      revision: expected_revision + 1,
      type: changed.type,
      fields: [...changed.values.keys()],
      created_at: before?.created_at ?? at.toISOString(),
      updated_at: at.toISOString(),
      modified_by: caller.user,
      inactive: changed.inactive ?? before?.inactive ?? false,
      expires_at: null,
      last_used_at: before?.last_used_at ?? null,
      last_test: null,
      ...(unit === undefined ? {} : { unit }),
    };
    const target =
      changed.place === undefined ? { index, row } : await this.#freeTarget(ring, moved, meta.id);
    const scope = target.row?.scope ?? codec.scopeOf(ring, moved.user, moved.stack);
    const record = codec.seal(ring, target.index, scope, meta, changed.values);
    const { id, revision } = meta;
    const entry = newEntry(caller, action, at, {
      place: moved,
      credential_id: id,
      fields: request.fields,
      revision,
    });
    const also = await this.#stacks.companions(caller, ring, moved.user, moved.stack);
    await store.commit({
      writes: [...also.writes, { do: 'put', expected_revision, record }],
      audit: [...also.audit, log.append(ring, entry)],
    });
    if (target.index === index) this.#places.remember(spot.key, record, meta);
    return meta;
  }

  /** A damaged credential can be got rid of by its place, which is all that is known of it; nothing else can be done. */
  #openBefore({ ring, action, place, id }: WriteRequest, spot: Spot): CredentialMeta | undefined {
    const { row } = spot;
    try {
      return this.#places.open(ring, spot);
    } catch (error) {
      const is_damaged = error instanceof VaultError && error.code === 'CORRUPT';
      if (row === undefined || !is_damaged || action !== 'delete' || id !== undefined) throw error;
      return damagedCredential(place, row);
    }
  }

  /** The index of a place that nobody else's credential has. Throws CONFLICT, which no second try mends. */
  async #freeTarget(ring: OrganizationRing, place: CredentialPlace, id: string) {
    const spot = await this.#places.look(ring, place);
    const { index, row } = spot;
    if (row === undefined || this.#places.open(ring, spot)?.id === id) return { index, row };
    throw nameTaken();
  }

  /** The values of exactly this revision; CONFLICT when it is no longer the present one. */
  async #values(ring: OrganizationRing, row: StoredMeta): Promise<CredentialValues> {
    const whole = await this.#parts.store.get(row.id);
    if (whole?.revision !== row.revision || whole.kind !== CREDENTIAL_KIND)
      throw new VaultError('CONFLICT', 'The credential was just changed.');
    return this.#parts.codec.openValues(ring, whole);
  }
}

/** A credential was moved or deleted between being found and being written. Whoever found it looks for it again. */
export class CredentialMoved extends Error {}

export function noSuchCredential(): VaultError {
  return new VaultError('NOT_FOUND', 'No such credential.');
}

/** What can be said of a credential that does not open. */
function damagedCredential(place: CredentialPlace, row: StoredMeta): CredentialMeta {
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
