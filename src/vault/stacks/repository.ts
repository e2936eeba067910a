/**
 * Stacks as records, and what writing a credential has to do with the stack that it is in. Each is found by its user
 * and its id together, so that nobody finds another user's.
 */
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, DEFAULT_STACK } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { StackInfo } from '../../contract/stack.ts';
import type { AuditAppend, Batch, RecordWrite } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { noSuchStack } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, type Versioned } from '../records/entity_repository.ts';
import { idBytes } from '../records/record_codec.ts';

export interface StackMeta extends StackInfo {
  readonly user: string;
  /** It is being deleted, so that nothing is stored in it any more. */
  readonly closing?: true;
}

/** Ids that are given out, never chosen. */
const GIVEN_ID = /^stack_/;
/** Besides `default`. */
const STACKS_PER_USER_MAX = 1_000;

export class StackRecords {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records' | 'log' | 'now'>;
  readonly #records: EntityRepository<StackMeta>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records' | 'log' | 'now'>) {
    this.#parts = parts;
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
    // To the end: where two processes made stacks at once, there can be a few more than the limit.
    const scope = this.#records.scope(keyring, [user]);
    const found = await this.#records.list(keyring, scope, Number.POSITIVE_INFINITY);
    return found.map(({ meta }) => meta);
  }

  /** Ids of all stacks of a user, `default` too. */
  async idsOf(keyring: OrganizationKeyring, user: string): Promise<readonly string[]> {
    const stacks = await this.list(keyring, user);
    return [...new Set([...stacks.map(({ stack_id }) => stack_id), DEFAULT_STACK])];
  }

  /** Throws NOT_FOUND for a stack whose id was given out once and is not the user's. */
  async assertReadable(keyring: OrganizationKeyring, user: string, stack_id: string): Promise<void> {
    if (GIVEN_ID.test(stack_id) && (await this.find(keyring, user, stack_id)) === undefined)
      throw noSuchStack();
  }

  /**
   * What a write to a credential in this stack does besides: makes sure that the stack still is there, or makes it when
   * it comes to be with its first credential.
   */
  async stackWritesFor(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    stack_id: string,
  ): Promise<Batch> {
    if (stack_id === DEFAULT_STACK) return NOTHING;
    const found = await this.find(keyring, user, stack_id);
    if (found?.meta.closing) {
      if (GIVEN_ID.test(stack_id)) throw noSuchStack();
      // It will come to be anew once it is gone, which is worth waiting for.
      const message = 'This stack is just being deleted. Try again; if it stays so, delete it again.';
      throw new VaultError('CONFLICT', message);
    }
    if (found !== undefined) {
      return {
        writes: [{ do: 'check', expected_revision: found.revision, id: idBytes(found.id) }],
        audit: [],
      };
    }
    const may_make = caller.scopes.has('stacks:write') && user === caller.user;
    if (GIVEN_ID.test(stack_id) || !may_make) throw noSuchStack();
    await this.assertRoom(keyring, user);
    return this.creation(caller, keyring, this.newMeta(user, stack_id, stack_id));
  }

  /** Lets nothing be stored in the stack any more: for a deletion that others will not let come to an end. */
  async close(
    caller: Caller,
    keyring: OrganizationKeyring,
    stack: Versioned<StackMeta>,
  ): Promise<Versioned<StackMeta>> {
    const { id, revision, meta } = stack;
    if (meta.closing) return stack;
    const closed: Versioned<StackMeta> = { id, revision: revision + 1, meta: { ...meta, closing: true } };
    const facts = { record_id: id, stack_id: meta.stack_id, revision: closed.revision };
    await this.#parts.store.commit({
      writes: [this.put(keyring, id, closed.revision, closed.meta)],
      audit: [this.entry(caller, keyring, 'update_stack', facts)],
    });
    return closed;
  }

  /** Throws INVALID_INPUT where the user has all the stacks that there may be. */
  async assertRoom(keyring: OrganizationKeyring, user: string): Promise<void> {
    const others = (await this.idsOf(keyring, user)).length - 1;
    if (others < STACKS_PER_USER_MAX) return;
    const message = `A user has at most ${STACKS_PER_USER_MAX} stacks. Delete one first.`;
    throw new VaultError('INVALID_INPUT', message);
  }

  /** The batch that makes a stack. */
  creation(caller: Caller, keyring: OrganizationKeyring, meta: StackMeta): Batch {
    const id = this.#parts.records.newId();
    const facts = { record_id: id, stack_id: meta.stack_id, revision: 1 };
    return {
      writes: [this.put(keyring, id, 1, meta)],
      audit: [this.entry(caller, keyring, 'create_stack', facts)],
    };
  }

  put(keyring: OrganizationKeyring, id: string, revision: number, meta: StackMeta): RecordWrite {
    const place = { key: [meta.user, meta.stack_id], scope: this.#records.scope(keyring, [meta.user]) };
    return this.#records.put(keyring, place, id, revision, meta);
  }

  entry(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    facts: Parameters<typeof newEntry>[3],
  ): AuditAppend {
    return this.#parts.log.append(keyring, newEntry(caller, action, this.#parts.now(), facts));
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

const NOTHING: Batch = { writes: [], audit: [] };
