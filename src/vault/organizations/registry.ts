/**
 * The records of organizations, units and users. They are created with the first key that names them, each with an audit
 * entry, and have ids. Does not authorize: the calling operations have passed the guard.
 */

import type { UnitInfo, UserInfo } from '../../contract/api_key.ts';
import type { AuditAction } from '../../contract/audit.ts';
import { actAs, type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import { ORGANIZATION_OWNER } from '../../contract/stack.ts';
import type { Batch } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import { namedOrganizations } from '../audit/organizations.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { keyMissing } from '../keys/wrapped_keys.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { type EntityRef, EntityRepository, type Versioned } from '../records/entity_repository.ts';

interface NamedMeta {
  readonly name: string;
  readonly created_at: string;
}
interface UserMeta extends NamedMeta {
  readonly unit_id: string;
}

/** Stands for the user of credentials that belong to the organization. */
const NO_USER_ID = '00000000-0000-0000-0000-000000000000';
/** The unit of users that are created without one. */
const DEFAULT_UNIT = 'default';
const UNITS_MAX = 1_000;

export interface KnownUser extends Readonly<UserInfo> {
  readonly revision: number;
}

export class OrganizationRegistry {
  readonly #parts: VaultDependencies;
  readonly #organizations: EntityRepository<NamedMeta>;
  readonly #units: EntityRepository<NamedMeta>;
  readonly #users: EntityRepository<UserMeta>;

  constructor(parts: VaultDependencies) {
    this.#parts = parts;
    this.#organizations = new EntityRepository(parts, 'organization');
    this.#units = new EntityRepository(parts, 'unit');
    this.#users = new EntityRepository(parts, 'user');
  }

  /** The organization with this name. Creates it if it is new, with an audit entry in the log of `local`. */
  async organization(
    caller: Caller,
    name: string,
  ): Promise<{ readonly keyring: OrganizationKeyring; readonly id: string }> {
    const { keys } = this.#parts;
    const home = await keys.organization(LOCAL_ORGANIZATION);
    if (home === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return retryOnConflict(async () => {
      const known = await this.#organizations.find(home, [name]);
      const keyring = name === LOCAL_ORGANIZATION ? home : await keys.organization(name);
      if (known !== undefined && keyring !== undefined) return { keyring, id: known.id };
      if (known !== undefined) throw keyMissing();
      const created =
        keyring === undefined ? await keys.createOrganizationKey(name, this.#parts.random) : undefined;
      const { id, batch } = this.#newRecord(home, this.#organizations, {
        ref: { key: [name], scope: this.#organizations.scope(home, []) },
        meta: { name, created_at: this.#parts.now().toISOString() },
        caller: localName(caller),
        action: 'create_organization',
      });
      if (created === undefined) await this.#parts.store.commit(batch);
      else {
        const entry = newEntry(actAs(caller, name), 'init', this.#parts.now(), {});
        const first = this.#parts.audit_log.append(created.keyring, entry, true);
        const { wrapped, root_key_id } = created;
        const audit = [...batch.audit, first];
        await this.#parts.store.commit({ ...batch, keys: [wrapped], root_key_id, audit });
      }
      const there = keyring ?? (await keys.organization(name));
      if (there === undefined) throw new VaultError('CONFLICT', 'The organization was just changed.');
      return { keyring: there, id };
    });
  }

  /** The names of all organizations but `local`, newest first. */
  async organizationNames(local: OrganizationKeyring): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { name } of namedOrganizations(this.#parts, local))
      if (name !== LOCAL_ORGANIZATION) names.push(name);
    return names;
  }

  /** The user with this name. Creates it if it is new, in `unit` (an id or a name) or in the default unit. */
  async user(caller: Caller, keyring: OrganizationKeyring, name: string, unit?: string): Promise<KnownUser> {
    return retryOnConflict(async () => {
      const found = await this.#users.find(keyring, [name]);
      if (found !== undefined) return knownUser(found);
      if (name === ORGANIZATION_OWNER) {
        const unit_id = (await this.unit(caller, keyring, DEFAULT_UNIT)).id;
        return { id: NO_USER_ID, name, unit_id, revision: 0 };
      }
      assertNewName('user', name);
      const unit_id = (
        unit === undefined
          ? await this.unit(caller, keyring, DEFAULT_UNIT)
          : await this.findUnit(keyring, unit)
      ).id;
      const meta = { name, unit_id, created_at: this.#parts.now().toISOString() };
      const { id, batch } = this.#newRecord(keyring, this.#users, {
        ref: { key: [name], scope: this.#users.scope(keyring, []) },
        meta,
        caller,
        action: 'create_user',
      });
      await this.#parts.store.commit(batch);
      return { id, name, unit_id, revision: 1 };
    });
  }

  /** Moves a user to another unit. Throws CONFLICT if the user was changed since it was found. */
  async moveUser(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: KnownUser,
    unit_id: string,
  ): Promise<KnownUser> {
    const { audit_log, now, store } = this.#parts;
    const found = await this.#users.find(keyring, [user.name]);
    if (found === undefined || found.revision !== user.revision)
      throw new VaultError('CONFLICT', 'The user was changed meanwhile.');
    const moved = { ...found, revision: found.revision + 1, meta: { ...found.meta, unit_id } };
    const ref = { key: [user.name], scope: this.#users.scope(keyring, []) };
    const entry = newEntry(caller, 'move_user', now(), {
      record_id: found.id,
      revision: moved.revision,
      owner: user.name,
      changes: [{ what: 'unit', from: user.unit_id, to: unit_id }],
    });
    await store.commit({
      writes: [this.#users.put(keyring, ref, found.id, moved.revision, moved.meta)],
      audit: [audit_log.append(keyring, entry)],
    });
    return knownUser(moved);
  }

  /** The user with this id. Throws NOT_FOUND. */
  async userOfId(keyring: OrganizationKeyring, id: string): Promise<KnownUser> {
    const found = await this.#users.get(keyring, id);
    if (found === undefined) throw new VaultError('NOT_FOUND', 'No such user.');
    return knownUser(found);
  }

  /** The users of an organization, newest first, `limit` at most. */
  async users(keyring: OrganizationKeyring, limit: number): Promise<readonly UserInfo[]> {
    const found = await this.#users.list(keyring, this.#users.scope(keyring, []), limit);
    return found.map(({ id, meta: { name, unit_id } }) => ({ id, name, unit_id }));
  }

  /** The user with this name, if it has a record. */
  async findUser(keyring: OrganizationKeyring, name: string): Promise<KnownUser | undefined> {
    const found = await this.#users.find(keyring, [name]);
    return found && knownUser(found);
  }

  /** The unit with this name. Creates it if it is new. */
  async unit(caller: Caller, keyring: OrganizationKeyring, name: string): Promise<UnitInfo> {
    return retryOnConflict(async () => {
      const found = await this.#units.find(keyring, [name]);
      if (found !== undefined) return unitInfo(found);
      if ((await this.units(keyring)).length >= UNITS_MAX)
        throw new VaultError('INVALID_INPUT', `An organization has at most ${UNITS_MAX} units.`);
      assertNewName('unit', name);
      const meta = { name, created_at: this.#parts.now().toISOString() };
      const ref = { key: [name], scope: this.#units.scope(keyring, []) };
      const { id, batch } = this.#newRecord(keyring, this.#units, {
        ref,
        meta,
        caller,
        action: 'create_unit',
      });
      await this.#parts.store.commit(batch);
      return { id, ...meta };
    });
  }

  /** The unit with this id or name. Throws NOT_FOUND. */
  async findUnit(keyring: OrganizationKeyring, id_or_name: string): Promise<UnitInfo> {
    const found =
      (await this.#units.get(keyring, id_or_name)) ?? (await this.#units.find(keyring, [id_or_name]));
    if (found === undefined) throw noSuchUnit();
    return unitInfo(found);
  }

  /** Newest first. */
  async units(keyring: OrganizationKeyring): Promise<readonly UnitInfo[]> {
    return (await this.#units.list(keyring, this.#units.scope(keyring, []), UNITS_MAX)).map(unitInfo);
  }

  /** A new record with its audit entry. */
  #newRecord<Meta extends object>(
    keyring: OrganizationKeyring,
    records: EntityRepository<Meta>,
    made: {
      readonly ref: EntityRef;
      readonly meta: Meta;
      readonly caller: Caller;
      readonly action: AuditAction;
    },
  ): { readonly id: string; readonly batch: Batch } {
    const { records: codec, audit_log, now } = this.#parts;
    const id = codec.newId();
    const entry = newEntry(made.caller, made.action, now(), { record_id: id, revision: 1 });
    const writes = [records.put(keyring, made.ref, id, 1, made.meta)];
    return { id, batch: { writes, audit: [audit_log.append(keyring, entry)] } };
  }
}

/** Local operators keep their user name; others are named `organization/user`. */
function localName(caller: Caller): Caller {
  const { organization, user } = caller;
  return organization === LOCAL_ORGANIZATION ? caller : { ...caller, user: `${organization}/${user}` };
}

export function noSuchUnit(): VaultError {
  return new VaultError('NOT_FOUND', 'No such unit. List the units to see their ids.');
}

function knownUser({ id, revision, meta: { name, unit_id } }: Versioned<UserMeta>): KnownUser {
  return { id, name, unit_id, revision };
}

function unitInfo({ id, meta: { name, created_at } }: Versioned<NamedMeta>): UnitInfo {
  return { id, name, created_at };
}
