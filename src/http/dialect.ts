/**
 * The interface between the server and a REST dialect. A dialect has its own paths, bodies and error format; Host check,
 * authentication, rate limit and body limit are done before its routes run.
 */
import type { IncomingMessage } from 'node:http';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type * as z from 'zod';
import type { Caller } from '../contract/caller.ts';
import type { Connections } from '../contract/connection.ts';
import type { ErrorCode, PublicError } from '../contract/errors.ts';
import type { Logger } from '../contract/logger.ts';
import type { Calls } from '../contract/use/call.ts';
import type { Tests } from '../contract/use/test.ts';
import type { ServiceTools } from '../use/tools/service_tools.ts';
import type { Vault } from '../vault/vault.ts';

/** The variables that the pipeline sets before a route runs. */
export interface HttpEnv {
  Bindings: {
    /** Node's request; `undefined` in tests without a connection. */
    incoming?: IncomingMessage | undefined;
  };
  Variables: {
    /** A ULID, also in the header X-Request-ID. */
    request_id: string;
    caller: Caller;
    /** `undefined` without a body, which a schema cannot distinguish from an empty object. */
    body_text: string | undefined;
    /** The parsed body, if its media type is JSON. */
    body_json: unknown;
  };
}

export interface HttpDependencies {
  readonly vault: Vault;
  readonly calls: Calls;
  readonly tests: Tests;
  readonly connections: Connections;
  readonly log: Logger;
  readonly version: string;
  /** Where clients reach this server, without a trailing slash. */
  readonly public_url: string;
  readonly now: () => Date;
}

export interface DialectDependencies extends HttpDependencies {
  /**
   * Runs a read of the whole audit log, which takes time with its length: one at a time per organization, and a limited
   * number a minute. Rejects with 429 past the limit.
   */
  readonly runAuditRead: <Result>(caller: Caller, read: () => Promise<Result>) => Promise<Result>;
  readonly service_tools: ServiceTools;
  /** Counts further requests of the caller, for one that does the work of several. Throws 429 past a limit. */
  readonly countRequests: (caller: Caller, requests: number) => void;
  /** Counts the invocation of a tool with the caller's API key. Throws 429 past the limit. */
  readonly countInvocation: (caller: Caller) => void;
  /** Counts an error in a response that has no error status. Errors that a handler throws are counted without it. */
  readonly countError: (code: ErrorCode) => void;
}

/** An error response in the format of one dialect. */
export interface ErrorResponse {
  readonly status: number;
  /** Sent as JSON, unless there are `headers`: then a text of the content type in them. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Input that failed validation, and the issues found. Never repeat the input: any of it may be a secret value. */
export interface InvalidInput {
  readonly target: 'body' | 'path' | 'query' | 'header';
  readonly issues: readonly z.core.$ZodIssue[];
  /** The pattern of the route, if the body was rejected before the route could validate it. */
  readonly route?: string;
}

export interface Dialect {
  /** For logs and metrics: `toolrouter`, `danube`, ... */
  readonly name: string;
  /** The paths of this dialect begin with one of these, such as `/api/v1`. */
  readonly prefixes: readonly string[];
  /**
   * Formats an error. The dialect may override the status of the error table. A given `status` (403 for Host and
   * Origin, 405, 413, 415, 429, ...) overrides what this returns.
   */
  error(error: PublicError, status?: number): ErrorResponse;
  /** Formats the response to input that failed validation. */
  invalid(input: InvalidInput, request_id: string): ErrorResponse;
  /** Adds the routes, with their full paths. Handlers throw VaultError, which becomes a response through `error`. */
  register(app: OpenAPIHono<HttpEnv>, parts: DialectDependencies): void;
}
