/**
 * Who there is: organizations, their units and users. They are made when a key for them is made, each with its audit
 * entry, and have ids that programs know them by. Decides nothing: the operations that get here have passed the guard.
 */

import type { UnitInfo } from '../../contract/api_key.ts';
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Batch } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultParts } from '../dependencies.ts';
import { actorIn } from '../guard.ts';
import { keyGone, type OrganizationRing } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { type DirectoryPlace, DirectoryRecords, type Found } from '../records/entity_repository.ts';

interface NamedMeta {
  readonly name: string;
  readonly created_at: string;
}
interface UserMeta extends NamedMeta {
  readonly unit_id: string;
}

/** The unit that every organization has. */
const FIRST_UNIT = 'default';
const UNITS_MAX = 1_000;
const USERS_REMEMBERED_MAX = 10_000;

export interface KnownUser {
  readonly id: string;
  readonly name: string;
  readonly unit_id: string;
}

export class Directory {
  readonly #parts: VaultParts;
  readonly #organizations: DirectoryRecords<NamedMeta>;
  readonly #units: DirectoryRecords<NamedMeta>;
  readonly #users: DirectoryRecords<UserMeta>;
  /** Users are never renamed or removed, so what is known of one stays true. */
  readonly #known_users = new WeakMap<OrganizationRing, Map<string, KnownUser>>();

  constructor(parts: VaultParts) {
    this.#parts = parts;
    this.#organizations = new DirectoryRecords(parts, 'organization');
    this.#units = new DirectoryRecords(parts, 'unit');
    this.#users = new DirectoryRecords(parts, 'user');
  }

  /** The organization of this name with its id, which is founded when it is new: the log of `local` says so. */
  async organization(
    caller: Caller,
    name: string,
  ): Promise<{ readonly ring: OrganizationRing; readonly id: string }> {
    const { keys } = this.#parts;
    const home = await keys.organization(LOCAL_ORGANIZATION);
    if (home === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return retryOnConflict(async () => {
      const known = await this.#organizations.find(home, [name]);
      const ring = name === LOCAL_ORGANIZATION ? home : await keys.organization(name);
      if (known !== undefined && ring !== undefined) return { ring, id: known.id };
      if (known !== undefined) throw keyGone();
      const founded = ring === undefined ? keys.found(name, this.#parts.random) : undefined;
      const { id, batch } = this.#creation(home, this.#organizations, {
        place: { key: [name], scope: this.#organizations.scope(home, []) },
        meta: { name, created_at: this.#parts.now().toISOString() },
        caller: actorIn(caller, LOCAL_ORGANIZATION),
        action: 'create_organization',
      });
      if (founded === undefined) await this.#parts.store.commit(batch);
      else {
        const entry = newEntry(actorIn(caller, name), 'init', this.#parts.now(), {});
        const first = this.#parts.log.append(founded.ring, entry, true);
        await this.#parts.store.commit({ ...batch, keys: [founded.wrapped], audit: [...batch.audit, first] });
      }
      const there = ring ?? (await keys.organization(name));
      if (there === undefined) throw new VaultError('CONFLICT', 'The organization was just changed.');
      return { ring: there, id };
    });
  }

  /** The user of this name, who is made when new: in `unit` (an id or a name), or in the organization's first one. */
  async user(caller: Caller, ring: OrganizationRing, name: string, unit?: string): Promise<KnownUser> {
    const known = this.#known_users.get(ring)?.get(name);
    if (known !== undefined && unit === undefined) return known;
    return retryOnConflict(async () => {
      const found = await this.#users.find(ring, [name]);
      if (found !== undefined) return this.#remember(ring, found);
      const unit_id = (
        unit === undefined ? await this.unit(caller, ring, FIRST_UNIT) : await this.findUnit(ring, unit)
      ).id;
      const meta = { name, unit_id, created_at: this.#parts.now().toISOString() };
      const { id, batch } = this.#creation(ring, this.#users, {
        place: { key: [name], scope: this.#users.scope(ring, []) },
        meta,
        caller,
        action: 'create_user',
      });
      await this.#parts.store.commit(batch);
      return this.#remember(ring, { id, revision: 1, meta });
    });
  }

  /** The user with this id. Throws NOT_FOUND. */
  async userOfId(ring: OrganizationRing, id: string): Promise<KnownUser> {
    const found = await this.#users.get(ring, id);
    if (found === undefined) throw new VaultError('NOT_FOUND', 'No such user.');
    return this.#remember(ring, found);
  }

  /** Names of the users of an organization, newest first, `limit` at most. */
  async users(ring: OrganizationRing, limit: number): Promise<readonly KnownUser[]> {
    const found = await this.#users.list(ring, this.#users.scope(ring, []), limit);
    return found.map(({ id, meta: { name, unit_id } }) => ({ id, name, unit_id }));
  }

  /** The unit of this name, which is made when it is new. */
  async unit(caller: Caller, ring: OrganizationRing, name: string): Promise<UnitInfo> {
    return retryOnConflict(async () => {
      const found = await this.#units.find(ring, [name]);
      if (found !== undefined) return unitInfo(found);
      if ((await this.units(ring)).length >= UNITS_MAX)
        throw new VaultError('INVALID_INPUT', `An organization has at most ${UNITS_MAX} units.`);
      const meta = { name, created_at: this.#parts.now().toISOString() };
      const place = { key: [name], scope: this.#units.scope(ring, []) };
      const { id, batch } = this.#creation(ring, this.#units, { place, meta, caller, action: 'create_unit' });
      await this.#parts.store.commit(batch);
      return { id, ...meta };
    });
  }

  /** The unit with this id or name. Throws NOT_FOUND. */
  async findUnit(ring: OrganizationRing, id_or_name: string): Promise<UnitInfo> {
    const found = (await this.#units.get(ring, id_or_name)) ?? (await this.#units.find(ring, [id_or_name]));
    if (found === undefined) throw noSuchUnit();
    return unitInfo(found);
  }

  /** The organization's first unit, which users belong to that are made without naming one. */
  firstUnit(caller: Caller, ring: OrganizationRing): Promise<UnitInfo> {
    return this.unit(caller, ring, FIRST_UNIT);
  }

  /** Newest first. */
  async units(ring: OrganizationRing): Promise<readonly UnitInfo[]> {
    return (await this.#units.list(ring, this.#units.scope(ring, []), UNITS_MAX)).map(unitInfo);
  }

  /** A new record with the audit entry that tells of it. */
  #creation<Meta extends object>(
    ring: OrganizationRing,
    records: DirectoryRecords<Meta>,
    made: {
      readonly place: DirectoryPlace;
      readonly meta: Meta;
      readonly caller: Caller;
      readonly action: AuditAction;
    },
  ): { readonly id: string; readonly batch: Batch } {
    const { records: codec, log, now } = this.#parts;
    const id = codec.newId();
    const entry = newEntry(made.caller, made.action, now(), { record_id: id, revision: 1 });
    const writes = [records.put(ring, made.place, id, 1, made.meta)];
    return { id, batch: { writes, audit: [log.append(ring, entry)] } };
  }

  #remember(ring: OrganizationRing, { id, meta: { name, unit_id } }: Found<UserMeta>): KnownUser {
    const known = this.#known_users.get(ring) ?? new Map<string, KnownUser>();
    this.#known_users.set(ring, known);
    if (known.size >= USERS_REMEMBERED_MAX) known.clear();
    const user = { id, name, unit_id };
    known.set(name, user);
    return user;
  }
}

export function noSuchUnit(): VaultError {
  return new VaultError('NOT_FOUND', 'No such unit. List the units to see their ids.');
}

function unitInfo({ id, meta: { name, created_at } }: Found<NamedMeta>): UnitInfo {
  return { id, name, created_at };
}
