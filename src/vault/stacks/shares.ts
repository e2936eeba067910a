/**
 * Shares of stacks with users and units: listed, made and ended by those who may manage the stack. A share is part of the
 * stack's record; the grant by which the other user finds the stack is written in the same transaction. A caller shares no
 * more than its API key allows.
 */
import { type Caller, LOCAL_ORGANIZATION, LOCAL_USER, type Scope } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { SHARES_PER_STACK_MAX, STACKS_SHARED_WITH_ONE_MAX } from '../../contract/limits.ts';
import {
  isGeneratedStackId,
  ShareInput,
  type StackRole,
  type StackShare,
  UnshareInput,
} from '../../contract/stack.ts';
import { parseInput } from '../../contract/validation.ts';
import type { RecordWrite } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, noSuchStack, type Touched } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { OrganizationRegistry } from '../organizations/registry.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { removal, type Versioned } from '../records/entity_repository.ts';
import { idBytes } from '../records/record_codec.ts';
import {
  type Grantee,
  grantedTo,
  grantedToUnit,
  isSameGrantee,
  type StackMeta,
  type StoredShare,
} from './access.ts';
import type { StackRecords } from './repository.ts';

/** Users of access tokens may have no record. */
const TOKEN_USER_PREFIX = 'oauth/';

const SCOPES_OF_ROLE: Readonly<Record<StackRole, readonly Scope[]>> = {
  use: ['credentials:read', 'credentials:use'],
  edit: ['credentials:read', 'credentials:use', 'credentials:write'],
  manage: ['credentials:read', 'credentials:use', 'credentials:write', 'stacks:write'],
};

/** A grantee that exists, and the write that fails if it is removed meanwhile. */
interface KnownGrantee {
  readonly grantee: Grantee;
  readonly checks: readonly RecordWrite[];
}

type ShareAction = 'share_stack' | 'unshare_stack';

export class StackShares {
  readonly #parts: Pick<VaultDependencies, 'store' | 'now'>;
  readonly #guard: Guard;
  readonly #records: StackRecords;
  readonly #registry: OrganizationRegistry;

  constructor(
    parts: Pick<VaultDependencies, 'store' | 'now'>,
    guard: Guard,
    records: StackRecords,
    registry: OrganizationRegistry,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#records = records;
    this.#registry = registry;
  }

  /** The shares of a stack, oldest first. For those who may manage it. */
  async list(caller: Caller, stack_id: string): Promise<readonly StackShare[]> {
    const touched: Touched = { ...(await this.#guard.requestedStack(caller, stack_id)), right: 'manage' };
    const keyring = await this.#guard.authorize(caller, 'credentials:read', touched);
    // As for a status, a stack that no record names is empty.
    if (!isGeneratedStackId(touched.stack)) return [];
    const { meta } = await this.#find(keyring, touched);
    return Promise.all((meta.shares ?? []).map((share) => this.#describe(keyring, share)));
  }

  /** Shares a stack, or changes the role of a share. Throws NOT_FOUND for an unknown stack, user or unit. */
  async share(caller: Caller, stack_id: string, raw: ShareInput): Promise<StackShare> {
    const { role, ...named } = parseInput(ShareInput, raw);
    const touched = await this.#guard.requestedStack(caller, stack_id);
    const keyring = await this.#guard.authorize(caller, 'stacks:write', touched, 'share_stack');
    const denied = ['NOT_FOUND', 'FORBIDDEN'] as const;
    return this.#guard.auditDenials(caller, keyring, 'share_stack', denied, touched, async () => {
      if (!isGeneratedStackId(touched.stack)) throw notShareable();
      assertMayGrant(caller, role);
      return retryOnConflict(async () => {
        const found = await this.#find(keyring, touched);
        if (found.meta.closing) throw noSuchStack();
        const { grantee, checks } = await this.#known(caller, keyring, named);
        if (grantee.user === found.meta.user)
          throw new VaultError('INVALID_INPUT', 'The stack belongs to this user already.');
        const others = (found.meta.shares ?? []).filter((one) => !isSameGrantee(one, grantee));
        if (others.length >= SHARES_PER_STACK_MAX) {
          const message = `A stack has at most ${SHARES_PER_STACK_MAX} shares. Share it with a unit.`;
          throw new VaultError('INVALID_INPUT', message);
        }
        await this.#assertBelowLimit(keyring, grantee);
        const shared_at = this.#parts.now().toISOString();
        const share: StoredShare = { ...grantee, role, shared_by: caller.user, shared_at };
        const grant = await this.#guard.access.putGrant(keyring, grantee, found.meta);
        await this.#commit(
          caller,
          keyring,
          'share_stack',
          found,
          { shares: [...others, share], of: grantee },
          [...checks, grant],
        );
        return this.#describe(keyring, share);
      });
    });
  }

  /**
   * Ends a share; has no effect on uses that have begun. Throws NOT_FOUND without one. Each user can end a share with
   * itself.
   */
  async unshare(caller: Caller, stack_id: string, raw: UnshareInput): Promise<void> {
    const { user, unit } = parseInput(UnshareInput, raw);
    const stack = await this.#guard.requestedStack(caller, stack_id);
    const touched: Touched = user === caller.user ? { ...stack, right: 'use' } : stack;
    const keyring = await this.#guard.authorize(caller, 'stacks:write', touched, 'unshare_stack');
    await this.#guard.auditDenials(caller, keyring, 'unshare_stack', ['NOT_FOUND'], touched, () =>
      retryOnConflict(async () => {
        if (!isGeneratedStackId(stack.stack)) throw notShared();
        const found = await this.#find(keyring, stack);
        const grantee =
          unit === undefined
            ? grantedTo(user ?? '')
            : grantedToUnit((await this.#registry.findUnit(keyring, unit)).id);
        await this.#end(caller, keyring, found, grantee);
      }),
    );
  }

  /** Ends all shares with a user who is being removed. The guard has authorized the removal. */
  async endAllWith(caller: Caller, keyring: OrganizationKeyring, user: string): Promise<void> {
    const grantee = grantedTo(user);
    for (const grant of await this.#guard.access.allGrants(keyring, grantee)) {
      await retryOnConflict(async () => {
        const { owner = '', stack_id = '' } = grant.meta ?? {};
        const stack = await this.#records.findDeletable(keyring, owner, stack_id);
        if (stack?.meta?.shares?.some((one) => isSameGrantee(one, grantee)))
          return this.#end(caller, keyring, { ...stack, meta: stack.meta }, grantee);
        // A damaged stack or grant: without one of them, the other allows nothing.
        await this.#parts.store.commit({ writes: [removal(grant)], audit: [] });
      });
    }
  }

  async #end(
    caller: Caller,
    keyring: OrganizationKeyring,
    found: Versioned<StackMeta>,
    grantee: Grantee,
  ): Promise<void> {
    const { shares = [], stack_id } = found.meta;
    const ended = shares.filter((one) => isSameGrantee(one, grantee));
    if (ended.length === 0) throw notShared();
    const kept = shares.filter((one) => !ended.includes(one));
    const grants = await this.#guard.access.removeGrants(keyring, { stack_id, shares: ended });
    await this.#commit(caller, keyring, 'unshare_stack', found, { shares: kept, of: grantee }, grants);
  }

  async #commit(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: ShareAction,
    { id, revision, meta: before }: Versioned<StackMeta>,
    { shares, of }: { readonly shares: readonly StoredShare[]; readonly of: Grantee },
    also: readonly RecordWrite[],
  ): Promise<void> {
    const meta: StackMeta = { ...before, shares, updated_at: this.#parts.now().toISOString() };
    const change = { what: 'share', from: describe(before, of), to: describe(meta, of) } as const;
    const facts = {
      record_id: id,
      stack_id: meta.stack_id,
      owner: meta.user,
      revision: revision + 1,
      changes: [change],
    };
    await this.#parts.store.commit({
      writes: [...also, this.#records.put(keyring, id, revision + 1, meta)],
      audit: [this.#records.auditEntry(caller, keyring, action, facts)],
    });
  }

  async #find(
    keyring: OrganizationKeyring,
    { user, stack }: Pick<Touched, 'user' | 'stack'>,
  ): Promise<Versioned<StackMeta>> {
    const found = await this.#records.find(keyring, user, stack);
    if (found === undefined) throw noSuchStack();
    return found;
  }

  async #known(
    caller: Caller,
    keyring: OrganizationKeyring,
    { user, unit }: UnshareInput,
  ): Promise<KnownGrantee> {
    if (unit !== undefined)
      return { grantee: grantedToUnit((await this.#registry.findUnit(keyring, unit)).id), checks: [] };
    const name = user ?? '';
    const is_local = caller.organization === LOCAL_ORGANIZATION && name === LOCAL_USER;
    if (is_local || name.startsWith(TOKEN_USER_PREFIX)) return { grantee: grantedTo(name), checks: [] };
    const found = await this.#registry.findUser(keyring, name);
    if (found === undefined)
      throw new VaultError('NOT_FOUND', 'No such user. Users are created with their first API key.');
    const check = { do: 'check', expected_revision: found.revision, id: idBytes(found.id) } as const;
    return { grantee: grantedTo(name), checks: [check] };
  }

  async #assertBelowLimit(keyring: OrganizationKeyring, grantee: Grantee): Promise<void> {
    const { count } = await this.#parts.store.usage(this.#guard.access.grantScope(keyring, grantee));
    if (count < STACKS_SHARED_WITH_ONE_MAX) return;
    const message = `At most ${STACKS_SHARED_WITH_ONE_MAX} stacks are shared with one user or unit.`;
    throw new VaultError('INVALID_INPUT', message);
  }

  async #describe(keyring: OrganizationKeyring, share: StoredShare): Promise<StackShare> {
    const unit = share.unit_id === null ? null : await this.#registry.findUnit(keyring, share.unit_id);
    return { ...share, unit_name: unit?.name ?? null };
  }
}

/** Throws FORBIDDEN for a key that is limited: the share would allow another user more, and outlive the key. */
function assertMayGrant(caller: Caller, role: StackRole): void {
  const lacking = SCOPES_OF_ROLE[role].filter((scope) => !caller.scopes.has(scope));
  if (lacking.length > 0) {
    const message = `A share with this role needs the scope ${lacking.join(' and ')}, which the caller does not have.`;
    throw new VaultError('FORBIDDEN', message, { required_scope: lacking.join(' ') });
  }
  if (caller.services !== undefined || caller.use_policy !== undefined) {
    const message = 'The API key is limited to some services or uses, and a share is not. Use another key.';
    throw new VaultError('FORBIDDEN', message);
  }
}

function notShared(): VaultError {
  return new VaultError('NOT_FOUND', 'The stack is not shared with this user or unit.');
}

function notShareable(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'Only a created stack can be shared. Create one with `keyhold stacks create NAME` and use the id that it has.',
  );
}

/** The role of a share for the audit log. */
function describe({ shares = [] }: StackMeta, grantee: Grantee): string | null {
  const share = shares.find((one) => isSameGrantee(one, grantee));
  if (share === undefined) return null;
  return `${share.user === null ? `unit ${share.unit_id}` : `user ${share.user}`}: ${share.role}`;
}
