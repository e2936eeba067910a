/**
 * Keeps access tokens usable: before a use, and after the service refused one. However many
 * callers, processes and servers use a credential, one of them sends one request: a second one with the same refresh
 * token would end the access at providers that rotate it. In this process, callers share the request; between processes
 * the vault's lease decides (`src/vault/oauth/credential_tokens.ts`), and each reads the credential again after it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import {
  TOKEN_LEASE_MS,
  TOKEN_REFRESH_BEFORE_MS,
  TOKEN_REFRESH_PATIENCE_MS,
  TOKEN_REQUEST_TIMEOUT_MS,
} from '../contract/limits.ts';
import { msUntil } from '../contract/timestamp.ts';
import type { Egress, EgressTarget } from '../egress/egress.ts';
import { inSpan } from '../io/tracing/span.ts';
import type { AccessTokens } from '../use/access_tokens.ts';
import { knownValues, withDefaults } from '../use/call/request/templates.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { OpenedRefresh } from '../vault/oauth/credential_tokens.ts';
import { refreshBeforeMs } from '../vault/oauth/token_state.ts';
import { needsReconnect } from '../vault/uses/usable.ts';
import type { UsableCredential, UsableToken, UsePurpose } from '../vault/uses/use.ts';
import type { Uses } from '../vault/uses/uses.ts';
import { endpointUrl } from './provider.ts';
import { requestTokens } from './token_request.ts';
import { TokenRequestError } from './token_request_error.ts';

export interface RefresherParts {
  readonly uses: Pick<Uses, 'find' | 'tokens'>;
  readonly egress: Egress;
  readonly values: Pick<ValueProducer, 'produceAll'>;
  readonly now: () => Date;
}

/** Between two looks at a lease of another process, with as much again at random. */
const POLL_MS = 60;
const WAIT_MAX_MS = TOKEN_LEASE_MS + 5_000;
/** From taking the lease to sending the request, which must end before another process may take the lease over. */
const PREPARE_MAX_MS = TOKEN_LEASE_MS - TOKEN_REQUEST_TIMEOUT_MS;
/** Another change may come between finding the credential and taking its lease. */
const FIND_ATTEMPTS_MAX = 5;

export class TokenRefresher implements AccessTokens {
  readonly #parts: RefresherParts;
  /** By organization and credential. */
  readonly #running = new Map<string, Promise<void>>();
  readonly #requests = new Set<Promise<void>>();

  constructor(parts: RefresherParts) {
    this.#parts = parts;
  }

  async fresh(
    caller: Caller,
    credential: UsableCredential,
    purpose: UsePurpose = 'request',
    before_ms: number = TOKEN_REFRESH_BEFORE_MS,
  ): Promise<UsableCredential> {
    let found = credential;
    for (let attempt = 1; attempt <= FIND_ATTEMPTS_MAX; attempt++) {
      const { token } = found;
      if (token === undefined) return found;
      const remaining_ms = this.#remainingMs(found, token);
      // Half of the lifetime of one that is short; after a refresh, any that has not ended.
      const enough_ms = attempt === 1 ? refreshBeforeMs(token, before_ms) : 0;
      if (remaining_ms > enough_ms) return found;
      try {
        const refreshed = this.#share(caller, found, token);
        const is_done =
          remaining_ms > 0
            ? await within(refreshed, TOKEN_REFRESH_PATIENCE_MS)
            : await refreshed.then(() => true);
        // It goes on in the background, and this use takes the token that has not ended yet.
        if (!is_done) return found;
      } catch (error) {
        if (remaining_ms > 0 && isTemporary(error)) return found;
        throw error;
      }
      found = await this.#findAgain(caller, found, purpose);
    }
    return found;
  }

  async replace(
    caller: Caller,
    credential: UsableCredential,
    purpose: UsePurpose = 'request',
  ): Promise<UsableCredential | undefined> {
    const { token } = credential;
    if (token === undefined) return undefined;
    await this.#share(caller, credential, token);
    return this.#findAgain(caller, credential, purpose);
  }

  async idle(): Promise<void> {
    while (this.#requests.size > 0) await Promise.allSettled(this.#requests);
  }

  #remainingMs({ service, fields }: UsableCredential, { expires_at }: UsableToken): number {
    if (!fields.includes(service.oauth?.access_token_field ?? '')) return Number.NEGATIVE_INFINITY;
    return expires_at === null ? Number.POSITIVE_INFINITY : msUntil(expires_at, this.#parts.now());
  }

  #findAgain(
    caller: Caller,
    { service, stack, name }: UsableCredential,
    purpose: UsePurpose,
  ): Promise<UsableCredential> {
    const input = { service_id: service.slug, stack_id: stack, ...(name === null ? {} : { name }) };
    return this.#parts.uses.find(caller, input, purpose);
  }

  #share(caller: Caller, credential: UsableCredential, token: UsableToken): Promise<void> {
    const key = `${caller.organization}/${credential.credential_id}`;
    const known = this.#running.get(key);
    if (known !== undefined) return known;
    const running = inSpan('refresh access token', { begins_trace: true }, () =>
      this.#refresh(caller, credential, token),
    ).finally(() => this.#running.delete(key));
    this.#running.set(key, running);
    return running;
  }

  /** Resolves when the credential has another access token, or was changed otherwise. */
  async #refresh(caller: Caller, credential: UsableCredential, token: UsableToken): Promise<void> {
    const { uses, egress } = this.#parts;
    const url = tokenUrl(credential, token);
    const target = await egress.resolve(url.origin, `${caller.organization}/${caller.user}`);
    const { origin, pathname: path } = url;
    const summary = `access token of ${credential.service.slug}`;
    const use = { kind: 'refresh', method: 'POST', origin, path, hash: '', summary } as const;
    const give_up_ms = performance.now() + WAIT_MAX_MS;
    for (;;) {
      const start = await uses.tokens.begin(caller, credential, use, target.addresses.join(' '));
      if (start.state === 'changed') return;
      if (start.state === 'opened') {
        const request = this.#request(caller, credential, token, start.refresh, url, target);
        this.#requests.add(request);
        return request.finally(() => this.#requests.delete(request));
      }
      const { remaining_ms } = start;
      if (start.for === 'retry' || performance.now() > give_up_ms)
        throw unavailable(credential, remaining_ms, 'a request for it failed a short time ago');
      // Keeps the process alive: its caller waits.
      await sleep(Math.min(remaining_ms, POLL_MS * (1 + Math.random())));
    }
  }

  async #request(
    caller: Caller,
    credential: UsableCredential,
    { grant }: UsableToken,
    refresh: OpenedRefresh,
    url: URL,
    target: EgressTarget,
  ): Promise<void> {
    const { uses, egress, values, now } = this.#parts;
    const { service } = credential;
    const began_ms = performance.now();
    try {
      const produced = await values.produceAll(service, refresh.values);
      if (performance.now() - began_ms > PREPARE_MAX_MS)
        throw new TokenRequestError('failed', 'the values for the request were ready too late');
      const all = withDefaults(service, produced.values);
      const request = { egress, service, url, target, values: all, now: now() };
      const tokens = await requestTokens(request, grant);
      refresh.finish({ status: 200 });
      await uses.tokens.save(caller, credential, refresh, tokens);
    } catch (error) {
      if (!(error instanceof TokenRequestError)) {
        refresh.finish({ reason: 'the request was not made or its result was not stored' });
        await uses.tokens.postpone(caller, credential, refresh);
        throw error;
      }
      const { failure, status, message, retry_after_ms } = error;
      const interrupted = refresh.follows_interrupted ? '; the request before was interrupted' : '';
      refresh.finish({ status, reason: `${message}${interrupted}` });
      if (failure === 'grant_refused' && grant === 'refresh_token') {
        await uses.tokens.requireReconnect(caller, credential, refresh);
        throw needsReconnect(service, credential);
      }
      const pause_ms = await uses.tokens.postpone(caller, credential, refresh, retry_after_ms);
      throw failure === 'failed'
        ? unavailable(credential, pause_ms, message)
        : clientRefused(credential, message);
    }
  }
}

/** Where the next access token is requested. Opens no value. */
function tokenUrl({ service, destination }: UsableCredential, { grant, origins }: UsableToken): URL {
  const fields = knownValues(service, destination.fields);
  const url =
    (grant === 'refresh_token' ? endpointUrl(service, 'refresh_url', fields, origins) : undefined) ??
    endpointUrl(service, 'token_url', fields, origins);
  if (url === undefined) throw new Error('a service with OAuth has a token URL');
  return url;
}

/** Whether the promise is resolved in time. Its later rejection is ignored: the next use meets it. */
async function within(promise: Promise<void>, time_ms: number): Promise<boolean> {
  const timer = new AbortController();
  const done = promise.then(() => true);
  done.catch(() => undefined);
  try {
    return await Promise.race([done, sleep(time_ms, false, { signal: timer.signal, ref: false })]);
  } finally {
    timer.abort();
  }
}

function isTemporary(error: unknown): boolean {
  return error instanceof VaultError && ['UPSTREAM', 'RATE_LIMITED', 'UNAVAILABLE'].includes(error.code);
}

function unavailable({ service }: UsableCredential, pause_ms: number, reason: string): VaultError {
  const retry_after = Math.max(1, Math.ceil(pause_ms / 1000));
  return new VaultError(
    'UPSTREAM',
    `The access token of ${service.name} cannot be refreshed now: ${reason}. Nothing was changed. Try again in ${retry_after} s.`,
    { next: `Repeat the same call in ${retry_after} seconds.`, retry: true, retry_after },
  );
}

function clientRefused({ service }: UsableCredential, reason: string): VaultError {
  const { client_id_field, client_secret_field } = service.oauth ?? {};
  const fields = [client_id_field, client_secret_field].filter((id) => id !== undefined).join(' ');
  const command = `keyhold update ${service.slug} ${fields}`;
  return new VaultError(
    'FORBIDDEN',
    `${service.name} returned no access token: ${reason}. Check the client, for example with \`${command}\`.`,
    { reason: 'credential_rejected', next: `Ask the user to check the client: \`${command}\`.` },
  );
}
