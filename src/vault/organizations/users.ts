/**
 * The users of an organization: listed, moved to another unit and removed by an administrator. With a user go its credentials,
 * stacks, shares and API keys, so that a later user of the same name inherits nothing. A request of the user in flight stores no credential and
 * makes no key once the keys are revoked; at most it leaves an empty stack, or the record of a user who has nothing.
 */
import type { UserInfo, UserList } from '../../contract/api_key.ts';
import { type Caller, DEFAULT_STACK, LOCAL_ORGANIZATION, LOCAL_USER } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { USERS_LISTED_MAX } from '../../contract/limits.ts';
import type { RecordWrite } from '../../store/store.ts';
import type { ApiKeys } from '../api_keys/api_keys.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { removal } from '../records/entity_repository.ts';
import { grantedTo } from '../stacks/access.ts';
import type { StackContents } from '../stacks/contents.ts';
import type { StackRecords } from '../stacks/repository.ts';
import type { StackShares } from '../stacks/shares.ts';
import type { OrganizationRegistry } from './registry.ts';

export class Users {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #registry: OrganizationRegistry;
  readonly #stacks: StackRecords;
  readonly #contents: StackContents;
  readonly #api_keys: ApiKeys;
  readonly #shares: StackShares;

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    registry: OrganizationRegistry,
    stacks: StackRecords,
    contents: StackContents,
    api_keys: ApiKeys,
    shares: StackShares,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#registry = registry;
    this.#stacks = stacks;
    this.#contents = contents;
    this.#api_keys = api_keys;
    this.#shares = shares;
  }

  /** The users of an organization, newest first. */
  async list(caller: Caller, organization?: string): Promise<UserList> {
    const { keyring } = await this.#guard.authorizeIn(caller, organization, 'org:admin', 'list_users');
    const users = await this.#registry.users(keyring, USERS_LISTED_MAX + 1);
    return { users: users.slice(0, USERS_LISTED_MAX), more: users.length > USERS_LISTED_MAX };
  }

  /** Moves a user to the unit with this id or name, which decides on what is shared with it. Throws NOT_FOUND. */
  async move(caller: Caller, name: string, unit: string, organization?: string): Promise<UserInfo> {
    const { home, actor, keyring } = await this.#guard.authorizeIn(
      caller,
      organization,
      'org:admin',
      'move_user',
    );
    const moveOnce = async () => {
      const user = await this.#registry.findUser(keyring, name);
      if (user === undefined) throw noSuchUser();
      const to = await this.#registry.findUnit(keyring, unit);
      const moved =
        user.unit_id === to.id ? user : await this.#registry.moveUser(actor, keyring, user, to.id);
      return { id: moved.id, name, unit_id: moved.unit_id };
    };
    return this.#guard.auditDenials(caller, home, 'move_user', ['NOT_FOUND'], NO_SINGLE_STACK, () =>
      retryOnConflict(moveOnce),
    );
  }

  /** Deletes a user with all credentials, stacks and API keys. Throws NOT_FOUND. */
  async remove(caller: Caller, name: string, organization?: string): Promise<UserInfo> {
    const { home, actor, keyring } = await this.#guard.authorizeIn(
      caller,
      organization,
      'org:admin',
      'delete_user',
    );
    await this.#guard.auditDenials(caller, home, 'delete_user', ['NOT_FOUND'], NO_SINGLE_STACK, async () => {
      if ((await this.#registry.findUser(keyring, name)) === undefined) throw noSuchUser();
    });
    assertRemovable(caller, actor.organization, name);
    // First, so that the user can do nothing more.
    await retryOnConflict(() => this.#api_keys.revokeAllOf(actor, keyring, name));
    return retryOnConflict(() => this.#removeOnce(actor, keyring, name));
  }

  async #removeOnce(caller: Caller, keyring: OrganizationKeyring, name: string): Promise<UserInfo> {
    const { audit_log, codec, now } = this.#parts;
    const empty: RecordWrite[] = [];
    const rows = await this.#stacks.allDeletable(keyring, name);
    const stack_ids = rows.flatMap(({ stack_id }) => stack_id ?? []);
    for (const stack of new Set([...stack_ids, DEFAULT_STACK])) {
      const owned = { user: name, stack };
      const { writes, audit, ids, revoke } = await this.#contents.delete(
        caller,
        keyring,
        owned,
        'all',
        'owner_removed',
      );
      const deletions = await Promise.all(
        rows
          .filter(({ stack_id }) => stack_id === stack)
          .map((row) => this.#stacks.deletionOf(caller, keyring, name, row)),
      );
      // Fails if a credential was stored in between: this is tried again then.
      const nothing_left = { do: 'check_none', scope: codec.scopeOf(keyring, name, stack) } as const;
      empty.push(nothing_left);
      await this.#contents.commit(keyring, {
        writes: [...writes, ...deletions.flatMap((one) => one.writes), nothing_left],
        audit: [...audit, ...deletions.flatMap((one) => one.audit)],
        ids,
        revoke,
      });
    }
    const unnamed = await Promise.all(
      rows
        .filter(({ stack_id }) => stack_id === undefined)
        .map((row) => this.#stacks.deletionOf(caller, keyring, name, row)),
    );
    await this.#shares.endAllWith(caller, keyring, name);
    // Fails if a stack was shared with the user in between.
    const no_shares = {
      do: 'check_none',
      scope: this.#guard.access.grantScope(keyring, grantedTo(name)),
    } as const;
    // Fails if a stack was created in between.
    const no_stacks = { do: 'check_none', scope: this.#stacks.scopeOf(keyring, name) } as const;
    const found = await this.#registry.findUser(keyring, name);
    if (found === undefined) throw noSuchUser();
    const { id, revision, unit_id } = found;
    const entry = newEntry(caller, 'delete_user', now(), { record_id: id, revision, owner: name });
    // With the keys that requests in progress have created since.
    await this.#api_keys.revokeAllOf(caller, keyring, name, {
      writes: [...empty, ...unnamed.flatMap((one) => one.writes), no_stacks, no_shares, removal(found)],
      audit: [...unnamed.flatMap((one) => one.audit), audit_log.append(keyring, entry)],
    });
    return { id, name, unit_id };
  }
}

/** Without these users the organization has no administrator, and the removal cannot be undone. */
function assertRemovable(caller: Caller, organization: string, name: string): void {
  if (organization === LOCAL_ORGANIZATION && name === LOCAL_USER)
    throw new VaultError('INVALID_INPUT', 'The user of the local vault cannot be removed.');
  if (organization === caller.organization && name === caller.user)
    throw new VaultError('INVALID_INPUT', 'You cannot remove yourself. Another administrator can.');
}

function noSuchUser(): VaultError {
  return new VaultError('NOT_FOUND', 'No such user. List the users to see their names.');
}
