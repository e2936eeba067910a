/**
 * Signs people in with OpenID Connect Core 1.0: the authorization code flow with PKCE, state and nonce. The ID token is accepted
 * only with a valid signature, from the issuer and for the client of the settings, before its expiry. No token is kept.
 */
import type * as OpenidClient from 'openid-client';
import type { Identity, IdentityProvider } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { IDENTITY_PROVIDER_TIMEOUT_MS, TOKEN_RESPONSE_MAX_BYTES } from '../contract/limits.ts';
import { requestDocument } from '../egress/documents.ts';
import type { Egress } from '../egress/egress.ts';
import { isSecureUrl } from '../io/server_url.ts';
import { authenticateClient } from './provider.ts';

/** What the callback is compared with. For the browser of the person, encrypted. */
export interface SignInSecrets {
  readonly state: string;
  readonly nonce: string;
  readonly code_verifier: string;
}

export interface StartedSignIn {
  readonly authorization_url: string;
  readonly secrets: SignInSecrets;
}

/**
 * `declined`: by the person, or by the provider for the person. `refused`: the callback or the ID token is not valid for this
 * sign-in. `unavailable`: an outage, a slow or unexpected response, or settings that the provider does not accept.
 */
export type SignInFailure = 'declined' | 'refused' | 'unavailable';

export class SignInError extends Error {
  readonly failure: SignInFailure;

  constructor(failure: SignInFailure, cause: unknown) {
    super('the sign-in with the identity provider failed', { cause });
    this.failure = failure;
  }
}

const METADATA_MAX_AGE_MS = 10 * 60_000;
/** The time between two reads of the metadata after a failure. */
const RETRY_MS = 5_000;

export class OidcClient {
  readonly provider: IdentityProvider;
  readonly #egress: Egress;
  #config: Promise<OpenidClient.Configuration> | undefined;
  #loaded_ms = 0;
  #max_age_ms = 0;

  constructor(provider: IdentityProvider, egress: Egress) {
    this.provider = provider;
    this.#egress = egress;
  }

  /** Rejects with SignInError. */
  async start(redirect_uri: string): Promise<StartedSignIn> {
    try {
      const openid = await import('openid-client');
      const config = await this.#configuration(openid);
      const secrets = {
        state: openid.randomState(),
        nonce: openid.randomNonce(),
        code_verifier: openid.randomPKCECodeVerifier(),
      };
      const url = openid.buildAuthorizationUrl(config, {
        redirect_uri,
        scope: this.provider.scopes.join(' '),
        state: secrets.state,
        nonce: secrets.nonce,
        code_challenge: await openid.calculatePKCECodeChallenge(secrets.code_verifier),
        code_challenge_method: 'S256',
      });
      if (!isSecureUrl(url.href)) throw notSecure();
      return { authorization_url: url.href, secrets };
    } catch (error) {
      throw new SignInError('unavailable', error);
    }
  }

  /** Exchanges the code of a callback, whose URL is the redirect URI with its parameters. Rejects with SignInError. */
  async finish(callback: URL, { state, nonce, code_verifier }: SignInSecrets): Promise<Identity> {
    const openid = await import('openid-client');
    try {
      const config = await this.#configuration(openid);
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: code_verifier };
      const tokens = await openid.authorizationCodeGrant(config, callback, {
        ...checks,
        idTokenExpected: true,
      });
      const subject = tokens.claims()?.sub;
      if (subject === undefined) throw new Error('the ID token has no subject');
      return { issuer: this.provider.issuer, subject };
    } catch (error) {
      throw new SignInError(failureOf(openid, error), error);
    }
  }

  /** From the metadata of the provider, which is kept. A failure is kept for some seconds, so that requests do not queue for it. */
  #configuration(openid: typeof OpenidClient): Promise<OpenidClient.Configuration> {
    if (this.#config === undefined || performance.now() - this.#loaded_ms > this.#max_age_ms) {
      this.#loaded_ms = performance.now();
      this.#max_age_ms = METADATA_MAX_AGE_MS;
      this.#config = this.#load(openid);
      this.#config.catch(() => {
        this.#max_age_ms = RETRY_MS;
      });
    }
    return this.#config;
  }

  async #load(openid: typeof OpenidClient): Promise<OpenidClient.Configuration> {
    const { issuer, client_id } = this.provider;
    const config = await openid.discovery(new URL(issuer), client_id, {}, this.#authenticate, {
      [openid.customFetch]: this.#fetch,
      execute: [
        openid.enableNonRepudiationChecks,
        ...(issuer.startsWith('http:') ? [openid.allowInsecureRequests] : []),
      ],
    });
    if (config.serverMetadata().issuer === issuer) return config;
    // Also the shared issuer of all tenants of Microsoft Entra ID: any tenant could name any subject.
    throw new VaultError(
      'UPSTREAM',
      'The metadata is of another issuer. Compare KEYHOLD_OIDC_ISSUER with it, also a slash at the end.',
    );
  }

  /** OpenID Connect Discovery, section 3: without the list, the provider supports `client_secret_basic`. */
  readonly #authenticate: OpenidClient.ClientAuth = (server, ...request) => {
    const { client_id: id, client_secret: secret } = this.provider;
    const { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] } = server;
    const auth = secret === undefined ? 'none' : methods.includes('client_secret_basic') ? 'basic' : 'body';
    authenticateClient({ id, secret, auth })(server, ...request);
  };

  readonly #fetch: OpenidClient.CustomFetch = async (url, { method, headers, body }) => {
    if (!isSecureUrl(url)) throw notSecure();
    const text = body === null || body === undefined ? undefined : String(body);
    const limits = { time_ms: IDENTITY_PROVIDER_TIMEOUT_MS, body_bytes: TOKEN_RESPONSE_MAX_BYTES };
    const request = { method, headers, body: text === undefined ? undefined : Buffer.from(text) };
    const { status, type, body: content } = await requestDocument(this.#egress, url, request, limits);
    return new Response(content.length === 0 ? null : Buffer.from(content), {
      status,
      headers: type === undefined ? {} : { 'content-type': type },
    });
  };
}

function notSecure(): VaultError {
  return new VaultError('UPSTREAM', 'The metadata names an address that is not https.');
}

/** OpenID Connect Core, section 3.1.2.6, and RFC 6749, section 4.1.2.1: the person, or a rule of the provider, decided so. */
const DECLINED = [
  'access_denied',
  'login_required',
  'interaction_required',
  'account_selection_required',
  'consent_required',
];
/** Codes of openid-client for responses that are not of an OpenID Connect provider. */
const UNEXPECTED = ['OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_RESPONSE_IS_NOT_JSON', 'OAUTH_PARSE_ERROR'];

function failureOf(openid: typeof OpenidClient, error: unknown): SignInFailure {
  if (error instanceof openid.AuthorizationResponseError)
    return DECLINED.includes(error.error) ? 'declined' : 'unavailable';
  if (error instanceof openid.ResponseBodyError)
    return error.error === 'invalid_grant' ? 'refused' : 'unavailable';
  if (error instanceof VaultError) return 'unavailable';
  if (!(error instanceof openid.ClientError)) return 'refused';
  const is_unexpected = error.code !== undefined && UNEXPECTED.includes(error.code);
  return is_unexpected || error.cause instanceof VaultError ? 'unavailable' : 'refused';
}
