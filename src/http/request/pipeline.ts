/**
 * The request pipeline, in this order: Host and Origin check (except for health), authentication (if the route group requires it), rate
 * limit, body. It runs for every request, whatever the path, before any route handler.
 */
import type { Context, Next } from 'hono';
import { routePath } from 'hono/route';
import type { Caller } from '../../contract/caller.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { RequestLimits } from '../auth/rate_limits.ts';
import { HEALTH_PATH, type PipelineEnv, READY_PATH, UNMATCHED_ROUTE } from '../context.ts';
import { invalidBodyResponse } from '../error_response.ts';
import { dropContentType, readBody } from './body.ts';
import { type HostAllowList, rejectCrossOrigin } from './host_check.ts';

export interface PipelineOptions {
  readonly hosts: HostAllowList;
  readonly authenticator: Authenticator;
  readonly requests: RequestLimits;
  /** Before a handler runs. */
  readonly loadDefinitions: () => Promise<void>;
}

export class RequestPipeline {
  readonly #options: PipelineOptions;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Middleware for all paths. */
  readonly handle = async (c: Context<PipelineEnv>, next: Next): Promise<Response | undefined> => {
    const { context, incoming } = c.env;
    const { group } = context;
    // Index 0 is this middleware.
    context.route = routePath(c, 1) || UNMATCHED_ROUTE;
    c.set('request_id', context.request_id);
    // Probes of an orchestrator use the address of the pod or machine as Host. The fixed response to them holds nothing
    // that a page under another name (DNS rebinding) may not read, and has no effect.
    if (context.route !== HEALTH_PATH && context.route !== READY_PATH) {
      const sent_origin = c.req.header('origin');
      const is_null_allowed = sent_origin === 'null' && group.null_origin_path === c.env.path;
      const origin = is_null_allowed ? undefined : sent_origin;
      this.#options.hosts.assertAllowed(c.req.header('host'), origin, incoming?.url ?? '/');
    }
    if (group.needs_key) {
      rejectCrossOrigin(c.req.header('sec-fetch-site'));
      await this.authenticate(c);
    }
    // A body that no route reads is not waited for and takes no memory.
    if (context.route !== UNMATCHED_ROUTE && group.content_types.length > 0) {
      const had_arrived = incoming?.complete === true;
      const body = await readBody(c);
      if ('violation' in body) return invalidBodyResponse(context, body.violation);
      // Authenticate again after a slow body: the key may have been revoked while it was arriving.
      if (group.needs_key && body.text !== undefined && !had_arrived) await this.#identify(c);
      c.set('body_text', body.text);
      c.set('body_json', body.json);
      if (body.text === undefined && group.is_validated) dropContentType(c);
    }
    if (context.route !== UNMATCHED_ROUTE) await this.#options.loadDefinitions();
    await next();
    return undefined;
  };

  /** Returns the caller and counts the request. Rejects with UNAUTHENTICATED, and with 429 past the rate limit. */
  async authenticate(c: Context<PipelineEnv>): Promise<Caller> {
    const caller = await this.#identify(c);
    this.#options.requests.count(caller, c.env.context.headers);
    return caller;
  }

  async #identify(c: Context<PipelineEnv>): Promise<Caller> {
    const caller = await this.#options.authenticator.authenticate(c);
    c.env.context.caller = caller;
    c.set('caller', caller);
    return caller;
  }
}
