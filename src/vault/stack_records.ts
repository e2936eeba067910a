/**
 * Stacks as records, and what writing a credential has to do with the stack that it is in. Each is found by its user
 * and its id together, so that nobody finds another user's.
 */
import type { AuditAction } from '../contract/audit.ts';
import { type Caller, DEFAULT_STACK } from '../contract/caller.ts';
import type { StackInfo } from '../contract/stack.ts';
import type { AuditAppend, Batch, RecordWrite } from '../store/store.ts';
import { newEntry } from './audit_entry.ts';
import { DirectoryRecords, type Found } from './directory_records.ts';
import { noSuchStack } from './guard.ts';
import type { OrganizationRing } from './key_ring.ts';
import { idBytes } from './record_codec.ts';
import type { VaultParts } from './vault_parts.ts';

export interface StackMeta extends StackInfo {
  readonly user: string;
}

/** Ids that are given out, never chosen. */
const GIVEN_ID = /^stack_/;
export const STACKS_PER_USER_MAX = 1_000;

export class StackRecords {
  readonly #parts: Pick<VaultParts, 'store' | 'records' | 'log' | 'now'>;
  readonly #records: DirectoryRecords<StackMeta>;

  constructor(parts: Pick<VaultParts, 'store' | 'records' | 'log' | 'now'>) {
    this.#parts = parts;
    this.#records = new DirectoryRecords(parts, 'stack');
  }

  find(ring: OrganizationRing, user: string, stack_id: string): Promise<Found<StackMeta> | undefined> {
    return this.#records.find(ring, [user, stack_id]);
  }

  /** Newest first. */
  async list(ring: OrganizationRing, user: string): Promise<readonly StackMeta[]> {
    const found = await this.#records.list(ring, this.#records.scope(ring, [user]), STACKS_PER_USER_MAX);
    return found.map(({ meta }) => meta);
  }

  /** Ids of all stacks of a user, `default` too. */
  async idsOf(ring: OrganizationRing, user: string): Promise<readonly string[]> {
    const stacks = await this.list(ring, user);
    return [...new Set([...stacks.map(({ stack_id }) => stack_id), DEFAULT_STACK])];
  }

  /** Throws NOT_FOUND for a stack whose id was given out once and is not the user's. */
  async assertReadable(ring: OrganizationRing, user: string, stack_id: string): Promise<void> {
    if (GIVEN_ID.test(stack_id) && (await this.find(ring, user, stack_id)) === undefined) throw noSuchStack();
  }

  /**
   * What a write to a credential in this stack does besides: makes sure that the stack still is there, or makes it when
   * it comes to be with its first credential.
   */
  async companions(caller: Caller, ring: OrganizationRing, user: string, stack_id: string): Promise<Batch> {
    if (stack_id === DEFAULT_STACK) return NOTHING;
    const found = await this.find(ring, user, stack_id);
    if (found !== undefined) {
      return {
        writes: [{ do: 'check', expected_revision: found.revision, id: idBytes(found.id) }],
        audit: [],
      };
    }
    const may_make = caller.scopes.has('stacks:write') && user === caller.user;
    if (GIVEN_ID.test(stack_id) || !may_make) throw noSuchStack();
    return this.creation(caller, ring, this.newMeta(user, stack_id, stack_id));
  }

  /** The batch that makes a stack. */
  creation(caller: Caller, ring: OrganizationRing, meta: StackMeta): Batch {
    const id = this.#parts.records.newId();
    const facts = { record_id: id, stack_id: meta.stack_id, revision: 1 };
    return {
      writes: [this.put(ring, id, 1, meta)],
      audit: [this.entry(caller, ring, 'create_stack', facts)],
    };
  }

  put(ring: OrganizationRing, id: string, revision: number, meta: StackMeta): RecordWrite {
    const place = { key: [meta.user, meta.stack_id], scope: this.#records.scope(ring, [meta.user]) };
    return this.#records.put(ring, place, id, revision, meta);
  }

  entry(
    caller: Caller,
    ring: OrganizationRing,
    action: AuditAction,
    facts: Parameters<typeof newEntry>[3],
  ): AuditAppend {
    return this.#parts.log.append(ring, newEntry(caller, action, this.#parts.now(), facts));
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
