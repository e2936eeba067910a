/**
 * What the REST dialects and the frame that serves them agree on. A dialect has its own paths, its own shapes and its
 * own way to say what went wrong; who is asking, how often and how much is settled before its routes are reached.
 */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type * as z from 'zod';
import type { Caller } from '../contract/caller.ts';
import type { PublicError } from '../contract/errors.ts';
import type { Logger } from '../contract/logger.ts';
import type { Vault } from '../vault/vault.ts';

/** What the frame has put into the context by the time a route runs. */
export interface HttpEnv {
  Variables: {
    /** A ULID, also in the header X-Request-ID. */
    request_id: string;
    caller: Caller;
    /** The body as it was read; `undefined` where there is none, which a schema cannot tell from an empty object. */
    body_text: string | undefined;
  };
}

/** What every HTTP edge is given. */
export interface HttpDependencies {
  readonly vault: Vault;
  readonly log: Logger;
  readonly version: string;
  /** Where clients reach this server, without a slash at the end. */
  readonly public_url: string;
  readonly now: () => Date;
}

/** An answer that tells of an error, in the shape of one dialect. */
export interface ErrorResponse {
  readonly status: number;
  readonly body: unknown;
}

/** The input that a route's schema refused, and what it found. Never repeat the input: any of it may be a value. */
export interface InvalidInput {
  readonly target: 'body' | 'path' | 'query' | 'header';
  readonly issues: readonly z.core.$ZodIssue[];
}

export interface Dialect {
  /** For logs and metrics: `toolrouter`, `danube`, ... */
  readonly name: string;
  /** Paths that begin so are this dialect's, such as `/api/v1`. */
  readonly prefixes: readonly string[];
  /**
   * How an error is said here. `status` of the error table is what the dialect may overrule; where `status` is given
   * (403 for Host and Origin, 405, 413, 415, 429 ...), the answer gets that one, whatever this returns.
   */
  error(error: PublicError, status?: number): ErrorResponse;
  /** How input that its schema refuses is answered here. */
  invalid(input: InvalidInput, request_id: string): ErrorResponse;
  /** Adds the routes, with their whole paths. Handlers throw VaultError; the frame answers in this dialect. */
  register(app: OpenAPIHono<HttpEnv>, parts: HttpDependencies): void;
}
