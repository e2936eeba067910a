/**
 * Resolves the owner of a stack and the role of a user in it. A user has its own stacks, those that are shared with it or its
 * unit, and as an administrator those of the organization. A grant finds the owner of a shared stack; the stack itself has the roles, so
 * that a grant alone allows nothing. Reads the store for each decision: an ended share has no effect afterwards.
 */
import type { Caller } from '../../contract/caller.ts';
import {
  includesRight,
  isGeneratedStackId,
  ORGANIZATION_OWNER,
  type StackInfo,
  type StackRole,
  type StackShare,
} from '../../contract/stack.ts';
import type { RecordWrite } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, type Versioned } from '../records/entity_repository.ts';
import { idText } from '../records/record_codec.ts';

export interface StackMeta extends Omit<StackInfo, 'owner' | 'role' | 'shared_with'> {
  /** The owner: a user, or ORGANIZATION_OWNER. */
  readonly user: string;
  /** Absent: none. */
  readonly shares?: readonly StoredShare[];
  /** The stack is being deleted and accepts no new credentials. */
  readonly closing?: true;
}

/** Names the unit by its id only. */
export type StoredShare = Omit<StackShare, 'unit_name'>;
export type Grantee = Pick<StoredShare, 'user' | 'unit_id'>;

/** Records that a stack of `owner` is shared with `user` or `unit_id`. */
interface GrantMeta extends Grantee {
  readonly stack_id: string;
  readonly owner: string;
}

interface FoundGrant {
  readonly id: string;
  readonly revision: number;
  readonly meta: GrantMeta | undefined;
}

/** The user whose access is decided on, and whether it is an administrator. */
export type Member = Pick<Caller, 'user' | 'scopes'>;

type Parts = Pick<VaultDependencies, 'store' | 'records'>;

export class StackAccess {
  readonly #parts: Parts;
  readonly #stacks: EntityRepository<StackMeta>;
  readonly #users: EntityRepository<{ readonly unit_id: string }>;
  readonly #grants: EntityRepository<GrantMeta>;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#stacks = new EntityRepository(parts, 'stack');
    this.#users = new EntityRepository(parts, 'user');
    this.#grants = new EntityRepository(parts, 'stack_grant');
  }

  /**
   * The owner of the stack that a member means: itself, unless the stack is shared with it or is one of the organization. It
   * is `undefined` for a generated id that the member may not see, whether or not the stack exists, at the same cost.
   */
  async ownerOf(keyring: OrganizationKeyring, member: Member, stack_id: string): Promise<string | undefined> {
    if (!isGeneratedStackId(stack_id)) return member.user;
    if ((await this.#stacks.rowAt(keyring, [member.user, stack_id])) !== undefined) return member.user;
    const is_admin = member.scopes.has('org:admin');
    const organizations = [ORGANIZATION_OWNER, stack_id];
    if (is_admin && (await this.#stacks.rowAt(keyring, organizations)) !== undefined)
      return ORGANIZATION_OWNER;
    return (await this.#grantOf(keyring, member.user, stack_id))?.owner;
  }

  /** The role of a member in a stack of another owner. `undefined`: the stack is not shared with it. */
  async roleOf(
    keyring: OrganizationKeyring,
    { user }: Pick<Member, 'user'>,
    { owner, stack_id }: { readonly owner: string; readonly stack_id: string },
  ): Promise<StackRole | undefined> {
    const grant = await this.#grantOf(keyring, user, stack_id);
    if (grant?.owner !== owner) return undefined;
    const row = await this.#stacks.rowAt(keyring, [owner, stack_id]);
    const meta = this.#stacks.openOwn(keyring, row)?.meta;
    return meta && roleIn(meta, user, await this.#unitOf(keyring, user));
  }

  /** The stacks of others that are shared with a member; for an administrator also those of the organization. */
  async sharedWith(keyring: OrganizationKeyring, { user, scopes }: Member): Promise<readonly StackMeta[]> {
    const unit_id = await this.#unitOf(keyring, user);
    const grantees = [grantedTo(user), ...(unit_id === undefined ? [] : [grantedToUnit(unit_id)])];
    const found = new Map<string, StackMeta>();
    for (const grantee of grantees) {
      for (const { meta: grant } of await this.grantsOf(keyring, grantee)) {
        if (found.has(grant.stack_id) || grant.owner === user) continue;
        const row = await this.#stacks.rowAt(keyring, [grant.owner, grant.stack_id]);
        const meta = this.#stacks.openOwn(keyring, row)?.meta;
        if (meta !== undefined && roleIn(meta, user, unit_id) !== undefined) found.set(meta.stack_id, meta);
      }
    }
    if (scopes.has('org:admin')) {
      const scope = this.#stacks.scope(keyring, [ORGANIZATION_OWNER]);
      for (const { meta } of await this.#stacks.list(keyring, scope, Number.POSITIVE_INFINITY))
        found.set(meta.stack_id, meta);
    }
    return [...found.values()];
  }

  /** The grants to a user or unit. */
  grantsOf(keyring: OrganizationKeyring, grantee: Grantee): Promise<readonly Versioned<GrantMeta>[]> {
    return this.#grants.list(keyring, this.grantScope(keyring, grantee), Number.POSITIVE_INFINITY);
  }

  /** The rows of all grants to a user or unit, also of damaged ones, which have no `meta`. */
  async allGrants(keyring: OrganizationKeyring, grantee: Grantee): Promise<readonly FoundGrant[]> {
    const found: FoundGrant[] = [];
    for await (const row of this.#grants.rows(this.grantScope(keyring, grantee))) {
      const meta = this.#grants.openOwn(keyring, row)?.meta;
      found.push({ id: idText(row.id), revision: row.revision, meta });
    }
    return found;
  }

  grantScope(keyring: OrganizationKeyring, grantee: Grantee): Buffer {
    return this.#grants.scope(keyring, granteeKey(grantee));
  }

  /** The write that lets a grantee find a stack. */
  async putGrant(
    keyring: OrganizationKeyring,
    grantee: Grantee,
    { user: owner, stack_id }: Pick<StackMeta, 'user' | 'stack_id'>,
  ): Promise<RecordWrite> {
    const key = [...granteeKey(grantee), stack_id];
    // Not decrypted, so that a damaged grant is overwritten.
    const row = await this.#grants.rowAt(keyring, key);
    const id = row === undefined ? this.#parts.records.newId() : idText(row.id);
    const meta = { user: grantee.user, unit_id: grantee.unit_id, stack_id, owner };
    const ref = { key, scope: this.grantScope(keyring, grantee) };
    return this.#grants.put(keyring, ref, id, (row?.revision ?? 0) + 1, meta);
  }

  /** The writes that delete the grants of some shares of a stack, or of all. */
  async removeGrants(
    keyring: OrganizationKeyring,
    { stack_id, shares = [] }: Pick<StackMeta, 'stack_id' | 'shares'>,
  ): Promise<readonly RecordWrite[]> {
    const rows = await Promise.all(
      shares.map((share) => this.#grants.rowAt(keyring, [...granteeKey(share), stack_id])),
    );
    return rows.flatMap((row) =>
      row === undefined ? [] : [{ do: 'delete', expected_revision: row.revision, id: row.id } as const],
    );
  }

  /** The grant to the user, or to its unit. Reads the same rows for a stack that does not exist. */
  async #grantOf(
    keyring: OrganizationKeyring,
    user: string,
    stack_id: string,
  ): Promise<GrantMeta | undefined> {
    const own = await this.#grant(keyring, grantedTo(user), stack_id);
    if (own !== undefined) return own;
    const unit_id = await this.#unitOf(keyring, user);
    return unit_id === undefined ? undefined : this.#grant(keyring, grantedToUnit(unit_id), stack_id);
  }

  async #grant(
    keyring: OrganizationKeyring,
    grantee: Grantee,
    stack_id: string,
  ): Promise<GrantMeta | undefined> {
    const row = await this.#grants.rowAt(keyring, [...granteeKey(grantee), stack_id]);
    return this.#grants.openOwn(keyring, row)?.meta;
  }

  /** `undefined`: the user has no record, so that it is in no unit. */
  async #unitOf(keyring: OrganizationKeyring, user: string): Promise<string | undefined> {
    const row = await this.#users.rowAt(keyring, [user]);
    return this.#users.openOwn(keyring, row)?.meta.unit_id;
  }
}

export function grantedTo(user: string): Grantee {
  return { user, unit_id: null };
}

export function grantedToUnit(unit_id: string): Grantee {
  return { user: null, unit_id };
}

export function isSameGrantee(a: Grantee, b: Grantee): boolean {
  return a.user === b.user && a.unit_id === b.unit_id;
}

/** The higher role of those that are shared with the user and with its unit. */
function roleIn(
  { shares = [] }: StackMeta,
  user: string,
  unit_id: string | undefined,
): StackRole | undefined {
  let role: StackRole | undefined;
  for (const share of shares) {
    const is_granted = share.user === null ? share.unit_id === unit_id : share.user === user;
    if (is_granted && (role === undefined || includesRight(share.role, role))) role = share.role;
  }
  return role;
}

function granteeKey({ user, unit_id }: Grantee): string[] {
  return user === null ? ['unit', unit_id ?? ''] : ['user', user];
}
