/**
 * OAuth access tokens: converts a JWT (RFC 9068) of the issuer that the operator configured, with this server as audience,
 * into a Caller with those of its scopes that a token may grant. Fails closed: a token is rejected if it cannot be
 * verified, including when the issuer's JWKS is unavailable.
 */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import { UserName } from '../../contract/api_key.ts';
import {
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

/** Asymmetric only: with an HMAC, a public key could be used as the secret. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
/** RFC 9068 requires `at+jwt`; many issuers set `JWT`, or nothing. */
const TOKEN_TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt'];
const CLOCK_TOLERANCE_SECONDS = 30;
/** A JWT in compact form. The base64url of a JSON object begins with eyJ. */
const TOKEN_PATTERN = /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/;
/**
 * The scopes that a token can grant. The scopes of a client are not the permissions of its user, so no token administers
 * anything, creates keys or reveals values: that takes an API key.
 */
const TOKEN_SCOPES: readonly Scope[] = [...NEW_KEY_SCOPES, 'audit:read'];

type OrganizationLookup = Pick<Vault, 'organizations'>;

/**
 * Resolves to `undefined` for a token that is not a JWT, such as an API key. Rejects with UNAUTHENTICATED for an invalid
 * token, FORBIDDEN for a valid one that grants nothing here, and UNAVAILABLE if the issuer's keys cannot be fetched.
 */
export function accessTokens(issuer: TokenIssuer, vault: OrganizationLookup, now: () => Date): Authenticate {
  const keys = new JwksClient(issuer);
  return async (token, edge, request_id) => {
    if (!TOKEN_PATTERN.test(token)) return undefined;
    const claims = await verifyToken(token, issuer, keys, now);
    const organization = await organizationOf(claims, issuer, vault);
    const user = UserName.safeParse(claims.sub);
    // The local user is the person at this machine, whom no token may impersonate.
    if (!user.success || (organization === LOCAL_ORGANIZATION && user.data === LOCAL_USER))
      throw new VaultError('FORBIDDEN', 'The subject of the access token cannot be a user here.');
    const scopes = scopesOf(claims);
    if (scopes.size === 0)
      throw new VaultError('FORBIDDEN', 'The access token has none of the scopes that are known here.');
    return { organization, user: user.data, scopes, edge, request_id };
  };
}

async function verifyToken(
  token: string,
  { issuer, audience }: TokenIssuer,
  keys: JwksClient,
  now: () => Date,
): Promise<JWTPayload> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys.find, {
      algorithms: ALGORITHMS,
      issuer,
      audience,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: now(),
    });
    // Untrusted: jose's type promises a string, but the header may contain any value.
    const typ: unknown = protectedHeader.typ;
    const is_token_type = TOKEN_TYPES.includes(typeof typ === 'string' ? typ.toLowerCase() : typ);
    // `cnf` binds a token to a key of its holder (RFC 7800). Proofs of possession are not supported here.
    if (is_token_type && payload.cnf === undefined) return payload;
  } catch (thrown) {
    if (thrown instanceof VaultError) throw thrown;
    // jose checks the expiry only after the signature.
    if (thrown instanceof errors.JWTExpired)
      throw new VaultError('UNAUTHENTICATED', 'The access token has expired. Get a new one.');
    if (!(thrown instanceof errors.JOSEError || isShortKeyError(thrown))) throw thrown;
  }
  throw new VaultError('UNAUTHENTICATED', 'A valid access token or API key is needed.');
}

/** jose has no error class for a key that is too short for its algorithm. */
function isShortKeyError(thrown: unknown): boolean {
  return thrown instanceof TypeError && thrown.message.includes('modulusLength');
}

async function organizationOf(
  claims: JWTPayload,
  issuer: TokenIssuer,
  vault: OrganizationLookup,
): Promise<string> {
  const organization = OrganizationName.safeParse(claims.organization ?? issuer.organization);
  if (organization.success && (await vault.organizations.has(organization.data))) return organization.data;
  throw new VaultError('FORBIDDEN', 'The organization of the access token is not one of this vault.');
}

/** `scope` is a list separated by blanks (RFC 8693); `scp` is the same or an array. */
function scopesOf({ scope, scp }: JWTPayload): ReadonlySet<Scope> {
  const granted: unknown[] = [scope, scp].flatMap((claim) =>
    typeof claim === 'string' ? claim.split(' ') : claim,
  );
  return new Set(TOKEN_SCOPES.filter((one) => granted.includes(one)));
}
