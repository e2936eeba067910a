/**
 * Rate limits: requests per API key, and failed authentications per client address. Counted in this process, in windows
 * of one minute that begin with the first event.
 */
import { isIP, isIPv6 } from 'node:net';
import type { RateLimiterMemory } from 'rate-limiter-flexible';
import { HttpError } from '../error_response.ts';

const WINDOW_SECONDS = 60;
const NETWORK_GROUPS = 4;

/** 0: unlimited. */
export interface RateLimits {
  readonly requests_per_minute: number;
  readonly auth_failures_per_minute: number;
}

export class RateLimiter {
  readonly #limiter: RateLimiterMemory | undefined;
  readonly #max: number;
  readonly #message: string;

  private constructor(limiter: RateLimiterMemory | undefined, max: number, message: string) {
    this.#limiter = limiter;
    this.#max = max;
    this.#message = message;
  }

  /** `max`: events per minute and key; 0: unlimited. `message`: of the 429. */
  static async create(max: number, message: string): Promise<RateLimiter> {
    if (max === 0) return new RateLimiter(undefined, max, message);
    const { default: limiters } = await import('rate-limiter-flexible');
    const limiter = new limiters.RateLimiterMemory({ points: max, duration: WINDOW_SECONDS });
    return new RateLimiter(limiter, max, message);
  }

  /** Counts one event and adds the X-RateLimit headers to `headers`, if given. Rejects with 429 past the limit. */
  async count(key: string, headers?: Map<string, string>): Promise<void> {
    if (this.#limiter === undefined) return;
    const { consumedPoints, msBeforeNext } = await this.#limiter.penalty(key);
    headers?.set('X-RateLimit-Limit', String(this.#max));
    headers?.set('X-RateLimit-Remaining', String(Math.max(0, this.#max - consumedPoints)));
    headers?.set('X-RateLimit-Reset', String(Math.ceil((Date.now() + msBeforeNext) / 1000)));
    if (consumedPoints <= this.#max) return;
    const seconds = Math.max(1, Math.ceil(msBeforeNext / 1000));
    const unit = seconds === 1 ? 'second' : 'seconds';
    throw new HttpError(429, 'RATE_LIMITED', `${this.#message} Try again in ${seconds} ${unit}.`, {
      'Retry-After': String(seconds),
    });
  }
}

/**
 * The IPv4 address of the client, or its IPv6 network: a home or a server has a whole /64. Only the last hop of
 * X-Forwarded-For counts, which our proxy wrote; the client may have written the others.
 */
export function clientAddress(socket_address: string | undefined, forwarded_for: string | null): string {
  const last_hop = forwarded_for?.split(',').at(-1)?.trim() ?? '';
  const address = isIP(last_hop) !== 0 ? last_hop : (socket_address ?? '');
  const ipv4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (ipv4 !== undefined || !isIPv6(address)) return ipv4 ?? address;
  const [head = '', tail = ''] = (address.split('%')[0] ?? '').split('::');
  const groupsOf = (text: string) => text.split(':').filter((group) => group !== '');
  const zeros = 8 - groupsOf(head).length - groupsOf(tail).length;
  const groups = [...groupsOf(head), ...Array<string>(Math.max(0, zeros)).fill('0'), ...groupsOf(tail)];
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::`;
}
