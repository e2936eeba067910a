/**
 * The owners and units of credentials: for which users a caller may create, list and move credentials by id, and into which
 * units it may put them.
 */
import type { AuditAction } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { USERS_LISTED_MAX } from '../../contract/limits.ts';
import { ORGANIZATION_OWNER } from '../../contract/stack.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import { type Guard, mayActFor, NO_SINGLE_STACK } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { KnownUser, OrganizationRegistry } from './registry.ts';

export class CredentialOwners {
  readonly #guard: Guard;
  readonly #directory: OrganizationRegistry;

  constructor(guard: Guard, directory: OrganizationRegistry) {
    this.#guard = guard;
    this.#directory = directory;
  }

  /** A move to another user takes a credential away from its owner: no role in a shared stack allows that. */
  async assertMayMove(caller: Caller, keyring: OrganizationKeyring, before: CredentialMeta): Promise<void> {
    if (mayActFor(caller, before.user) && before.user !== ORGANIZATION_OWNER) return;
    await this.#guard.recordDenial(caller, keyring, 'move', before, 'missing role owner');
    throw new VaultError('FORBIDDEN', 'A credential of a shared stack stays with its owner.');
  }

  /** The units of the users, and of the owners of shared stacks. */
  async withUnits(
    caller: Caller,
    keyring: OrganizationKeyring,
    unit_of: ReadonlyMap<string, string | undefined>,
    shared: readonly { readonly user: string }[],
  ): Promise<ReadonlyMap<string, string | undefined>> {
    const all = new Map(unit_of);
    for (const owner of new Set(shared.map(({ user }) => user)))
      all.set(owner, (await this.#directory.user(caller, keyring, owner)).unit_id);
    return all;
  }

  /** The user with this id, if the caller may act for it. Throws NOT_FOUND. */
  async owner(caller: Caller, keyring: OrganizationKeyring, user_id: string | undefined): Promise<KnownUser> {
    if (user_id === undefined) return this.#directory.user(caller, keyring, caller.user);
    const user = await this.#directory.userOfId(keyring, user_id);
    if (!mayActFor(caller, user.name)) throw new VaultError('NOT_FOUND', 'No such user.');
    return user;
  }

  /** The users whose credentials are listed, each with its unit. Without a unit: the caller only. */
  async list(
    caller: Caller,
    keyring: OrganizationKeyring,
    unit: string | undefined,
  ): Promise<readonly (readonly [string, string | undefined])[]> {
    if (unit === undefined) return [[caller.user, undefined]];
    const users = caller.scopes.has('org:admin')
      ? await this.#directory.users(keyring, USERS_LISTED_MAX + 1)
      : [await this.#directory.user(caller, keyring, caller.user)];
    return users.map(({ name, unit_id }) => [name, unit_id]);
  }

  /** The unit to put a credential into. Throws FORBIDDEN for one that only an administrator may choose. */
  async unitFor(
    caller: Caller,
    keyring: OrganizationKeyring,
    unit_id: string | undefined,
    own_unit: string,
    action: AuditAction,
  ): Promise<string | undefined> {
    const unit = await this.unit(keyring, unit_id);
    if (unit === undefined || unit === own_unit || caller.scopes.has('org:admin')) return unit;
    await this.#guard.recordDenial(caller, keyring, action, NO_SINGLE_STACK, 'another unit');
    const message = 'Only an administrator may put a credential into another unit. Leave the unit out.';
    throw new VaultError('FORBIDDEN', message);
  }

  async unit(keyring: OrganizationKeyring, unit_id: string | undefined): Promise<string | undefined> {
    return unit_id === undefined ? undefined : (await this.#directory.findUnit(keyring, unit_id)).id;
  }
}
