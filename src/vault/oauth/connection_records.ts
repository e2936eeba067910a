/**
 * Connections that wait for the callback of a person's browser, as records found by the hash of their `state` (RFC 6749, section
 * 10.12): the vault does not keep the state itself. Knows their ends and deletes the ones that have ended.
 */
import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import {
  CONNECTION_AGE_MS,
  CONNECTION_KEPT_MS,
  CONNECTIONS_PENDING_PER_USER_MAX,
} from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import type { Service } from '../../contract/service/service.ts';
import { msUntil, timestampAfter } from '../../contract/timestamp.ts';
import { definitionDigest } from '../../services/destination.ts';
import type { LoadedRow, RecordWrite, RowRead } from '../../store/store.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OpenedHandle } from '../handles/pending_handles.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { HourlySweep } from '../records/hourly_sweep.ts';
import type { UseOutcome } from '../uses/use.ts';

/** 256 random bits in base64url. */
const STATE_PATTERN = /^[\w-]{43}$/;
const DELETED_AT_ONCE_MAX = 500;

/** The credential that a person connects. */
export interface ConnectionTarget {
  readonly keyring: OrganizationKeyring;
  readonly service: Service;
  readonly ref: CredentialRef;
  readonly meta: CredentialMeta;
  readonly destination: Destination;
  /** The handle that the connection completes. */
  readonly handle: OpenedHandle | undefined;
}

/** The target of a connection when it was started, as its record has it. */
export interface StartedTarget extends Omit<CredentialRef, 'user'> {
  readonly credential_id: string;
  readonly destination?: Destination | undefined;
  /** Digest of the definition of the service: it decides where the code is sent. */
  readonly definition: string;
  /** The hash of the handle that it completes. */
  readonly handle: string | null;
}

export interface ConnectionMeta extends StartedTarget {
  /** SHA-256 of the state in base64url; its key. */
  readonly hash: string;
  /** The user who started it, and who may end it. */
  readonly user: string;
  /** RFC 7636, section 4.1; `null`: the provider does not know PKCE. */
  readonly code_verifier: string | null;
  readonly redirect_uri: string;
  readonly scopes: readonly string[];
  readonly state: 'pending' | 'used' | 'declined';
  readonly expires_at: string;
}
export type FoundConnection = Versioned<ConnectionMeta>;

export type NewConnection = Pick<ConnectionMeta, 'code_verifier' | 'redirect_uri' | 'scopes'> & {
  readonly state: string;
};

export interface OpenedConnection {
  readonly values: ReadonlyMap<string, Secret>;
  /** Logs the outcome of the request, in the background. Never throws. */
  finish(outcome: UseOutcome): void;
}

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'now'>;

export class ConnectionRecords {
  readonly #parts: Parts;
  readonly #records: EntityRepository<ConnectionMeta>;
  readonly #sweep = new HourlySweep();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'connection');
  }

  /** The write of a new record. `ends_before`: when its handle ends. */
  create(
    keyring: OrganizationKeyring,
    id: string,
    state: string,
    request: Omit<ConnectionMeta, 'hash' | 'state' | 'expires_at'>,
    ends_before: string | undefined,
  ): { readonly write: RecordWrite; readonly expires_at: string } {
    const end = timestampAfter(this.#parts.now(), CONNECTION_AGE_MS) ?? '';
    const expires_at = ends_before !== undefined && ends_before < end ? ends_before : end;
    const meta: ConnectionMeta = { ...request, hash: hashOf(state), state: 'pending', expires_at };
    return { write: this.#put(keyring, { id, revision: 1, meta }), expires_at };
  }

  /** `undefined` for a text that is not a state, and for one that was deleted or never given out. */
  async find(keyring: OrganizationKeyring, state: string): Promise<FoundConnection | undefined> {
    return STATE_PATTERN.test(state) ? this.#records.find(keyring, [hashOf(state)]) : undefined;
  }

  read(keyring: OrganizationKeyring, { meta }: FoundConnection): RowRead {
    return { index: this.#records.indexOf(keyring, [meta.hash]) };
  }

  /** The write that ends it. Throws as `assertPending`, on the record as the transaction has it. */
  end(keyring: OrganizationKeyring, loaded: LoadedRow | undefined, state: 'used' | 'declined'): RecordWrite {
    const found = this.#records.openOwn(keyring, loaded?.row);
    if (found === undefined) throw unknownConnection();
    this.assertPending(found);
    return this.#put(keyring, { ...found, revision: found.revision + 1, meta: { ...found.meta, state } });
  }

  /** Throws EXPIRED for one that was used, declined or has expired. */
  assertPending(found: FoundConnection): void {
    if (found.meta.state === 'used') throw endedConnection('This connection was used already.');
    if (found.meta.state === 'declined') throw endedConnection('This connection was declined.');
    if (!this.#isPending(found)) throw endedConnection('This connection has expired.');
  }

  /** Throws RATE_LIMITED if too many connections of the user wait. */
  async assertBelowLimit(keyring: OrganizationKeyring, user: string): Promise<void> {
    const scope = this.#records.scope(keyring, []);
    const isWaiting = (found: FoundConnection) => found.meta.user === user && this.#isPending(found);
    const waiting = await this.#records.list(keyring, scope, CONNECTIONS_PENDING_PER_USER_MAX, isWaiting);
    if (waiting.length >= CONNECTIONS_PENDING_PER_USER_MAX) throw tooManyConnections();
  }

  /** Deletes connections that ended an hour ago, in the background, at most once an hour for an organization. */
  sweep(keyring: OrganizationKeyring): void {
    this.#sweep.run(keyring, () => this.deleteEnded(keyring));
  }

  async deleteEnded(keyring: OrganizationKeyring): Promise<void> {
    const at = this.#parts.now();
    const scope = this.#records.scope(keyring, []);
    const isEnded = ({ meta }: FoundConnection) => msUntil(meta.expires_at, at) <= -CONNECTION_KEPT_MS;
    const ended = await this.#records.list(keyring, scope, Number.POSITIVE_INFINITY, isEnded);
    for (let at = 0; at < ended.length; at += DELETED_AT_ONCE_MAX) {
      const writes = ended.slice(at, at + DELETED_AT_ONCE_MAX).map(removal);
      await this.#parts.store.commit({ writes, audit: [] });
    }
  }

  #isPending({ meta }: FoundConnection): boolean {
    return meta.state === 'pending' && msUntil(meta.expires_at, this.#parts.now()) > 0;
  }

  #put(keyring: OrganizationKeyring, { id, revision, meta }: FoundConnection): RecordWrite {
    const ref = { key: [meta.hash], scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, id, revision, meta);
  }
}

export function startedTarget({ service, ref, meta, handle }: ConnectionTarget): StartedTarget {
  return {
    service: ref.service,
    stack: ref.stack,
    name: ref.name,
    credential_id: meta.id,
    destination: meta.destination,
    definition: definitionDigest(service),
    handle: handle?.found.meta.hash ?? null,
  };
}

type Target = Pick<CredentialMeta, 'id' | 'destination'>;

/** Whether it is the same credential, with the same destination: a person permitted access for that one. */
export function isSameTarget(one: Target, other: Target): boolean {
  const sentTo = ({ destination }: Target) => destination && [destination.origins, destination.fields];
  return one.id === other.id && isDeepStrictEqual(sentTo(one), sentTo(other));
}

function hashOf(state: string): string {
  return hash('sha256', state, 'base64url');
}

const AGAIN = 'Start again on the page of the service, or with `keyhold connect`.';

export function unknownConnection(): VaultError {
  const message = `There is no such connection. It may be of another user, or have ended an hour ago. ${AGAIN}`;
  return new VaultError('NOT_FOUND', message, { next: AGAIN });
}

/** Nothing was changed. `message`: a sentence. */
export function endedConnection(message: string): VaultError {
  return new VaultError('EXPIRED', `${message} Nothing was stored by this request. ${AGAIN}`, {
    next: AGAIN,
  });
}

export function otherTarget(): VaultError {
  return endedConnection('The credential was deleted, renamed or replaced, or its destination has changed.');
}

export function tooManyConnections(): VaultError {
  const message = `At most ${CONNECTIONS_PENDING_PER_USER_MAX} connections of a user wait for a person. Finish one at the provider, or wait until they expire.`;
  return new VaultError('RATE_LIMITED', message);
}

/** `credential_id`: of the credential that would be connected. */
export function needsReview(credential_id: string): VaultError {
  const command = `keyhold approvals show ${credential_id}`;
  return new VaultError(
    'FORBIDDEN',
    `A person must review where this credential may be sent before it is connected. Run \`${command}\`.`,
    { reason: 'needs_review', next: `Ask the user to run \`${command}\`.` },
  );
}

export function otherCredential(): VaultError {
  return new VaultError('INVALID_INPUT', 'The handle is for another credential. Open its link again.');
}
