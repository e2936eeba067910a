/**
 * The route groups of the server: one for each dialect and each mount, and one for the built-in routes. The group
 * decides the error format and whether an API key is required. Finds the group of a path.
 */
import type { Edge } from '../../contract/caller.ts';
import { ERROR_TABLE, type PublicError } from '../../contract/errors.ts';
import { NOT_JSON } from '../../io/strict_json.ts';
import type { BearerChallenge } from '../auth/bearer_challenge.ts';
import type { Dialect, ErrorResponse, InvalidInput } from '../dialect.ts';
import type { Mount } from '../mount.ts';

export interface RouteGroup {
  readonly name: string;
  readonly edge: Edge;
  readonly needs_key: boolean;
  /** Its bodies are validated against schemas. */
  readonly is_validated: boolean;
  readonly content_types: readonly string[];
  /** See `Mount`. */
  readonly null_origin_path?: string | undefined;
  error(error: PublicError, status?: number): ErrorResponse;
  invalid(input: InvalidInput, request_id: string): ErrorResponse;
  challenge(): BearerChallenge;
}

const JSON_ONLY = ['application/json'];

/** Health, metrics, pages, and all paths that belong to no other group. */
export const DEFAULT_GROUP: RouteGroup = {
  name: 'server',
  edge: 'rest',
  needs_key: false,
  is_validated: false,
  content_types: JSON_ONLY,
  error: plainError,
  invalid: (_input, request_id) => {
    const message = 'The request does not match the schema of this route.';
    return plainError({ code: 'INVALID_INPUT', message, request_id });
  },
  challenge: () => ({}),
};

function plainError(error: PublicError, status?: number): ErrorResponse {
  return { status: status ?? ERROR_TABLE[error.code].http_status, body: { error } };
}

export function dialectGroup(dialect: Dialect): RouteGroup {
  return {
    ...DEFAULT_GROUP,
    name: dialect.name,
    needs_key: true,
    is_validated: true,
    error: withStatus((error, status) => dialect.error(error, status)),
    invalid: (input, request_id) => dialect.invalid(input, request_id),
  };
}

export function mountGroup(mount: Mount): RouteGroup {
  const error = withStatus(mount.error ?? plainError);
  return {
    ...DEFAULT_GROUP,
    name: mount.name,
    edge: mount.edge,
    needs_key: mount.access === 'key',
    content_types: mount.content_types ?? JSON_ONLY,
    null_origin_path: mount.null_origin_path,
    error,
    invalid: ({ issues }, request_id) => {
      const violations = issues.map((issue) => issue.message).filter((text) => text !== NOT_JSON);
      const message = ['The body is not valid JSON.', ...violations].join(' ');
      return (mount.unreadable ?? error)({ code: 'INVALID_INPUT', message, request_id });
    },
    challenge: mount.challenge ?? DEFAULT_GROUP.challenge,
  };
}

/** A given status takes precedence over that of the formatted error. */
function withStatus(format: RouteGroup['error']): RouteGroup['error'] {
  return (error, status) => {
    const response = format(error, status);
    return status === undefined ? response : { ...response, status };
  };
}

interface ServedPaths {
  /** Each is one path; with a trailing `/*`, all paths below it too. */
  readonly paths: readonly string[];
}

/** Returns a function that finds the group with the longest prefix of a path, or `fallback`. */
export function routeGroupFinder<ServedGroup extends ServedPaths>(
  groups: readonly ServedGroup[],
  fallback: ServedGroup,
): (path: string) => ServedGroup {
  const entries = groups
    .flatMap((group) => group.paths.map((path) => ({ ...parsePath(path), group })))
    .sort((a, b) => b.prefix.length - a.prefix.length);
  return (path) => {
    for (const { prefix, folder, group } of entries) {
      if (path === prefix || (folder !== undefined && path.startsWith(folder))) return group;
    }
    return fallback;
  };
}

function parsePath(path: string): { readonly prefix: string; readonly folder: string | undefined } {
  return path.endsWith('/*')
    ? { prefix: path.slice(0, -2), folder: path.slice(0, -1) }
    : { prefix: path, folder: undefined };
}
