/**
 * Who is asking: the one thing every vault operation takes first. Made by an edge, trusted by the guard.
 */

/** What an API key may do; a local caller has them all but `values:reveal`. */
export const SCOPES = [
  'credentials:read',
  'credentials:write',
  'credentials:use',
  'stacks:write',
  'keys:write',
  'audit:read',
  'values:reveal',
  'org:admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** What a new API key has unless it is told otherwise. */
export const NEW_KEY_SCOPES: readonly Scope[] = SCOPES.slice(0, 4);

/** The edge a call came in by. */
export type Edge = 'mcp' | 'rest' | 'web' | 'cli' | 'library';

export interface Caller {
  readonly organization: string;
  readonly user: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly edge: Edge;
  /** A ULID, the same in the answer, the log and the audit entry. */
  readonly request_id: string;
  /** The API key it came with. */
  readonly api_key_id?: string | undefined;
  /** The one stack that this caller may touch. Absent: every stack of the user. */
  readonly stack?: string | undefined;
  /** Slugs of the services that this caller may touch. Absent: every service. */
  readonly services?: ReadonlySet<string> | undefined;
  /** Names of the tools that this caller may call. Absent: every tool. */
  readonly tools?: ReadonlySet<string> | undefined;
}

export const LOCAL_ORGANIZATION = 'local';
export const LOCAL_USER = 'me';
export const DEFAULT_STACK = 'default';

const LOCAL_SCOPES: ReadonlySet<Scope> = new Set(SCOPES.filter((scope) => scope !== 'values:reveal'));

/** The person at this machine, whose operating system account already guards the file. */
export function localCaller(edge: Edge, request_id: string): Caller {
  return { organization: LOCAL_ORGANIZATION, user: LOCAL_USER, scopes: LOCAL_SCOPES, edge, request_id };
}

/** The authorization server whose access tokens are accepted. */
export interface TokenIssuer {
  /** The exact value of the claim `iss`. */
  readonly issuer: string;
  /** What the claim `aud` must name: this server, as the issuer knows it. */
  readonly audience: string;
  /** Where its keys are; undefined to read it from the issuer's metadata. */
  readonly jwks_url: string | undefined;
  /** Organization of the users whose tokens have no claim `organization`. */
  readonly organization: string;
}

/**
 * Whoever administers the organization `local`, all of it, runs this installation and may act in every organization.
 */
export function isOperator({ organization, scopes, stack, services, tools }: Caller): boolean {
  const is_whole = stack === undefined && services === undefined && tools === undefined;
  return is_whole && organization === LOCAL_ORGANIZATION && scopes.has('org:admin');
}
