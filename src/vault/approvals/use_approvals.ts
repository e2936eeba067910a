/**
 * Approvals of uses: a record for each request that a policy lets a person decide on. Bound to the credential, the request and
 * the caller, valid for an hour, consumed by one use; or, if the person grants more, valid for equal requests, an endpoint or
 * a host, for a session or a time. Only a person decides. A grant never widens a policy, which is checked before.
 */
import type { ApprovalChoice } from '../../contract/approval.ts';
import { type Caller, isPerson } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { USE_APPROVALS_PER_USER_MAX, USE_GRANTS_PER_USER_MAX } from '../../contract/limits.ts';
import type { ChangePlan, LoadedRow, RecordWrite, RowRead } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { EntityRepository, NO_WRITES, removal, type Versioned } from '../records/entity_repository.ts';
import { idBytes, idText, uuidBytes } from '../records/record_codec.ts';
import { noSuchApproval } from './destination_approvals.ts';
import {
  approvedAs,
  type BoundUse,
  grantBindings,
  newApproval,
  requestBinding,
  type UseApproval,
  waitingUse,
} from './use_approval.ts';

type Found = Versioned<UseApproval>;

/** `is_for_one_use`: the same request again gets the response of this use. */
export interface PermittedUse {
  readonly approval_id: string;
  readonly is_for_one_use: boolean;
}

export type UseDecision = ApprovalChoice | 'deny';

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'audit_log' | 'notify' | 'now'>;

export class UseApprovals {
  readonly #parts: Parts;
  readonly #valid_keys: ApiKeySet;
  readonly #records: EntityRepository<UseApproval>;

  constructor(parts: Parts, valid_keys: ApiKeySet) {
    this.#parts = parts;
    this.#valid_keys = valid_keys;
    this.#records = new EntityRepository(parts, 'use_approval');
  }

  /** The approval that permits the use. Throws FORBIDDEN without one; creates it for a person to decide. */
  async require(use: BoundUse): Promise<PermittedUse> {
    const { keyring } = use;
    const bindings = [requestBinding(use), ...grantBindings(use)];
    const [own, ...grants] = await Promise.all(bindings.map((one) => this.#records.find(keyring, [one])));
    const permitting = this.#permitting(own, grants);
    if (permitting !== undefined) return permittedBy(permitting);
    // Two requests at once may both delete the same expired record.
    throw approvalRequired(await retryOnConflict(() => this.#request(use)));
  }

  /** The rows to read in the transaction of the use, for `consume`. */
  reads(use: BoundUse): readonly RowRead[] {
    const bindings = [requestBinding(use), ...grantBindings(use)];
    return bindings.map((one) => ({ index: this.#records.indexOf(use.keyring, [one]) }));
  }

  /** The write that consumes the approval, or counts the use. Call inside the transaction of the use. Throws as `require`. */
  consume(
    { keyring }: BoundUse,
    rows: readonly (LoadedRow | undefined)[],
  ): { readonly id: string; readonly write: RecordWrite } {
    const [own, ...grants] = rows.map((loaded) => this.#records.openOwn(keyring, loaded?.row));
    const found = this.#permitting(own, grants);
    if (found === undefined) {
      const message = 'The approval of this request has expired. Call again to request a new one.';
      throw new VaultError('FORBIDDEN', message, { reason: 'approval_required' });
    }
    const meta = usedOnce(found.meta, this.#parts.now());
    const { id, revision } = found;
    return { id, write: this.#put(keyring, { id, revision: revision + 1, meta }) };
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
   * Approves or denies. FORBIDDEN unless the caller is a person; NOT_FOUND for an unknown or expired approval; CONFLICT if
   * it was decided before; INVALID_INPUT for a choice that the request does not have.
   */
  async decide(
    caller: Caller,
    keyring: OrganizationKeyring,
    id: string,
    decision: UseDecision,
  ): Promise<Found> {
    if (!isPerson(caller)) throw new VaultError('FORBIDDEN', 'Only a person decides on a request.');
    const { store, now, audit_log } = this.#parts;
    const before = await this.get(keyring, id);
    if (before === undefined) throw noSuchApproval();
    if (decision !== 'deny' && decision.for !== 'once') await this.#assertFewGrants(keyring, before.meta);
    const decideOn = (meta: UseApproval): UseApproval => ({
      ...(decision === 'deny' ? { ...meta, state: 'denied' } : approvedAs(meta, decision, now())),
      decided_at: now().toISOString(),
      decided_by: caller.user,
    });
    const index = this.#records.indexOf(keyring, [decideOn(before.meta).binding]);
    const reads = [{ id: idBytes(id) }, { index }, ...this.#valid_keys.reads(caller, keyring)];
    return store.change(reads, ([loaded, former, key_set]): ChangePlan<Found> => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const found = this.#records.openOwn(keyring, loaded?.row);
      if (found === undefined || this.#isExpired(found)) throw noSuchApproval();
      if (found.meta.state !== 'pending') {
        const message = `This request was ${found.meta.state === 'denied' ? 'denied' : 'approved'} already.`;
        throw new VaultError('CONFLICT', message, { reason: 'approval_used' });
      }
      const decided = { id, revision: found.revision + 1, meta: decideOn(found.meta) };
      const action = decision === 'deny' ? 'deny_use' : 'approve_use';
      const audit = [audit_log.append(keyring, newEntry(caller, action, now(), factsOf(decided)))];
      // An earlier grant for the same uses ends.
      const others =
        former === undefined || idText(former.row.id) === id
          ? []
          : [removal({ id: idText(former.row.id), revision: former.row.revision })];
      return { batch: { writes: [...others, this.#put(keyring, decided)], audit }, result: decided };
    });
  }

  /** Ends an approval that was not used yet, or a grant. NOT_FOUND for any other. */
  async revoke(caller: Caller, keyring: OrganizationKeyring, id: string): Promise<Found> {
    const { store, now, audit_log } = this.#parts;
    const bytes = uuidBytes(id);
    if (bytes === undefined) throw noSuchApproval();
    const reads = [{ id: bytes }, ...this.#valid_keys.reads(caller, keyring)];
    return store.change(reads, ([loaded, key_set]): ChangePlan<Found> => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const found = this.#records.openOwn(keyring, loaded?.row);
      if (found === undefined || this.#isExpired(found) || !isInForce(found.meta)) throw noSuchApproval();
      const entry = newEntry(caller, 'revoke_use', now(), factsOf(found));
      return {
        batch: { writes: [removal(found)], audit: [audit_log.append(keyring, entry)] },
        result: found,
      };
    });
  }

  async #assertFewGrants(keyring: OrganizationKeyring, { user }: UseApproval): Promise<void> {
    const all = await this.list(keyring);
    const in_force = all.filter(({ meta }) => meta.user === user && meta.state === 'granted');
    if (in_force.length < USE_GRANTS_PER_USER_MAX) return;
    const message = `At most ${USE_GRANTS_PER_USER_MAX} grants of a user are in force. Revoke one first, or approve once.`;
    throw new VaultError('RATE_LIMITED', message);
  }

  /** The approval or grant that permits a use. Throws FORBIDDEN if this request waits, was denied, or was used. */
  #permitting(own: Found | undefined, grants: readonly (Found | undefined)[]): Found | undefined {
    const current = own === undefined || this.#isExpired(own) ? undefined : own;
    if (current?.meta.state === 'denied') throw approvalDenied();
    const grant = grants.find(
      (one) => one !== undefined && one.meta.state === 'granted' && !this.#isExpired(one),
    );
    return grant ?? (current && assertApproved(current));
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
    const binding = requestBinding(use);
    const reads = [{ index: this.#records.indexOf(keyring, [binding]) }];
    const { found, is_new } = await store.change(reads, ([loaded]) => {
      const known = this.#records.openOwn(keyring, loaded?.row);
      if (known !== undefined && !this.#isExpired(known))
        return { batch: NO_WRITES, result: { found: known, is_new: false } };
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
      const batch = { writes, audit: [audit_log.append(keyring, entry)] };
      return { batch, result: { found: created, is_new: true } };
    });
    if (is_new) this.#parts.notify(waitingUse(found, caller.organization));
    return found;
  }

  #put(keyring: OrganizationKeyring, { id, revision, meta }: Found): RecordWrite {
    const ref = { key: [meta.binding], scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, id, revision, meta);
  }

  #isExpired({ meta }: Found): boolean {
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime();
  }
}

/** Whether it permits uses, until it expires. */
export function isInForce({ state }: UseApproval): boolean {
  return state === 'approved' || state === 'granted';
}

function usedOnce(meta: UseApproval, now: Date): UseApproval {
  if (meta.grant === undefined) return { ...meta, state: 'used' };
  const uses = meta.grant.uses + 1;
  const state = uses >= meta.grant.uses_max ? 'used' : 'granted';
  return { ...meta, state, grant: { ...meta.grant, uses, last_used_at: now.toISOString() } };
}

function permittedBy({ id, meta }: Found): PermittedUse {
  return { approval_id: id, is_for_one_use: meta.grant === undefined || meta.grant.uses_max === 1 };
}

function isPendingOf({ meta }: Found, user: string): boolean {
  return meta.state === 'pending' && meta.user === user;
}

function factsOf({ id, revision, meta }: Found) {
  const { user, owner = user, stack, service, name, credential_id } = meta;
  return { ref: { user: owner, stack, service, name }, credential_id, record_id: id, revision };
}

/** The approval, if it permits a use of the request that it is for. */
function assertApproved(found: Found): Found {
  const { state, expires_at } = found.meta;
  if (state === 'approved') return found;
  if (state === 'pending') throw approvalRequired(found);
  const message = `This request was approved and sent already. To send it again, call after ${expires_at} and request a new approval.`;
  throw new VaultError('FORBIDDEN', message, { reason: 'approval_used' });
}

function approvalDenied(): VaultError {
  const message = 'The user denied this request. Do not repeat it.';
  return new VaultError('FORBIDDEN', message, { reason: 'approval_denied' });
}

function approvalRequired({ id, meta }: Found): VaultError {
  const message = `A person must approve this request first. Ask the user to run \`keyhold approvals show ${id}\`, then repeat the same call. The request expires at ${meta.expires_at}.`;
  return new VaultError('FORBIDDEN', message, {
    reason: 'approval_required',
    next: `Ask the user to run \`keyhold approvals show ${id}\`, then repeat the same call.`,
  });
}
