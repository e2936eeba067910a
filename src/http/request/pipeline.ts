/**
 * What a request passes before its route runs, in this order: is it meant for this server, does this part of it need a
 * key and whose is it, not too often, and a body that can be read. Every request passes it, whatever its path.
 */
import type { Context, Next } from 'hono';
import type { Caller } from '../../contract/caller.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { RequestLimiter } from '../auth/rate_limits.ts';
import type { PipelineEnv } from '../context.ts';
import { invalidBodyResponse } from '../error_response.ts';
import type { FindRouteGroup } from '../routing/route_groups.ts';
import { routePattern, UNMATCHED_ROUTE } from '../routing/route_pattern.ts';
import { dropContentType, readBody } from './body.ts';
import { type HostAllowList, rejectCrossOrigin } from './host_check.ts';

export interface PipelineOptions {
  readonly findArea: FindRouteGroup;
  readonly hosts: HostAllowList;
  readonly authenticator: Authenticator;
  readonly requests: RequestLimiter;
}

export class RequestPipeline {
  readonly #parts: PipelineOptions;

  constructor(parts: PipelineOptions) {
    this.#parts = parts;
  }

  /** Middleware for all paths. */
  readonly pass = async (c: Context<PipelineEnv>, next: Next): Promise<Response | undefined> => {
    const { exchange, incoming } = c.env;
    // By the path that the router goes by, so that no spelling of a path gets past the key.
    exchange.area = this.#parts.findArea(c.req.path);
    exchange.route = routePattern(c);
    c.set('request_id', exchange.request_id);
    this.#parts.hosts.assertAllowed(c.req.header('host'), c.req.header('origin'), incoming?.url ?? '/');
    const { needs_key } = exchange.area;
    if (needs_key) {
      rejectCrossOrigin(c.req.header('sec-fetch-site'));
      await this.admit(c);
    }
    // Nobody waits for a body that no route is going to read, or has it take memory.
    if (exchange.route !== UNMATCHED_ROUTE && exchange.area.content_types.length > 0) {
      const is_here = incoming?.complete === true;
      const body = await readBody(c);
      if ('invalid' in body) return invalidBodyResponse(exchange, body.invalid);
      // It may have taken its time to come, and the key can have been revoked meanwhile.
      if (needs_key && body.text !== undefined && !is_here) await this.#identify(c);
      c.set('body_text', body.text);
      // Mounts look at the request as it came.
      if (body.text === undefined && exchange.area.is_validated) dropContentType(c);
    }
    await next();
    return undefined;
  };

  /** Who is asking, counted against the rate of the key. Rejects with UNAUTHENTICATED and with 429. */
  async admit(c: Context<PipelineEnv>): Promise<Caller> {
    const caller = await this.#identify(c);
    await this.#parts.requests.count(limitKey(caller), c.env.exchange.headers);
    return caller;
  }

  async #identify(c: Context<PipelineEnv>): Promise<Caller> {
    const caller = await this.#parts.authenticator.authenticate(c);
    c.env.exchange.caller = caller;
    c.set('caller', caller);
    return caller;
  }
}

/** Whoever comes without an API key is limited as a user. */
function limitKey({ api_key_id, organization, user }: Caller): string {
  return api_key_id ?? JSON.stringify([organization, user]);
}
