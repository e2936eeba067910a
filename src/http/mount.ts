/**
 * A handler of whole requests that is not a REST dialect: MCP, OAuth, web pages. Before it runs, the pipeline has checked
 * Host, Origin and size, and with `access: 'key'` the API key and the rate limit.
 */
import type { Caller, Edge } from '../contract/caller.ts';
import type { PublicError } from '../contract/errors.ts';
import type { BearerChallenge } from './auth/bearer_challenge.ts';
import type { DialectDependencies, ErrorResponse } from './dialect.ts';

interface MountBase {
  /** For logs and metrics: `mcp`, `oauth`, ... */
  readonly name: string;
  /** This path only; with a trailing `/*`, all paths below it too. */
  readonly path: string;
  readonly edge: Edge;
  /** Media types of bodies. Default: JSON only. If empty, no body is read. */
  readonly content_types?: readonly string[];
  /** The one path that a page without an origin, such as a local file, may send requests to: `Origin: null`. */
  readonly null_origin_path?: string;
  /** Formats an error. Default: `{"error":{...}}`. */
  readonly error?: (error: PublicError, status?: number) => ErrorResponse;
  /** Formats the error for a body that is not valid JSON. Default: like any error. */
  readonly unreadable?: (error: PublicError) => ErrorResponse;
  /** The parameters of `WWW-Authenticate` in a 401. Default: none. */
  readonly challenge?: () => BearerChallenge;
}

export interface MountContext {
  readonly request_id: string;
  /** The address of the client that failed authentications are counted by. */
  address(): string;
  /** The body, which has been read and checked; `undefined` without one. */
  readonly body: string | undefined;
  /** The parsed body, if its media type is JSON. */
  readonly json: unknown;
  /** As dialects have it. */
  readonly runAuditRead: DialectDependencies['runAuditRead'];
  /** Counts an error that the handler does not throw. */
  readonly countError: DialectDependencies['countError'];
}

export interface KeyedMount extends MountBase {
  readonly access: 'key';
  handler(
    request: Request,
    context: MountContext & { readonly caller: Caller },
  ): Promise<Response> | Response;
}

/** Needs no API key. */
export interface OpenMount extends MountBase {
  readonly access: 'open';
  handler(request: Request, context: MountContext): Promise<Response> | Response;
}

export type Mount = KeyedMount | OpenMount;
