/** The caller of a vault operation and its permissions. An edge creates it; the guard trusts it. */
import * as z from 'zod';
import { VaultError } from './errors.ts';
import type { Secret } from './secret.ts';
import type { UsePolicy } from './use/policy.ts';
import { parseInput } from './validation.ts';

/** The permissions of API keys; a local caller has all of them except `values:reveal`. */
export const SCOPES = [
  'credentials:read',
  'credentials:write',
  'credentials:use',
  'stacks:write',
  'keys:write',
  'audit:read',
  'values:reveal',
  'approvals:decide',
  'org:admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** The scopes of a new API key that names none. */
export const NEW_KEY_SCOPES: readonly Scope[] = [
  'credentials:read',
  'credentials:write',
  'credentials:use',
  'stacks:write',
];

/**
 * The permissions of a person who signs in with OpenID Connect: to work with its own credentials, and to decide. All else, such as
 * creating API keys and sharing, takes an API key that an administrator has made.
 */
export const SIGNED_IN_SCOPES: readonly Scope[] = [
  'credentials:read',
  'credentials:write',
  'credentials:use',
  'approvals:decide',
];

/** The interface that received the call; `schedule`: the server itself tests a credential again. */
export type Edge = 'mcp' | 'rest' | 'web' | 'cli' | 'library' | 'schedule';

export interface Caller {
  readonly organization: string;
  readonly user: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly edge: Edge;
  /** A ULID, the same in the response, the log and the audit entry. */
  readonly request_id: string;
  /** The API key that authenticated the call. */
  readonly api_key_id?: string | undefined;
  /** The user who created or last rotated that key, if it is another one: who knows its secret. */
  readonly made_by?: string | undefined;
  /** Name and version of the MCP client, as the client claims. For the audit log only: any client can claim any. */
  readonly claimed_client?: string | undefined;
  /** The one stack that this caller may touch. Absent: every stack of the user. */
  readonly stack?: string | undefined;
  /** Slugs of the services that this caller may touch. Absent: every service. */
  readonly services?: ReadonlySet<string> | undefined;
  /** Names of the tools that this caller may call. Absent: every tool. */
  readonly tools?: ReadonlySet<string> | undefined;
  /** Limits the uses of every credential by this caller. Absent: no limits. */
  readonly use_policy?: UsePolicy | undefined;
  /** Random, for the lifetime of one `keyhold mcp` process. Absent: the caller has no session, as over HTTP. */
  readonly session_id?: string | undefined;
  /** The caller is a person at a page. Only a web session sets it: of the local person, an identity provider, or an API key with `approvals:decide`. */
  readonly is_person?: true | undefined;
}

export const OrganizationName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'must be lower case letters, digits, "_" or "-" (63 at most)');

export const LOCAL_ORGANIZATION = 'local';
export const LOCAL_USER = 'me';
export const DEFAULT_STACK = 'default';

const LOCAL_SCOPES: ReadonlySet<Scope> = new Set(SCOPES.filter((scope) => scope !== 'values:reveal'));

/** The person at this machine: the permissions of the operating system already protect the vault file. */
export function localCaller(edge: Edge, request_id: string): Caller {
  return { organization: LOCAL_ORGANIZATION, user: LOCAL_USER, scopes: LOCAL_SCOPES, edge, request_id };
}

/** The person at this machine, who used the command line without a server. */
export function isLocalCommandLine({ edge, api_key_id }: Caller): boolean {
  return edge === 'cli' && api_key_id === undefined;
}

/** A person: at the command line of this machine, or signed in at a page. Never a model or a program with an API key. */
export function isPerson(caller: Caller): boolean {
  return isLocalCommandLine(caller) || caller.is_person === true;
}

/**
 * Whether the caller decides on approvals: a person, or over REST an API key with `approvals:decide`, which only a person
 * grants. Never a model over MCP.
 */
export function decidesOnApprovals(caller: Caller): boolean {
  const { edge, api_key_id, scopes } = caller;
  return isPerson(caller) || (edge === 'rest' && api_key_id !== undefined && scopes.has('approvals:decide'));
}

/** The authorization server whose access tokens are accepted, and the tokens of it that are. */
export interface TokenIssuer {
  /** The exact value of the claim `iss`. */
  readonly issuer: string;
  /** A value that the claim `aud` must contain: the issuer's name for this server. */
  readonly audience: string;
  /** Clients whose tokens may lack the claim `aud`, by their claim `client_id`. */
  readonly client_ids: readonly string[];
  /** Where its keys are; undefined to read it from the issuer's metadata. */
  readonly jwks_url: string | undefined;
  /** Organization of the users whose tokens have no claim `organization`. */
  readonly organization: string | undefined;
  /** API-key users that subjects of tokens act as. All other subjects are users of their own. */
  readonly users: ReadonlyMap<string, string>;
  /** Accepts the tokens of clients that act for no user: `sub` is the client id. */
  readonly client_subjects: boolean;
  readonly token_types: readonly TokenType[];
  /** Maximum difference of the claims `exp` and `iat`. */
  readonly lifetime_max_seconds: number;
}

/** Values of the JWT header `typ`; `none`: it is missing. RFC 9068 requires the first. */
export const TOKEN_TYPES = ['at+jwt', 'jwt', 'none'] as const;
export type TokenType = (typeof TOKEN_TYPES)[number];

/** A person as an identity provider names it. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
}

/** The OpenID Connect provider with which people sign in to the pages. */
export interface IdentityProvider {
  /** The exact value of the claim `iss`. */
  readonly issuer: string;
  readonly client_id: string;
  /** `undefined`: a public client, which PKCE alone protects. */
  readonly client_secret: Secret | undefined;
  /** The organization of everyone who signs in; never that of the operator. */
  readonly organization: string;
  /** API-key users that subjects sign in as. All other subjects are users of their own. */
  readonly users: ReadonlyMap<string, string>;
  /** For the button of the sign-in page. */
  readonly name: string;
  readonly scopes: readonly string[];
}

/** The operator of the installation: an unrestricted administrator of the organization `local`. */
export function isOperator({ organization, scopes, stack, services, tools }: Caller): boolean {
  const is_unrestricted = stack === undefined && services === undefined && tools === undefined;
  return is_unrestricted && organization === LOCAL_ORGANIZATION && scopes.has('org:admin');
}

/**
 * Returns the caller as it acts in `organization`. In another organization, which only the operator may act in, it is
 * recorded as `organization/user`. User names cannot contain "/", so this never equals a user of that organization.
 */
export function actAs(caller: Caller, organization: string | undefined): Caller {
  if (organization === undefined || organization === caller.organization) return caller;
  const name = parseInput(OrganizationName, organization);
  if (isOperator(caller))
    return { ...caller, organization: name, user: `${caller.organization}/${caller.user}` };
  throw new VaultError('FORBIDDEN', 'Only the operator may act in another organization.');
}

/** Returns whether the caller may use this service, given by its slug. */
export function canUseService({ services }: Pick<Caller, 'services'>, slug: string): boolean {
  return services === undefined || services.has(slug);
}
