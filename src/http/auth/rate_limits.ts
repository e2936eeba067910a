/**
 * How often a key may ask, and how often an address may be wrong about its key. Counted in this process, in windows of
 * a minute that begin with the first request.
 */
import type { RateLimiterMemory } from 'rate-limiter-flexible';
import { HttpError } from '../errors.ts';

const WINDOW_SECONDS = 60;

export interface RateLimits {
  /** Requests a minute with one key; 0: as many as it likes. */
  readonly requests_per_minute: number;
  /** Failed authentications a minute from one address; 0: as many as it likes. */
  readonly auth_failures_per_minute: number;
}

export class RequestLimiter {
  readonly #limiter: RateLimiterMemory | undefined;
  readonly #points: number;

  private constructor(limiter: RateLimiterMemory | undefined, points: number) {
    this.#limiter = limiter;
    this.#points = points;
  }

  static async create(points: number): Promise<RequestLimiter> {
    return new RequestLimiter(await newLimiter(points), points);
  }

  /** Counts one request, and adds what the caller is told of it to `headers`. Rejects with 429 past the limit. */
  async count(key: string, headers: Map<string, string>): Promise<void> {
    if (this.#limiter === undefined) return;
    const { consumedPoints, msBeforeNext } = await this.#limiter.penalty(key);
    headers.set('X-RateLimit-Limit', String(this.#points));
    headers.set('X-RateLimit-Remaining', String(Math.max(0, this.#points - consumedPoints)));
    headers.set('X-RateLimit-Reset', String(Math.ceil((Date.now() + msBeforeNext) / 1000)));
    if (consumedPoints > this.#points) throw tooMany('Too many requests with this API key.', msBeforeNext);
  }
}

export class FailureLimiter {
  readonly #limiter: RateLimiterMemory | undefined;
  readonly #points: number;

  private constructor(limiter: RateLimiterMemory | undefined, points: number) {
    this.#limiter = limiter;
    this.#points = points;
  }

  static async create(points: number): Promise<FailureLimiter> {
    return new FailureLimiter(await newLimiter(points), points);
  }

  /** Counts one failure of this address. Rejects with 429 when there were too many. */
  async countFailure(address: string): Promise<void> {
    if (this.#limiter === undefined) return;
    const { consumedPoints, msBeforeNext } = await this.#limiter.penalty(address);
    if (consumedPoints > this.#points)
      throw tooMany('Too many requests without a valid API key.', msBeforeNext);
  }
}

async function newLimiter(points: number): Promise<RateLimiterMemory | undefined> {
  if (points === 0) return undefined;
  const { default: limiters } = await import('rate-limiter-flexible');
  return new limiters.RateLimiterMemory({ points, duration: WINDOW_SECONDS });
}

function tooMany(what: string, wait_ms: number): HttpError {
  const seconds = Math.max(1, Math.ceil(wait_ms / 1000));
  const unit = seconds === 1 ? 'second' : 'seconds';
  return new HttpError(429, 'RATE_LIMITED', `${what} Try again in ${seconds} ${unit}.`, {
    'Retry-After': String(seconds),
  });
}
