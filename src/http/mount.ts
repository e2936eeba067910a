/**
 * A handler of whole requests that is no dialect: MCP, OAuth, pages. The frame has checked Host, Origin and size, and
 * with `access: 'key'` the key and its rate, before it is called.
 */
import type { Caller, Edge } from '../contract/caller.ts';
import type { PublicError } from '../contract/errors.ts';
import type { ErrorResponse } from './dialect.ts';

interface MountBase {
  /** For logs and metrics: `mcp`, `oauth`, ... */
  readonly name: string;
  /** This path and nothing else; with `/*` at its end, everything below it too. */
  readonly path: string;
  readonly edge: Edge;
  /** Media types that a body may have. JSON alone when it is not said; where there are none, no body is read. */
  readonly content_types?: readonly string[];
  /** How the frame says an error here; `{"error":{...}}` when it is not said. */
  readonly error?: (error: PublicError, status?: number) => ErrorResponse;
  /** How it says that a body is no JSON; as any error when it is not said. */
  readonly unreadable?: (error: PublicError) => ErrorResponse;
  /** What `WWW-Authenticate` says beside a 401; `Bearer` when it is not said. */
  readonly challenge?: () => string;
  /** The server is about to stop: end what would go on for long. */
  readonly close?: () => Promise<void> | void;
}

interface MountContext {
  readonly request_id: string;
  /** The body of the request, which was read and checked already; `undefined` where there is none. */
  readonly body: string | undefined;
}

export interface KeyedMount extends MountBase {
  readonly access: 'key';
  handler(
    request: Request,
    context: MountContext & { readonly caller: Caller },
  ): Promise<Response> | Response;
}

/** Open to everybody who gets past Host and Origin. */
export interface OpenMount extends MountBase {
  readonly access: 'open';
  handler(request: Request, context: MountContext): Promise<Response> | Response;
}

export type Mount = KeyedMount | OpenMount;
