/**
 * Handles as records, found by the hash of the handle: the vault does not keep the handle itself. Knows their states and
 * deletes the ones that have ended.
 */
import { hash } from 'node:crypto';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { HandleState } from '../../contract/handle.ts';
import { HANDLE_AGE_MS, HANDLE_KEPT_MS, HANDLES_PENDING_PER_USER_MAX } from '../../contract/limits.ts';
import { HANDLE_PATTERN } from '../../contract/patterns.ts';
import type { CredentialType } from '../../contract/service/service.ts';
import type { LoadedRow, RecordWrite, RowRead } from '../../store/store.ts';
import type { CredentialRef } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { newConfirmationCode } from '../records/confirmation_code.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { HourlySweep } from '../records/hourly_sweep.ts';

const HANDLE_BYTES = 16;
const DELETED_AT_ONCE_MAX = 500;

export interface HandleMeta {
  /** SHA-256 of the handle in base64url; its key. */
  readonly hash: string;
  readonly code: string;
  /** Who requested it, and who may enter the values. */
  readonly user: string;
  readonly requested_by: Pick<Caller, 'edge' | 'api_key_id' | 'claimed_client'>;
  readonly service: string;
  readonly stack: string;
  readonly name: string | null;
  /** Digest of the definition of the service: a person must see what is stored and where it is sent. */
  readonly definition: string;
  /** Stores the one value of this type; `null`: updates the fields. */
  readonly credential_type: CredentialType | null;
  readonly fields: readonly string[];
  readonly required: readonly string[];
  readonly verify: boolean;
  readonly state: 'pending' | 'done' | 'declined';
  readonly created_at: string;
  readonly expires_at: string;
}
export type FoundHandle = Versioned<HandleMeta>;

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'random' | 'now'>;

export class HandleRecords {
  readonly #parts: Parts;
  readonly #records: EntityRepository<HandleMeta>;
  readonly #sweep = new HourlySweep();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'handle');
  }

  newHandle(): string {
    return this.#parts.random(HANDLE_BYTES).toString('base64url');
  }

  newMeta(
    caller: Caller,
    handle: string,
    { service, stack, name }: CredentialRef,
    request: Pick<HandleMeta, 'definition' | 'credential_type' | 'fields' | 'required' | 'verify'>,
  ): HandleMeta {
    const { user, edge, api_key_id, claimed_client } = caller;
    const at = this.#parts.now();
    return {
      hash: hashOf(handle),
      code: newConfirmationCode(this.#parts.random),
      user,
      requested_by: { edge, api_key_id, claimed_client },
      service,
      stack,
      name,
      ...request,
      state: 'pending',
      created_at: at.toISOString(),
      expires_at: new Date(at.getTime() + HANDLE_AGE_MS).toISOString(),
    };
  }

  /** `undefined` for a text that is not a handle, and for one that was deleted or never given out. */
  async find(
    keyring: OrganizationKeyring,
    handle: string | { readonly hash: string },
  ): Promise<FoundHandle | undefined> {
    if (typeof handle === 'object') return this.#records.find(keyring, [handle.hash]);
    return HANDLE_PATTERN.test(handle) ? this.#records.find(keyring, [hashOf(handle)]) : undefined;
  }

  /** The handles of a user that wait for a person; more than the limit are not counted. */
  async countPending(keyring: OrganizationKeyring, user: string): Promise<number> {
    const scope = this.#records.scope(keyring, []);
    const isPending = (found: FoundHandle) => found.meta.user === user && this.stateOf(found) === 'pending';
    return (await this.#records.list(keyring, scope, HANDLES_PENDING_PER_USER_MAX, isPending)).length;
  }

  /** Throws RATE_LIMITED if too many handles of the user wait for a person. */
  async assertBelowLimit(keyring: OrganizationKeyring, user: string): Promise<void> {
    if ((await this.countPending(keyring, user)) >= HANDLES_PENDING_PER_USER_MAX) throw tooManyPending();
  }

  read(keyring: OrganizationKeyring, { meta }: FoundHandle): RowRead {
    return { index: this.#records.indexOf(keyring, [meta.hash]) };
  }

  /** The record as the transaction has it. Throws NOT_FOUND if it was deleted, EXPIRED unless it is pending. */
  openPending(keyring: OrganizationKeyring, loaded: LoadedRow | undefined): FoundHandle {
    const found = this.#records.openOwn(keyring, loaded?.row);
    if (found === undefined) throw noSuchHandle();
    this.assertPending(found);
    return found;
  }

  /** Throws EXPIRED for a handle that was used, declined or has expired. */
  assertPending(found: FoundHandle): void {
    const state = this.stateOf(found);
    if (state !== 'pending') throw endedHandle(state);
  }

  stateOf({ meta }: FoundHandle): HandleState {
    if (meta.state !== 'pending') return meta.state;
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime() ? 'expired' : 'pending';
  }

  create(keyring: OrganizationKeyring, id: string, meta: HandleMeta): RecordWrite {
    return this.#put(keyring, { id, revision: 1, meta });
  }

  setState(keyring: OrganizationKeyring, found: FoundHandle, state: HandleMeta['state']): RecordWrite {
    return this.#put(keyring, {
      id: found.id,
      revision: found.revision + 1,
      meta: { ...found.meta, state },
    });
  }

  #put(keyring: OrganizationKeyring, { id, revision, meta }: FoundHandle): RecordWrite {
    const ref = { key: [meta.hash], scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, id, revision, meta);
  }

  /** Deletes handles that ended an hour ago, in the background, at most once an hour for an organization. */
  sweep(keyring: OrganizationKeyring): void {
    this.#sweep.run(keyring, () => this.deleteEnded(keyring));
  }

  async deleteEnded(keyring: OrganizationKeyring): Promise<void> {
    const end_ms = this.#parts.now().getTime() - HANDLE_KEPT_MS;
    const scope = this.#records.scope(keyring, []);
    const isEnded = ({ meta }: FoundHandle) => Date.parse(meta.expires_at) <= end_ms;
    const ended = await this.#records.list(keyring, scope, Number.POSITIVE_INFINITY, isEnded);
    for (let at = 0; at < ended.length; at += DELETED_AT_ONCE_MAX) {
      const writes = ended.slice(at, at + DELETED_AT_ONCE_MAX).map(removal);
      await this.#parts.store.commit({ writes, audit: [] });
    }
  }
}

function hashOf(handle: string): string {
  return hash('sha256', handle, 'base64url');
}

export function noSuchHandle(): VaultError {
  const message = 'There is no such handle. It may be of another user or API key, or have ended an hour ago.';
  const next = 'For a new page, request the values again.';
  return new VaultError('NOT_FOUND', message, { next });
}

/** Nothing was changed. */
export function endedHandle(state: Exclude<HandleState, 'pending'>): VaultError {
  switch (state) {
    case 'done': {
      const message = 'This link was used already. Request a new one to change the values again.';
      return new VaultError('EXPIRED', message, { reason: 'handle_used' });
    }
    case 'declined': {
      const message = 'This request was declined. Nothing was stored.';
      return new VaultError('EXPIRED', message, { reason: 'handle_declined' });
    }
    case 'expired': {
      const message = 'This link has expired. Nothing was stored. Request a new one.';
      return new VaultError('EXPIRED', message, { reason: 'handle_expired' });
    }
  }
}

function tooManyPending(): VaultError {
  const message = `At most ${HANDLES_PENDING_PER_USER_MAX} requests for values of a user wait for a person. Have the user complete or decline them, or wait until they expire.`;
  return new VaultError('RATE_LIMITED', message);
}
