/**
 * OAuth access tokens: a JWT (RFC 9068) of the one issuer that the operator trusts, made for this server, becomes a
 * Caller with those of our scopes that are in it and no others. What cannot be verified is refused, also when the
 * issuer's keys cannot be had; nobody is anybody for lack of a check.
 */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { UserName } from '../../contract/api_key.ts';
import {
  type Caller,
  type Edge,
  LOCAL_ORGANIZATION,
  LOCAL_USER,
  NEW_KEY_SCOPES,
  OrganizationName,
  type Scope,
  type TokenIssuer,
} from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Vault } from '../../vault/vault.ts';
import type { Authenticate } from './authenticator.ts';
import { JwksClient } from './jwks.ts';

/** Signatures alone, and none that a public key could be the secret of. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
/** RFC 9068 wants `at+jwt`; many issuers say `JWT`, or nothing. */
const TOKEN_TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt'];
const CLOCK_TOLERANCE_SECONDS = 30;
/** base64url of a JSON object begins so. */
const TOKEN_PATTERN = /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/;

/**
 * Who a bearer token stands for; `undefined` for one that has not the form of a JWT, such as an API key. Rejects with
 * UNAUTHENTICATED for a token that is no good here, FORBIDDEN for a good one of somebody who has no business here, and
 * UNAVAILABLE when the keys of the issuer cannot be had.
 */
export function accessTokens(issuer: TokenIssuer, vault: KnownOrganizations, now: () => Date): Authenticate {
  const tokens = new AccessTokens(issuer, vault, now);
  return async (token, edge, request_id) =>
    TOKEN_PATTERN.test(token) ? tokens.callerOf(token, edge, request_id) : undefined;
}

/** jose has no error of its own for a key that is too short for its algorithm. */
function isShortKey(thrown: unknown): boolean {
  return thrown instanceof TypeError && thrown.message.includes('modulusLength');
}

/** What a header says may be of any type, whatever the library's types say. */
function lowerCase(typ: unknown): unknown {
  return typeof typ === 'string' ? typ.toLowerCase() : typ;
}

type KnownOrganizations = Pick<Vault, 'organizations'>;

class AccessTokens {
  readonly #issuer: TokenIssuer;
  readonly #vault: KnownOrganizations;
  readonly #now: () => Date;
  readonly #keys: JwksClient;

  constructor(issuer: TokenIssuer, vault: KnownOrganizations, now: () => Date) {
    this.#issuer = issuer;
    this.#vault = vault;
    this.#now = now;
    this.#keys = new JwksClient(issuer.issuer, issuer.jwks_url, now);
  }

  async callerOf(token: string, edge: Edge, request_id: string): Promise<Caller> {
    const claims = await this.#verify(token);
    const organization = await this.#organization(claims);
    const user = UserName.safeParse(claims.sub);
    // Nobody becomes the person at this machine by a name.
    if (!user.success || (organization === LOCAL_ORGANIZATION && user.data === LOCAL_USER))
      throw new VaultError('FORBIDDEN', 'The subject of the access token cannot be a user here.');
    const scopes = scopesOf(claims);
    if (scopes.size === 0)
      throw new VaultError('FORBIDDEN', 'The access token has none of the scopes that are known here.');
    return { organization, user: user.data, scopes, edge, request_id };
  }

  async #verify(token: string): Promise<JWTPayload> {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, this.#keys.find, {
        algorithms: ALGORITHMS,
        issuer: this.#issuer.issuer,
        audience: this.#issuer.audience,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: this.#now(),
      });
      // A token that is bound to a key of its holder is good only with a proof, which nobody asks for here.
      if (TOKEN_TYPES.includes(lowerCase(protectedHeader.typ)) && payload.cnf === undefined) return payload;
    } catch (thrown) {
      if (thrown instanceof VaultError) throw thrown;
      // jose tells of the time only when the signature is good.
      if (thrown instanceof errors.JWTExpired)
        throw new VaultError('UNAUTHENTICATED', 'The access token has expired. Get a new one.');
      if (!(thrown instanceof errors.JOSEError || isShortKey(thrown))) throw thrown;
    }
    throw new VaultError('UNAUTHENTICATED', 'A valid access token or API key is needed.');
  }

  async #organization({ organization: claim }: JWTPayload): Promise<string> {
    const organization = OrganizationName.safeParse(claim ?? this.#issuer.organization);
    if (organization.success && (await this.#vault.organizations.has(organization.data)))
      return organization.data;
    throw new VaultError('FORBIDDEN', 'The organization of the access token is not one of this vault.');
  }
}

/**
 * What a token may give. What a client asked for is not what its user may do, so no token administers anything, makes
 * keys or has values shown: that takes an API key.
 */
const TOKEN_SCOPES: readonly Scope[] = [...NEW_KEY_SCOPES, 'audit:read'];

/** `scope` is words between blanks (RFC 8693); `scp` is that or a list. */
function scopesOf({ scope, scp }: JWTPayload): ReadonlySet<Scope> {
  const words: unknown[] = [scope, scp].flatMap((claim) =>
    typeof claim === 'string' ? claim.split(' ') : claim,
  );
  return new Set(TOKEN_SCOPES.filter((one) => words.includes(one)));
}
