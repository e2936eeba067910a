/**
 * Which part of the server a path belongs to: a dialect, a mount, or the server itself. A part decides how its errors
 * are said and whether a key is needed; a path that is nobody's gets the server's own way.
 */
import type { Edge } from '../../contract/caller.ts';
import type { PublicError } from '../../contract/errors.ts';
import { ERROR_TABLE } from '../../contract/errors.ts';
import type { Dialect, ErrorResponse, InvalidInput } from '../dialect.ts';
import type { Mount } from '../mount.ts';

export interface RouteGroup {
  readonly name: string;
  readonly edge: Edge;
  readonly needs_key: boolean;
  /** Its bodies are held against schemas before a route sees them. */
  readonly is_validated: boolean;
  readonly content_types: readonly string[];
  error(error: PublicError, status?: number): ErrorResponse;
  invalid(input: InvalidInput, request_id: string): ErrorResponse;
  challenge(): string;
}

const JSON_ONLY = ['application/json'];

/** What is nobody's: health, metrics, pages, and paths that there are not. */
export const DEFAULT_GROUP: RouteGroup = {
  name: 'server',
  edge: 'rest',
  needs_key: false,
  is_validated: false,
  content_types: JSON_ONLY,
  error: plainError,
  invalid: plainInvalid,
  challenge: () => 'Bearer',
};

function plainError(error: PublicError, status?: number): ErrorResponse {
  return { status: status ?? ERROR_TABLE[error.code].http_status, body: { error } };
}

function plainInvalid(_input: InvalidInput, request_id: string): ErrorResponse {
  const message = 'The request does not have the form that this route takes.';
  return plainError({ code: 'INVALID_INPUT', message, request_id });
}

/** Finds the area of a path, as the router sees the path. */
export type FindRouteGroup = (path: string) => RouteGroup;

/** Of several prefixes the longest counts. */
export function routeGroupFinder(dialects: readonly Dialect[], mounts: readonly Mount[]): FindRouteGroup {
  const places = [
    ...mounts.map((mount) => ({ ...placeOf(mount.path), area: areaOfMount(mount) })),
    ...dialects.flatMap((dialect) => {
      const area = areaOfDialect(dialect);
      return dialect.prefixes.map((prefix) => ({ ...below(prefix), area }));
    }),
  ].sort((a, b) => b.prefix.length - a.prefix.length);
  return (path) => {
    for (const { prefix, folder, area } of places) {
      if (path === prefix || (folder !== undefined && path.startsWith(folder))) return area;
    }
    return DEFAULT_GROUP;
  };
}

interface Place {
  readonly prefix: string;
  /** The prefix with a slash, where what is below belongs to it too. */
  readonly folder: string | undefined;
}

function placeOf(path: string): Place {
  return path.endsWith('/*') ? below(path.slice(0, -2)) : { prefix: path, folder: undefined };
}

function below(prefix: string): Place {
  return { prefix, folder: `${prefix}/` };
}

function areaOfDialect(dialect: Dialect): RouteGroup {
  return {
    name: dialect.name,
    edge: 'rest',
    needs_key: true,
    is_validated: true,
    content_types: JSON_ONLY,
    error: (error, status) => {
      const answer = dialect.error(error, status);
      return status === undefined ? answer : { ...answer, status };
    },
    invalid: (input, request_id) => dialect.invalid(input, request_id),
    challenge: () => 'Bearer',
  };
}

function areaOfMount(mount: Mount): RouteGroup {
  const error: RouteGroup['error'] = (said, status) => {
    const answer = (mount.error ?? plainError)(said, status);
    return status === undefined ? answer : { ...answer, status };
  };
  return {
    name: mount.name,
    edge: mount.edge,
    needs_key: mount.access === 'key',
    is_validated: false,
    content_types: mount.content_types ?? JSON_ONLY,
    error,
    invalid: (_input, request_id) => {
      const message = 'The body is not JSON, or not such as is taken here.';
      return (mount.unreadable ?? error)({ code: 'INVALID_INPUT', message, request_id });
    },
    challenge: mount.challenge ?? (() => 'Bearer'),
  };
}
