/** One request and its response as log, metrics and headers need them. Holds nothing that the client sent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../contract/caller.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { BearerChallenge } from './auth/bearer_challenge.ts';
import type { HttpEnv } from './dialect.ts';
import type { RouteGroup } from './routing/route_groups.ts';

/** The route of a request that matches none, in logs and metrics. */
export const UNMATCHED_ROUTE = 'none';

/** The paths of probes, which are the only routes without a Host check: the store can be read; also, the server takes requests. */
export const HEALTH_PATH = '/healthz';
export const READY_PATH = '/readyz';

export interface RequestContext {
  readonly request_id: string;
  readonly group: RouteGroup;
  /** The address of the client that failed authentications are counted by. */
  address(): string;
  /** The pattern of the route, never the path itself. */
  route: string;
  caller: Caller | undefined;
  /** The error code of the response. */
  code: ErrorCode | undefined;
  /** Why the response is 401 or 403, for clients with tokens (RFC 6750, section 3.1). */
  bearer_error: BearerChallenge | undefined;
  /** Added to the headers of the response, whatever handler makes it. */
  readonly headers: Map<string, string>;
}

/** Node's objects for one request. */
export interface NodeExchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** The environment of the pipeline and of the built-in routes. */
export interface PipelineEnv extends HttpEnv {
  Bindings: HttpEnv['Bindings'] & {
    context: RequestContext;
    /** By which the route group was found; the router must match the same string. */
    path: string;
  };
}
