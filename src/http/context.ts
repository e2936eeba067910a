/**
 * One request and its answer, as the frame sees it: what the log, the metrics and the headers are made of. It holds
 * nothing that the caller sent but the kind of request it was.
 */
import type { IncomingMessage } from 'node:http';
import type { Caller } from '../contract/caller.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { HttpEnv } from './dialect.ts';
import type { RouteGroup } from './routing/route_groups.ts';

export interface RequestContext {
  readonly request_id: string;
  /** The server's own until the path is known. */
  area: RouteGroup;
  /** Who is connected; for a proxy's clients, what the proxy says. Only failures are counted by it. */
  address(): string;
  /** The pattern of the route, never the path itself. */
  route: string;
  caller: Caller | undefined;
  /** What the answer tells went wrong. */
  code: ErrorCode | undefined;
  /** Headers that the answer gets, whoever makes it. */
  readonly headers: Map<string, string>;
}

/** What the frame's own handlers find in their context. */
export interface PipelineEnv extends HttpEnv {
  Bindings: { exchange: RequestContext; incoming?: IncomingMessage | undefined };
}
