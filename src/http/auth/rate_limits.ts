/**
 * Rate limits: requests per API key, user and organization, expensive reads of the audit log, and failed authentications
 * per client address. Counted in windows of one minute that begin with the first event, by all nodes together.
 */
import type { Caller } from '../../contract/caller.ts';
import { RATE_LIMIT_KEYS_MAX, RATE_LIMIT_SHARES } from '../../contract/limits.ts';
import { networkOf, parseAddress, parseForwardedAddress } from '../../io/ip_address.ts';
import { KeyedMutex } from '../../io/keyed_mutex.ts';
import { MinuteWindows, type Window } from '../../io/minute_windows.ts';
import type { Nodes } from '../../vault/nodes/nodes.ts';
import { HttpError } from '../error_response.ts';

/** 0: unlimited. */
export interface RateLimits {
  /** With one API key. A user, and an organization, have a multiple of it for all their keys together. */
  readonly requests_per_minute: number;
  readonly auth_failures_per_minute: number;
}

/** The nodes that count together; absent: this process counts alone. */
export type CountingNodes = Pick<Nodes, 'windows'>;

export class RateLimiter {
  readonly #max: number;
  readonly #message: string;
  readonly #windows: MinuteWindows;

  /** `max`: events per minute and key; 0: unlimited. `message`: of the 429. `shared`: nodes, and the name of what is counted. */
  constructor(max: number, message: string, shared?: readonly [nodes: CountingNodes, name: string]) {
    this.#max = max;
    this.#message = message;
    this.#windows =
      shared === undefined || max === 0
        ? new MinuteWindows(RATE_LIMIT_KEYS_MAX)
        : shared[0].windows(shared[1], max, RATE_LIMIT_KEYS_MAX);
  }

  /** Counts one event and adds the X-RateLimit headers to `headers`, if given. Throws 429, with those headers, past the limit. */
  count(key: string, headers?: Map<string, string>): void {
    if (this.#max === 0) return;
    const now_ms = performance.now();
    const window = this.#windows.add(key, now_ms);
    if (headers !== undefined) {
      for (const [name, value] of Object.entries(this.#describe(window, now_ms))) headers.set(name, value);
    }
    if (window.count <= this.#max) return;
    const seconds = Math.max(1, Math.ceil((window.ends_ms - now_ms) / 1000));
    const unit = seconds === 1 ? 'second' : 'seconds';
    throw new HttpError(429, 'RATE_LIMITED', `${this.#message} Try again in ${seconds} ${unit}.`, {
      ...this.#describe(window, now_ms),
      'Retry-After': String(seconds),
    });
  }

  #describe({ count, ends_ms }: Window, now_ms: number): Readonly<Record<string, string>> {
    return {
      'X-RateLimit-Limit': String(this.#max),
      'X-RateLimit-Remaining': String(Math.max(0, this.#max - count)),
      'X-RateLimit-Reset': String(Math.ceil((Date.now() + ends_ms - now_ms) / 1000)),
    };
  }
}

/** The limits of requests with a key. */
export class RequestLimits {
  readonly #keys: RateLimiter;
  readonly #users: RateLimiter;
  readonly #organizations: RateLimiter;
  readonly #audit_reads: RateLimiter;
  readonly #invocations: RateLimiter;
  readonly #running_audit_reads = new KeyedMutex();

  /** `max`: requests per minute and key; 0: unlimited. */
  constructor(max: number, nodes?: CountingNodes) {
    const { user, organization, audit_reads, invocations } = RATE_LIMIT_SHARES;
    const limiter = (share: number, name: string, message: string) =>
      new RateLimiter(Math.ceil(max * share), message, nodes && [nodes, name]);
    this.#keys = limiter(1, 'key_requests', 'Too many requests with this API key.');
    this.#users = limiter(user, 'user_requests', 'Too many requests with the keys of this user.');
    this.#organizations = limiter(
      organization,
      'organization_requests',
      'Too many requests of this organization.',
    );
    this.#audit_reads = limiter(
      audit_reads,
      'audit_reads',
      'Too many searches or verifications of the audit log of this organization.',
    );
    this.#invocations = limiter(
      invocations,
      'invocations',
      'Too many invocations of tools with this API key.',
    );
  }

  /** Counts a request and sets the X-RateLimit headers of its key, if given. Throws 429 past a limit. */
  count({ api_key_id, organization, user }: Caller, headers?: Map<string, string>): void {
    const user_key = JSON.stringify([organization, user]);
    // A caller without an API key has an access token: all tokens of a user share one limit.
    this.#keys.count(api_key_id ?? user_key, headers);
    this.#users.count(user_key);
    this.#organizations.count(organization);
  }

  /** Counts further requests, for one that does the work of several. Throws 429 past a limit. */
  readonly countRequests = (caller: Caller, requests: number): void => {
    for (let counted = 0; counted < requests; counted++) this.count(caller);
  };

  /** Counts the invocation of a tool. Throws 429 past the limit of the key. */
  readonly countInvocation = ({ api_key_id, organization, user }: Caller): void => {
    this.#invocations.count(api_key_id ?? JSON.stringify([organization, user]));
  };

  /** Runs a read of the whole audit log, one at a time per organization. Rejects with 429 past the limit. */
  readonly runAuditRead = async <Result>(caller: Caller, read: () => Promise<Result>): Promise<Result> => {
    const { organization, scopes, stack, services, tools } = caller;
    const is_restricted = stack !== undefined || services !== undefined || tools !== undefined;
    // The vault refuses it at once, and it must not use up the limit of those who may.
    if (is_restricted || !scopes.has('audit:read')) return read();
    this.#audit_reads.count(organization);
    return this.#running_audit_reads.run(organization, read);
  };
}

/**
 * The IPv4 address of the client, or its IPv6 network. Only the last hop of X-Forwarded-For counts, which our proxy wrote;
 * the client may have written the others.
 */
export function clientAddress(socket_address: string | undefined, forwarded_for: string | null): string {
  const last_hop = forwarded_for?.split(',').at(-1) ?? '';
  const address = parseForwardedAddress(last_hop) ?? parseAddress(socket_address ?? '');
  return address === undefined ? '' : networkOf(address);
}
