/**
 * The records of stacks, and the stack writes that belong to the write of a credential. A stack is found by its owner and id
 * together; `access.ts` finds the owner of a stack that is shared.
 */
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, DEFAULT_STACK } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import { isGeneratedStackId } from '../../contract/stack.ts';
import type { AuditAppend, Batch, RecordWrite, StoredMeta } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { noSuchStack } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { idBytes, idText } from '../records/record_codec.ts';
import { StackAccess, type StackMeta } from './access.ts';

export interface DeletableStack {
  readonly id: string;
  readonly revision: number;
  /** `undefined` if the stack is damaged and the audit log does not name it. */
  readonly stack_id: string | undefined;
  /** `undefined` if the stack is damaged. */
  readonly meta: StackMeta | undefined;
}

/** Not counting `default`. */
const STACKS_PER_USER_MAX = 1_000;

export class StackRecords {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records' | 'audit_log' | 'now'>;
  readonly #records: EntityRepository<StackMeta>;
  readonly #access: StackAccess;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records' | 'audit_log' | 'now'>) {
    this.#parts = parts;
    this.#access = new StackAccess(parts);
    this.#records = new EntityRepository(parts, 'stack');
  }

  find(
    keyring: OrganizationKeyring,
    user: string,
    stack_id: string,
  ): Promise<Versioned<StackMeta> | undefined> {
    return this.#records.find(keyring, [user, stack_id]);
  }

  /** Newest first. */
  async list(keyring: OrganizationKeyring, user: string): Promise<readonly StackMeta[]> {
    // Without a limit: concurrent processes can create a few stacks more than the maximum.
    const scope = this.scopeOf(keyring, user);
    const found = await this.#records.list(keyring, scope, Number.POSITIVE_INFINITY);
    return found.map(({ meta }) => meta);
  }

  /** Ids of all stacks of a user, `default` too. */
  async idsOf(keyring: OrganizationKeyring, user: string): Promise<readonly string[]> {
    const stacks = await this.list(keyring, user);
    return [...new Set([...stacks.map(({ stack_id }) => stack_id), DEFAULT_STACK])];
  }

  /** Throws NOT_FOUND for a generated id that is not a stack of the user. */
  async assertReadable(keyring: OrganizationKeyring, user: string, stack_id: string): Promise<void> {
    if (isGeneratedStackId(stack_id) && (await this.find(keyring, user, stack_id)) === undefined)
      throw noSuchStack();
  }

  /** The stack writes that belong to a credential's write: check that the stack still exists, or create it. */
  async stackWritesFor(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    stack_id: string,
  ): Promise<Batch> {
    if (stack_id === DEFAULT_STACK) return NOTHING;
    const found = await this.find(keyring, user, stack_id);
    if (found?.meta.closing) {
      if (isGeneratedStackId(stack_id)) throw noSuchStack();
      // The next write after the deletion re-creates the stack, so the caller can retry.
      const message = 'The stack is being deleted. Retry; if this persists, delete it again.';
      throw new VaultError('CONFLICT', message);
    }
    if (found !== undefined) {
      return {
        writes: [{ do: 'check', expected_revision: found.revision, id: idBytes(found.id) }],
        audit: [],
      };
    }
    const may_make = caller.scopes.has('stacks:write') && user === caller.user;
    if (isGeneratedStackId(stack_id) || !may_make) throw noSuchStack();
    assertNewName('stack', stack_id);
    await this.assertBelowLimit(keyring, user);
    return this.creationOf(caller, keyring, this.newMeta(user, stack_id, stack_id));
  }

  /** Marks the stack as closing, so that concurrent writes cannot keep its deletion from finishing. */
  async close(
    caller: Caller,
    keyring: OrganizationKeyring,
    stack: Versioned<StackMeta>,
  ): Promise<Versioned<StackMeta>> {
    const { id, revision, meta } = stack;
    if (meta.closing) return stack;
    const closed: Versioned<StackMeta> = { id, revision: revision + 1, meta: { ...meta, closing: true } };
    const facts = { record_id: id, stack_id: meta.stack_id, revision: closed.revision, owner: meta.user };
    await this.#parts.store.commit({
      writes: [this.put(keyring, id, closed.revision, closed.meta)],
      audit: [this.auditEntry(caller, keyring, 'update_stack', facts)],
    });
    return closed;
  }

  /** Throws INVALID_INPUT if the user has the maximum number of stacks. */
  async assertBelowLimit(keyring: OrganizationKeyring, user: string): Promise<void> {
    // Counting rows decrypts none. Only at the limit it matters whether one of them is `default`.
    const { count } = await this.#parts.store.usage(this.scopeOf(keyring, user));
    if (count < STACKS_PER_USER_MAX) return;
    const others = (await this.idsOf(keyring, user)).length - 1;
    if (others < STACKS_PER_USER_MAX) return;
    const message = `A user has at most ${STACKS_PER_USER_MAX} stacks. Delete one first.`;
    throw new VaultError('INVALID_INPUT', message);
  }

  /** The batch that creates a stack. */
  creationOf(caller: Caller, keyring: OrganizationKeyring, meta: StackMeta): Batch {
    const id = this.#parts.records.newId();
    const facts = { record_id: id, stack_id: meta.stack_id, revision: 1, owner: meta.user };
    return {
      writes: [this.put(keyring, id, 1, meta)],
      audit: [this.auditEntry(caller, keyring, 'create_stack', facts)],
    };
  }

  /** The row of a stack, to delete it. Without `meta` if it is damaged. */
  async findDeletable(
    keyring: OrganizationKeyring,
    user: string,
    stack_id: string,
  ): Promise<DeletableStack | undefined> {
    const row = await this.#records.rowAt(keyring, [user, stack_id]);
    if (row === undefined) return undefined;
    const { id, revision, meta } = this.#records.openOwn(keyring, row) ?? { ...bare(row), meta: undefined };
    return { id, revision, stack_id, meta };
  }

  /** All stacks of a user that have a row. The id of a damaged one is in the audit log. */
  async allDeletable(keyring: OrganizationKeyring, user: string): Promise<readonly DeletableStack[]> {
    const found: DeletableStack[] = [];
    for await (const row of this.#records.rows(this.scopeOf(keyring, user))) {
      const { id, revision } = bare(row);
      const meta = this.#records.openOwn(keyring, row)?.meta;
      const entry = meta ?? (await this.#parts.audit_log.newest(keyring, { record_id: id }));
      found.push({ id, revision, stack_id: entry?.stack_id ?? undefined, meta });
    }
    return found;
  }

  /** The scope of a user's stacks. */
  scopeOf(keyring: OrganizationKeyring, user: string): Buffer {
    return this.#records.scope(keyring, [user]);
  }

  /** The batch that deletes a stack of a user, with the grants of its shares. */
  async deletionOf(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    { id, revision, stack_id, meta }: DeletableStack,
  ): Promise<Batch> {
    const known = stack_id === undefined ? {} : { stack_id };
    const facts = { record_id: id, revision, owner: user, ...known };
    const grants = meta === undefined ? [] : await this.#access.removeGrants(keyring, meta);
    return {
      writes: [removal({ id, revision }), ...grants],
      audit: [this.auditEntry(caller, keyring, 'delete_stack', facts)],
    };
  }

  put(keyring: OrganizationKeyring, id: string, revision: number, meta: StackMeta): RecordWrite {
    const ref = { key: [meta.user, meta.stack_id], scope: this.scopeOf(keyring, meta.user) };
    return this.#records.put(keyring, ref, id, revision, meta);
  }

  auditEntry(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    facts: Parameters<typeof newEntry>[3],
  ): AuditAppend {
    return this.#parts.audit_log.append(keyring, newEntry(caller, action, this.#parts.now(), facts));
  }

  newMeta(user: string, stack_id: string, stack_name: string): StackMeta {
    const at = this.#parts.now().toISOString();
    return {
      user,
      stack_id,
      stack_name,
      analytics_enabled: false,
      services: [],
      created_at: at,
      updated_at: at,
    };
  }
}

function bare({ id, revision }: StoredMeta): { readonly id: string; readonly revision: number } {
  return { id: idText(id), revision };
}

const NOTHING: Batch = { writes: [], audit: [] };
