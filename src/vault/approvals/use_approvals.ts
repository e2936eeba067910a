/**
 * Approvals of uses: a record for each request that a policy lets a person decide on. Bound to the credential's revision,
 * the whole request and the caller, valid for an hour, consumed by one use. Only a person decides.
 */
import { hash } from 'node:crypto';
import { type Caller, isPerson } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import {
  USE_APPROVAL_AGE_MS,
  USE_APPROVALS_PER_USER_MAX,
  USE_BODY_SHOWN_MAX_CHARACTERS,
  USE_HEADER_SHOWN_MAX_CHARACTERS,
  USE_REASON_MAX_CHARACTERS,
  USE_SUMMARY_SHOWN_MAX_CHARACTERS,
} from '../../contract/limits.ts';
import type { ChangePlan, LoadedRow, RecordWrite } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { EntityRepository, NO_WRITES, removal, type Versioned } from '../records/entity_repository.ts';
import { idText } from '../records/record_codec.ts';
import type { UsableCredential, UseRequest } from '../uses/use.ts';
import { noSuchApproval } from './destination_approvals.ts';

/** What the person who decides sees, and the decision. */
export interface UseApproval {
  /** SHA-256, base64url, of what the approval is bound to; its key. */
  readonly binding: string;
  /** Who makes the request. */
  readonly user: string;
  /** Who owns the credential. Absent: the same user. */
  readonly owner?: string;
  readonly api_key_id: string | null;
  readonly edge: string;
  readonly claimed_client: string | null;
  readonly service: string;
  readonly stack: string;
  readonly name: string | null;
  readonly credential_id: string;
  readonly summary: string;
  /** The headers that the caller gave. Approvals of earlier versions have none. */
  readonly headers?: readonly string[];
  /** The begin of the body, as the caller gave it. */
  readonly body: string | null;
  readonly reason: string | null;
  readonly created_at: string;
  readonly expires_at: string;
  readonly state: 'pending' | 'approved' | 'denied' | 'used';
  readonly decided_at: string | null;
}
type Found = Versioned<UseApproval>;

/** The parts of a use that its approval is bound to. */
export interface BoundUse {
  readonly caller: Caller;
  readonly keyring: OrganizationKeyring;
  readonly credential: UsableCredential;
  readonly request: UseRequest;
}

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'audit_log' | 'now'>;

export class UseApprovals {
  readonly #parts: Parts;
  readonly #valid_keys: ApiKeySet;
  readonly #records: EntityRepository<UseApproval>;

  constructor(parts: Parts, valid_keys: ApiKeySet) {
    this.#parts = parts;
    this.#valid_keys = valid_keys;
    this.#records = new EntityRepository(parts, 'use_approval');
  }

  /** The id of the approval that permits the use. Throws FORBIDDEN without one; creates it for a person to decide. */
  async require(use: BoundUse): Promise<string> {
    const found = await this.#records.find(use.keyring, [bindingOf(use)]);
    if (found !== undefined && !this.#isExpired(found)) return assertApproved(found);
    // Two requests at once may both delete the same expired record.
    throw approvalRequired(await retryOnConflict(() => this.#request(use)));
  }

  /** The index to read in the transaction of the use. */
  indexOf(use: BoundUse): Buffer {
    return this.#records.indexOf(use.keyring, [bindingOf(use)]);
  }

  /** The write that consumes the approval. Call inside the transaction of the use. Throws as `require`. */
  consume(
    use: BoundUse,
    loaded: LoadedRow | undefined,
  ): { readonly id: string; readonly write: RecordWrite } {
    const found = this.#records.openOwn(use.keyring, loaded?.row);
    if (found === undefined || this.#isExpired(found)) {
      const message = 'The approval of this request has expired. Call again to request a new one.';
      throw new VaultError('FORBIDDEN', message, { reason: 'approval_required' });
    }
    const id = assertApproved(found);
    const meta = { ...found.meta, state: 'used' as const };
    return { id, write: this.#put(use.keyring, { id, revision: found.revision + 1, meta }) };
  }

  /** Those that have not expired, newest first. */
  async list(keyring: OrganizationKeyring): Promise<readonly Found[]> {
    const scope = this.#records.scope(keyring, []);
    return this.#records.list(keyring, scope, Number.POSITIVE_INFINITY, (one) => !this.#isExpired(one));
  }

  /** `undefined` for an unknown id and an expired approval. */
  async get(keyring: OrganizationKeyring, id: string): Promise<Found | undefined> {
    const found = await this.#records.get(keyring, id);
    return found === undefined || this.#isExpired(found) ? undefined : found;
  }

  /**
   * Approves or denies. FORBIDDEN unless the caller is a person; NOT_FOUND for an unknown or expired approval; CONFLICT if it was decided before.
   */
  async decide(
    caller: Caller,
    keyring: OrganizationKeyring,
    id: string,
    state: 'approved' | 'denied',
  ): Promise<UseApproval> {
    if (!isPerson(caller)) throw new VaultError('FORBIDDEN', 'Only a person decides on a request.');
    const { store, now, audit_log } = this.#parts;
    const row = await this.#records.rowOf(id);
    const index = row?.index;
    if (index === undefined) throw noSuchApproval();
    const reads = [{ index }, ...this.#valid_keys.reads(caller, keyring)];
    return store.change(reads, ([loaded, key_set]): ChangePlan<UseApproval> => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const found = this.#records.openOwn(keyring, loaded?.row);
      if (found === undefined || this.#isExpired(found)) throw noSuchApproval();
      if (found.meta.state !== 'pending') {
        const message = `This request was ${found.meta.state === 'denied' ? 'denied' : 'approved'} already.`;
        throw new VaultError('CONFLICT', message, { reason: 'approval_used' });
      }
      const meta = { ...found.meta, state, decided_at: now().toISOString() };
      const action = state === 'approved' ? 'approve_use' : 'deny_use';
      const decided = { id: found.id, revision: found.revision + 1, meta };
      const audit = [audit_log.append(keyring, newEntry(caller, action, now(), factsOf(decided)))];
      return { batch: { writes: [this.#put(keyring, decided)], audit }, result: meta };
    });
  }

  /** Creates the record, and deletes all expired ones. Returns the present one if another call was first. */
  async #request(use: BoundUse): Promise<Found> {
    const { keyring, caller } = use;
    const { store, records, now, audit_log } = this.#parts;
    const scope = this.#records.scope(keyring, []);
    const all = await this.#records.list(keyring, scope, Number.POSITIVE_INFINITY);
    const expired = all.filter((one) => this.#isExpired(one));
    const waiting = all.filter((one) => isPendingOf(one, caller.user) && !this.#isExpired(one));
    if (waiting.length >= USE_APPROVALS_PER_USER_MAX) {
      const message = `At most ${USE_APPROVALS_PER_USER_MAX} requests of a user wait for approval. Have the user decide on them first.`;
      throw new VaultError('RATE_LIMITED', message);
    }
    const new_id = records.newRandomId();
    const binding = bindingOf(use);
    return store.change([{ index: this.#records.indexOf(keyring, [binding]) }], ([loaded]) => {
      const known = this.#records.openOwn(keyring, loaded?.row);
      if (known !== undefined && !this.#isExpired(known)) return { batch: NO_WRITES, result: known };
      // An expired record of the same request is used again.
      const before = {
        id: loaded === undefined ? new_id : idText(loaded.row.id),
        revision: loaded?.row.revision ?? 0,
      };
      const created = {
        id: before.id,
        revision: before.revision + 1,
        meta: newApproval(use, binding, now()),
      };
      const others = expired.filter(({ id }) => id !== before.id).map(removal);
      const entry = newEntry(caller, 'request_use', now(), factsOf(created));
      const writes = [...others, this.#put(keyring, created)];
      return { batch: { writes, audit: [audit_log.append(keyring, entry)] }, result: created };
    });
  }

  #put(keyring: OrganizationKeyring, { id, revision, meta }: Found): RecordWrite {
    const ref = { key: [meta.binding], scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, id, revision, meta);
  }

  #isExpired({ meta }: Found): boolean {
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime();
  }
}

function isPendingOf({ meta }: Found, user: string): boolean {
  return meta.state === 'pending' && meta.user === user;
}

function bindingOf({ caller, credential, request }: BoundUse): string {
  const { credential_id, revision } = credential;
  const bound = [credential_id, revision, request.hash, caller.user, caller.api_key_id ?? null];
  return hash('sha256', JSON.stringify(bound), 'base64url');
}

function newApproval({ caller, credential, request }: BoundUse, binding: string, now: Date): UseApproval {
  return {
    binding,
    user: caller.user,
    owner: credential.user,
    api_key_id: caller.api_key_id ?? null,
    edge: caller.edge,
    claimed_client: caller.claimed_client ?? null,
    service: credential.service.slug,
    stack: credential.stack,
    name: credential.name,
    credential_id: credential.credential_id,
    summary: shortened(request.summary, USE_SUMMARY_SHOWN_MAX_CHARACTERS),
    headers: Object.entries(request.headers ?? {}).map(
      ([header, value]) => `${header}: ${shortened(value, USE_HEADER_SHOWN_MAX_CHARACTERS)}`,
    ),
    body: request.body === undefined ? null : shortened(request.body, USE_BODY_SHOWN_MAX_CHARACTERS),
    reason: request.reason === undefined ? null : shortened(request.reason, USE_REASON_MAX_CHARACTERS),
    created_at: now.toISOString(),
    expires_at: new Date(now.getTime() + USE_APPROVAL_AGE_MS).toISOString(),
    state: 'pending',
    decided_at: null,
  };
}

/** A person must see that there is more than what is shown. */
function shortened(text: string, max: number): string {
  if (text.length <= max) return text;
  return `(the first ${max} of ${text.length} characters) ${text.slice(0, max)}`;
}

function factsOf({ id, revision, meta }: Found) {
  const { user, owner = user, stack, service, name, credential_id } = meta;
  return { ref: { user: owner, stack, service, name }, credential_id, record_id: id, revision };
}

/** The id of an approval that permits a use. */
function assertApproved(found: Found): string {
  const { state, expires_at } = found.meta;
  if (state === 'approved') return found.id;
  if (state === 'pending') throw approvalRequired(found);
  if (state === 'denied') {
    const message = 'The user denied this request. Do not repeat it.';
    throw new VaultError('FORBIDDEN', message, { reason: 'approval_denied' });
  }
  const message = `This request was approved and sent already. To send it again, call after ${expires_at} and request a new approval.`;
  throw new VaultError('FORBIDDEN', message, { reason: 'approval_used' });
}

/** The interface, and the API key and the client as far as known. */
export function requester({
  edge,
  api_key_id,
  claimed_client,
}: Pick<UseApproval, 'edge' | 'api_key_id' | 'claimed_client'>): string {
  const key = api_key_id === null ? '' : `, API key ${api_key_id}`;
  return `${edge}${key}${claimed_client === null ? '' : `, client ${claimed_client}`}`;
}

function approvalRequired({ id, meta }: Found): VaultError {
  const message = `A person must approve this request first. Ask the user to run \`keyhold approvals show ${id}\`, then repeat the same call. The request expires at ${meta.expires_at}.`;
  return new VaultError('FORBIDDEN', message, {
    reason: 'approval_required',
    next: `Ask the user to run \`keyhold approvals show ${id}\`, then repeat the same call.`,
  });
}
