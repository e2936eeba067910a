/**
 * Sessions of people who are signed in to the pages: one record each, found by the hash of a random token that only the
 * browser has. The records of all organizations are sealed with the keys of `local`, since a token names none. A session of
 * an API key ends with the key, and one of an identity provider with the user.
 */
import { hash } from 'node:crypto';
import {
  type Caller,
  type Identity,
  LOCAL_ORGANIZATION,
  localCaller,
  SIGNED_IN_SCOPES,
} from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { WEB_SESSION_AGE_MS, WEB_SESSIONS_PER_USER_MAX } from '../../contract/limits.ts';
import type { RecordWrite } from '../../store/store.ts';
import type { ApiKeyAuthentication } from '../api_keys/authentication.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { keyMissing } from '../keys/wrapped_keys.ts';
import type { OrganizationRegistry } from '../organizations/registry.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { SignInAttempts } from './sign_in_attempts.ts';
import { SignInTickets } from './sign_in_tickets.ts';

const TOKEN_BYTES = 32;
const TOKEN_PATTERN = /^[\w-]{43}$/;
/** Not a valid name of a user. */
const UNKNOWN_USER = '-';

/** `local`: the person at this machine, by `keyhold open`; `oidc`: with an identity provider. */
export type SignInMethod = 'api_key' | 'local' | 'oidc';

/** A person as the identity provider names it, and the user that it is here. */
export interface SignedInPerson {
  readonly identity: Identity;
  readonly organization: string;
  readonly user: string;
}

interface SessionMeta {
  readonly method: SignInMethod;
  readonly organization: string;
  readonly user: string;
  readonly created_at: string;
  readonly expires_at: string;
  /** The API key that signed in, in the revision that it had then. `null`: without a key. */
  readonly key: { readonly id: string; readonly revision: number } | null;
  /** The person of an identity provider, and the record of its user, which a later user of the name does not have. */
  readonly identity?: Identity & { readonly user_id: string };
}

export interface WebSession {
  readonly id: string;
  readonly method: SignInMethod;
  readonly created_at: string;
  readonly expires_at: string;
  /** The person, with the permissions that the API key has now. */
  readonly caller: Caller;
  /** Of a session of an identity provider. The operator's settings decide whether it may still be used. */
  readonly identity: Identity | undefined;
  /** The field of every request that changes something, which a page of another site cannot know. */
  readonly csrf_token: string;
}

/** The token is for the browser only and is not kept. */
export interface NewWebSession {
  readonly token: string;
  readonly session: WebSession;
}

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'keys' | 'audit_log' | 'random' | 'now'>;

export class WebSessions {
  /** Sign-ins with an identity provider that wait for the callback. */
  readonly attempts: SignInAttempts;
  readonly #parts: Parts;
  readonly #keys: ApiKeyAuthentication;
  readonly #records: EntityRepository<SessionMeta>;
  readonly #tickets: SignInTickets;
  readonly #directory: OrganizationRegistry;

  constructor(parts: Parts, keys: ApiKeyAuthentication, directory: OrganizationRegistry) {
    this.#parts = parts;
    this.#keys = keys;
    this.#directory = directory;
    this.#records = new EntityRepository(parts, 'web_session');
    this.attempts = new SignInAttempts(parts);
    this.#tickets = new SignInTickets(parts);
  }

  /** Signs in with an API key. Throws UNAUTHENTICATED, which is in the audit log, for a key that is not valid. */
  async signInWithKey(text: string, request_id: string): Promise<NewWebSession> {
    const { caller, key_revision } = await this.#keys.authenticateWithRevision(text, 'web', request_id);
    const { api_key_id } = caller;
    if (api_key_id === undefined) throw new VaultError('INTERNAL', 'The API key has no id.');
    const key = { id: api_key_id, revision: key_revision };
    const signed_in = { method: 'api_key', key } as const;
    // Two sign-ins of one user may remove the same expired session.
    return retryOnConflict(() => this.#create(caller, signed_in));
  }

  /** Signs in a person of an identity provider, whose user is created if it is new. Throws FORBIDDEN without the organization. */
  async signInWithIdentity(person: SignedInPerson, request_id: string): Promise<NewWebSession> {
    const { identity, organization, user } = person;
    const keyring = await this.#parts.keys.organization(organization);
    if (keyring === undefined) {
      const message =
        'The organization of the people who sign in does not exist. Create it: `keyhold keys create --org NAME`.';
      throw new VaultError('FORBIDDEN', message);
    }
    const caller = personOf(organization, user, request_id);
    const { id: user_id } = await this.#directory.user(caller, keyring, user);
    const signed_in = { method: 'oidc', key: null, identity: { ...identity, user_id } } as const;
    return retryOnConflict(() => this.#create(caller, signed_in));
  }

  /** Records in the audit log that a sign-in with an identity provider was not valid. */
  async recordRefusal(request_id: string): Promise<void> {
    const { audit_log, now } = this.#parts;
    const caller = { user: UNKNOWN_USER, edge: 'web', request_id } as const;
    const facts = { outcome: 'denied', reason: 'no valid callback of the identity provider' } as const;
    const entry = newEntry(caller, 'authenticate', now(), facts);
    await audit_log.denials.record(await this.#keyring(LOCAL_ORGANIZATION), entry);
  }

  /** A ticket that signs the person at this machine in, once within a minute. FORBIDDEN unless at the local command line. */
  async createTicket(caller: Caller): Promise<string> {
    return this.#tickets.create(await this.#keyring(LOCAL_ORGANIZATION), caller);
  }

  /** Whether a ticket can still be used. */
  async isTicketOpen(ticket: string): Promise<boolean> {
    return this.#tickets.isOpen(await this.#keyring(LOCAL_ORGANIZATION), ticket);
  }

  /** Signs the person at this machine in. Throws UNAUTHENTICATED for a ticket that is unknown, used or expired. */
  async signInWithTicket(ticket: string, request_id: string): Promise<NewWebSession> {
    const home = await this.#keyring(LOCAL_ORGANIZATION);
    const signed_in = { method: 'local', key: null } as const;
    // The ticket is read again by each attempt: of two requests with one ticket, the second is refused.
    return retryOnConflict(async () => {
      const consumed = await this.#tickets.consume(home, ticket);
      return this.#create(localCaller('web', request_id), signed_in, [consumed]);
    });
  }

  /** The session of a token; `undefined` for a token that is unknown, ended or expired, or whose API key or user does not exist any more. */
  async find(token: string, request_id: string): Promise<WebSession | undefined> {
    if (!TOKEN_PATTERN.test(token)) return undefined;
    const found = await this.#records.find(await this.#keyring(LOCAL_ORGANIZATION), [hashOf(token)]);
    if (found === undefined || this.#isExpired(found)) return undefined;
    const caller = await this.#callerOf(found.meta, request_id);
    return caller && describe(found, caller, token);
  }

  /** Ends a session: its token is not valid from then on. */
  async end({ id, caller }: WebSession): Promise<void> {
    const found = await this.#records.get(await this.#keyring(LOCAL_ORGANIZATION), id);
    // Another request has ended it.
    if (found === undefined) return;
    const { store, audit_log, now } = this.#parts;
    const keyring = await this.#keyring(caller.organization);
    const entry = newEntry(caller, 'sign_out', now(), { record_id: id });
    await store.commit({ writes: [removal(found)], audit: [audit_log.append(keyring, entry)] });
  }

  /** Creates the session and its audit entry, and removes sessions of the user that have expired or are too many. */
  async #create(
    caller: Caller,
    signed_in: Pick<SessionMeta, 'method' | 'key' | 'identity'>,
    consumed: readonly RecordWrite[] = [],
  ): Promise<NewWebSession> {
    const { store, records, audit_log, random, now } = this.#parts;
    const { organization, user } = caller;
    const home = await this.#keyring(LOCAL_ORGANIZATION);
    const keyring = await this.#keyring(organization);
    const scope = this.#records.scope(home, [organization, user]);
    const others = await this.#records.list(home, scope, Number.POSITIVE_INFINITY);
    const live = others.filter((one) => !this.#isExpired(one));
    const ended = [
      ...others.filter((one) => this.#isExpired(one)),
      ...live.slice(WEB_SESSIONS_PER_USER_MAX - 1),
    ];
    const token = random(TOKEN_BYTES).toString('base64url');
    const created = now();
    const meta: SessionMeta = {
      ...signed_in,
      organization,
      user,
      created_at: created.toISOString(),
      expires_at: new Date(created.getTime() + WEB_SESSION_AGE_MS).toISOString(),
    };
    const id = records.newRandomId();
    const put = this.#records.put(home, { key: [hashOf(token)], scope }, id, 1, meta);
    const entry = newEntry(caller, 'sign_in', created, { record_id: id, reason: signed_in.method });
    await store.commit({
      writes: [...consumed, put, ...ended.map(removal)],
      audit: [audit_log.append(keyring, entry)],
    });
    const signed_in_caller = await this.#callerOf(meta, caller.request_id);
    if (signed_in_caller === undefined)
      throw new VaultError(
        'UNAUTHENTICATED',
        'The API key or user was changed during the sign-in. Sign in again.',
      );
    return { token, session: describe({ id, revision: 1, meta }, signed_in_caller, token) };
  }

  async #callerOf(meta: SessionMeta, request_id: string): Promise<Caller | undefined> {
    const { method, key, identity, organization, user } = meta;
    if (method === 'local') return { ...localCaller('web', request_id), is_person: true };
    const keyring = await this.#parts.keys.organization(organization);
    if (keyring === undefined) return undefined;
    if (identity !== undefined) {
      const found = await this.#directory.findUser(keyring, user);
      return found?.id === identity.user_id ? personOf(organization, user, request_id) : undefined;
    }
    if (key === null) return undefined;
    const caller = await this.#keys.resume(keyring, key, 'web', request_id);
    // A program can have an API key: only one that was made for deciding is evidence of a person.
    return caller?.scopes.has('approvals:decide') ? { ...caller, is_person: true } : caller;
  }

  #isExpired({ meta }: Versioned<SessionMeta>): boolean {
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime();
  }

  async #keyring(organization: string): Promise<OrganizationKeyring> {
    const keyring = await this.#parts.keys.organization(organization);
    if (keyring === undefined) throw keyMissing();
    return keyring;
  }
}

function personOf(organization: string, user: string, request_id: string): Caller {
  const scopes = new Set(SIGNED_IN_SCOPES);
  return { organization, user, scopes, edge: 'web', request_id, is_person: true };
}

function describe({ id, meta }: Versioned<SessionMeta>, caller: Caller, token: string): WebSession {
  const { method, created_at, expires_at } = meta;
  const identity = meta.identity && { issuer: meta.identity.issuer, subject: meta.identity.subject };
  // Derived from the token, so that a page that shows it does not reveal the token.
  const csrf_token = hash('sha256', `csrf\0${token}`, 'base64url');
  return { id, method, created_at, expires_at, caller, identity, csrf_token };
}

function hashOf(token: string): string {
  return hash('sha256', token, 'base64url');
}
