/**
 * OAuth access tokens: converts a JWT (RFC 9068) of the issuer that the operator configured, with this server as audience,
 * into a Caller with those of its scopes that a token may grant. Fails closed: a token is rejected if it cannot be
 * verified, including when the issuer's JWKS is unavailable. A token never acts in the organization of the operator.
 */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import {
  LOCAL_ORGANIZATION,
  NEW_KEY_SCOPES,
  OrganizationName,
  type Scope,
  type TokenIssuer,
} from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Vault } from '../../vault/vault.ts';
import type { HttpDependencies } from '../dialect.ts';
import type { Authenticate } from './authenticator.ts';
import { issuedUser } from './issued_users.ts';
import { type FetchDocument, JwksClient } from './jwks.ts';

/** Asymmetric only: with an HMAC, a public key could be used as the secret. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
const CLOCK_TOLERANCE_SECONDS = 30;
/** A JWT in compact form. The base64url of a JSON object begins with eyJ. */
const TOKEN_PATTERN = /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/;
/** Claims of ID tokens (OpenID Connect Core, section 2), which are for the client and not for a resource server. */
const ID_TOKEN_CLAIMS = ['nonce', 'at_hash', 'c_hash', 's_hash'];
/**
 * The scopes that a token can grant. The scopes of a client are not the permissions of its user, so no token administers
 * anything, reads the audit log of the organization, creates keys or reveals values: that takes an API key.
 */
const TOKEN_SCOPES: readonly Scope[] = NEW_KEY_SCOPES;

type OrganizationLookup = Pick<Vault, 'organizations'>;

/**
 * Resolves to `undefined` for a token that is not a JWT, such as an API key. Rejects with UNAUTHENTICATED for an invalid
 * token, FORBIDDEN for a valid one that grants nothing here, and UNAVAILABLE if the issuer's keys cannot be fetched.
 */
export function accessTokens(
  issuer: TokenIssuer,
  { vault, log, now }: Pick<HttpDependencies, 'vault' | 'log' | 'now'>,
  fetchDocument: FetchDocument,
): Authenticate {
  const keys = new JwksClient(issuer, log, fetchDocument);
  return async (token, edge, request_id) => {
    if (!TOKEN_PATTERN.test(token)) return undefined;
    const claims = await verifyToken(token, issuer, keys, now);
    const organization = await organizationOf(claims, issuer, vault);
    const user = userOf(claims, issuer);
    const scopes = scopesOf(claims, issuer);
    if (scopes.size === 0)
      throw new VaultError('FORBIDDEN', 'The access token has none of the scopes that are known here.', {
        required_scope: TOKEN_SCOPES.join(' '),
      });
    return { organization, user, scopes, edge, request_id };
  };
}

async function verifyToken(
  token: string,
  issuer: TokenIssuer,
  keys: JwksClient,
  now: () => Date,
): Promise<JWTPayload> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys.find, {
      algorithms: ALGORITHMS,
      issuer: issuer.issuer,
      requiredClaims: ['exp', 'iat', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      // Also rejects a token that was issued in the future.
      maxTokenAge: issuer.lifetime_max_seconds,
      currentDate: now(),
    });
    const problem = findTokenProblem(payload, protectedHeader.typ, issuer);
    if (problem === undefined) return payload;
    throw new VaultError('UNAUTHENTICATED', problem);
  } catch (thrown) {
    if (thrown instanceof VaultError) throw thrown;
    // jose checks the expiry only after the signature.
    if (thrown instanceof errors.JWTExpired)
      throw new VaultError('UNAUTHENTICATED', 'The access token has expired. Get a new one.');
    if (!(thrown instanceof errors.JOSEError || isShortKeyError(thrown))) throw thrown;
  }
  throw new VaultError('UNAUTHENTICATED', 'A valid access token or API key is needed.');
}

/** Why a signed token is not accepted. */
function findTokenProblem(claims: JWTPayload, typ: unknown, issuer: TokenIssuer): string | undefined {
  // Untrusted: jose's type promises a string, but the header may contain any value.
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : (typ ?? 'none');
  const is_id_token =
    ID_TOKEN_CLAIMS.some((claim) => claims[claim] !== undefined) ||
    // Amazon Cognito names the use of each token.
    (claims.token_use !== undefined && claims.token_use !== 'access');
  if (is_id_token) return 'This is an ID token. Send the access token.';
  if (!issuer.token_types.some((accepted) => accepted === type))
    return 'The header typ of the access token is not one that is accepted here. KEYHOLD_OAUTH_TOKEN_TYPES lists those.';
  if ((claims.exp ?? 0) - (claims.iat ?? 0) > issuer.lifetime_max_seconds)
    return 'The access token is valid for longer than KEYHOLD_OAUTH_LIFETIME allows.';
  // RFC 7800. Proofs of possession are not supported here.
  if (claims.cnf !== undefined)
    return 'The access token is bound to a key of its holder, which is not supported here.';
  if (!isForThisServer(claims, issuer)) return 'The access token is for another server.';
  return undefined;
}

/** Some issuers, such as Amazon Cognito, set no `aud`: then the client must be one that the operator listed. */
function isForThisServer({ aud, client_id }: JWTPayload, { audience, client_ids }: TokenIssuer): boolean {
  if (aud === undefined) return typeof client_id === 'string' && client_ids.includes(client_id);
  return Array.isArray(aud) ? aud.includes(audience) : aud === audience;
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
  const claim = claims.organization ?? issuer.organization;
  if (claim === undefined)
    throw new VaultError(
      'FORBIDDEN',
      'The access token names no organization. Have its issuer set the claim organization, or set KEYHOLD_OAUTH_ORGANIZATION.',
    );
  const organization = OrganizationName.safeParse(claim);
  const is_open = organization.success && organization.data !== LOCAL_ORGANIZATION;
  if (is_open && (await vault.organizations.has(organization.data))) return organization.data;
  throw new VaultError(
    'FORBIDDEN',
    'The organization of the access token is not one that tokens may act in.',
  );
}

function userOf({ sub, client_id, azp }: JWTPayload, issuer: TokenIssuer): string {
  const user = issuedUser(issuer, sub);
  if (user === undefined)
    throw new VaultError('FORBIDDEN', 'The subject of the access token cannot be a user here.');
  // RFC 9068, section 5: the subject of a client may collide with that of a user.
  if (!issuer.client_subjects && (sub === client_id || sub === azp))
    throw new VaultError(
      'FORBIDDEN',
      'The access token is of a client and not of a user. Set KEYHOLD_OAUTH_CLIENT_SUBJECTS=true to accept it.',
    );
  return user;
}

/**
 * `scope` is a list separated by blanks (RFC 8693); `scp` is the same or an array. Issuers that have scopes of many
 * servers write the name of the server before them: `AUDIENCE/credentials:read`.
 */
function scopesOf({ scope, scp }: JWTPayload, { audience }: TokenIssuer): ReadonlySet<Scope> {
  const granted: unknown[] = [scope, scp].flatMap((claim) =>
    typeof claim === 'string' ? claim.split(' ') : claim,
  );
  return new Set(
    TOKEN_SCOPES.filter((one) => granted.includes(one) || granted.includes(`${audience}/${one}`)),
  );
}
