/** One request to the token endpoint of a provider, with openid-client. Never rejects with text of the provider. */
import type * as OpenidClient from 'openid-client';
import type { OAuthEndpoints, OAuthGrant } from '../contract/service/authentication.ts';
import type { Service } from '../contract/service/service.ts';
import type { Egress, EgressTarget } from '../egress/egress.ts';
import type { TokenGrant } from '../services/oauth/grants.ts';
import { expand, expandAll, type FieldValues, withDefaults } from '../use/call/request/templates.ts';
import type { ObtainedTokens } from '../vault/oauth/credential_tokens.ts';
import { signAssertion } from './assertion.ts';
import { authenticateClient, clientOf, oauthOf } from './provider.ts';
import { type ProviderFetch, providerFetch } from './provider_fetch.ts';
import { TokenRequestError } from './token_request_error.ts';
import { obtainedTokens } from './token_response.ts';

export interface TokenRequest {
  readonly egress: Egress;
  readonly service: Service;
  readonly url: URL;
  /** The resolved origin of `url`. */
  readonly target: EgressTarget;
  /** All values of the credential, produced. */
  readonly values: FieldValues;
  readonly now: Date;
}

interface Provider {
  readonly openid: typeof OpenidClient;
  readonly config: OpenidClient.Configuration;
  readonly provider_fetch: ProviderFetch;
}

const GRANT_TYPES: Readonly<Record<TokenGrant, string>> = {
  refresh_token: 'refresh_token',
  client_credentials: 'client_credentials',
  jwt_bearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  account_credentials: 'account_credentials',
};

/** Tokens that a person permitted. */
export interface GrantedTokens extends ObtainedTokens {
  /** The granted scopes, as the provider lists them; `undefined`: it does not. */
  readonly scope: string | undefined;
}

/** The callback of an authorization request, and the facts that it is validated with. */
export interface CodeExchange {
  /** The redirect URI with the parameters of the callback. */
  readonly callback: URL;
  readonly state: string;
  readonly code_verifier: string | null;
  readonly issuer: string;
}

export interface DeviceAuthorization {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete?: string | undefined;
  readonly expires_in: number;
  readonly interval?: number | undefined;
}

/** RFC 6749, section 4.1.3: exchanges the code of a callback. Rejects as `requestTokens`. */
export async function exchangeCode(
  request: TokenRequest,
  { callback, state, code_verifier, issuer }: CodeExchange,
): Promise<GrantedTokens> {
  const provider = await openProvider(request, issuer);
  const checks = {
    expectedState: state,
    ...(code_verifier === null ? {} : { pkceCodeVerifier: code_verifier }),
  };
  const parameters = grantParameters(request, 'authorization_code');
  return receiveTokens(request, provider, () =>
    provider.openid.authorizationCodeGrant(provider.config, callback, checks, parameters),
  );
}

/** RFC 8628, section 3.1. `request.url`: the device authorization endpoint. Rejects as `requestTokens`. */
export async function authorizeDevice(
  request: TokenRequest,
  scopes: readonly string[],
): Promise<DeviceAuthorization> {
  const provider = await openProvider(request);
  const scope = scopeText(request.service, scopes);
  return receive(provider, () =>
    provider.openid.initiateDeviceAuthorization(provider.config, scope === '' ? {} : { scope }),
  );
}

/** RFC 8628, section 3.4: one poll. Rejects with TokenRequestError, `polling` as long as the person has not decided. */
export async function pollDevice(request: TokenRequest, device_code: string): Promise<GrantedTokens> {
  const provider = await openProvider(request);
  const type = 'urn:ietf:params:oauth:grant-type:device_code';
  const parameters = { ...grantParameters(request, 'device_code'), device_code };
  return receiveTokens(request, provider, () =>
    provider.openid.genericGrantRequest(provider.config, type, parameters),
  );
}

/** The scopes as one parameter. */
export function scopeText(service: Service, scopes: readonly string[]): string {
  return scopes.join(oauthOf(service).scope_separator ?? ' ');
}

/** Obtains or refreshes an access token. Rejects with TokenRequestError, or VaultError for values that cannot be used. */
export async function requestTokens(request: TokenRequest, grant: TokenGrant): Promise<ObtainedTokens> {
  const oauth = oauthOf(request.service);
  const parameters = await parametersOf(request, oauth, grant);
  const provider = await openProvider(request);
  return receiveTokens(request, provider, () =>
    provider.openid.genericGrantRequest(provider.config, GRANT_TYPES[grant], parameters),
  );
}

/** RFC 7009, section 2.1: revokes the refresh token, or the access token of a credential without one. Rejects as `requestTokens`. */
export async function revokeToken(request: TokenRequest): Promise<void> {
  const { access_token_field, refresh_token_field } = oauthOf(request.service);
  const refresh_token = expand(`{${refresh_token_field}}`, request.values);
  const token = refresh_token ?? expand(`{${access_token_field}}`, request.values);
  if (token === undefined) throw new Error('the credential has no token');
  const token_type_hint = refresh_token === undefined ? 'access_token' : 'refresh_token';
  const provider = await openProvider(request);
  await receive(provider, () => provider.openid.tokenRevocation(provider.config, token, { token_type_hint }));
}

/** Runs a request of openid-client that returns tokens. Rejects with TokenRequestError. */
async function receiveTokens(
  { service, now }: Pick<TokenRequest, 'service' | 'now'>,
  provider: Provider,
  send: () => Promise<OpenidClient.TokenEndpointResponse>,
): Promise<GrantedTokens> {
  return receive(provider, async () => {
    const response = await send();
    const received = provider.provider_fetch.received();
    const tokens = obtainedTokens(service, oauthOf(service), response, received, now);
    return { ...tokens, scope: response.scope };
  });
}

async function receive<Result>({ provider_fetch }: Provider, send: () => Promise<Result>): Promise<Result> {
  try {
    return await send();
  } catch (error) {
    if (error instanceof TokenRequestError) throw error;
    throw (
      provider_fetch.failure() ??
      new TokenRequestError('failed', 'the provider returned an unexpected response')
    );
  }
}

async function openProvider(
  { egress, service, url, target, values }: TokenRequest,
  issuer = url.origin,
): Promise<Provider> {
  const openid = await import('openid-client');
  const oauth = oauthOf(service);
  const client = clientOf(service, values);
  const server = {
    issuer,
    token_endpoint: url.href,
    device_authorization_endpoint: url.href,
    revocation_endpoint: url.href,
  };
  // The grants that need no client id have another name in the configuration, which is not sent.
  const config = new openid.Configuration(server, client.id ?? 'none', {}, authenticateClient(client));
  const provider_fetch = providerFetch(egress, target, oauth.body_format ?? 'form');
  config[openid.customFetch] = provider_fetch.fetch;
  return { openid, config, provider_fetch };
}

/** The extra parameters of token requests, and those of one grant. */
function grantParameters(
  { service, values }: Pick<TokenRequest, 'service' | 'values'>,
  grant: OAuthGrant | 'refresh_token',
): Record<string, string> {
  const { token_parameters, grant_settings } = oauthOf(service);
  const own = grant === 'refresh_token' ? undefined : grant_settings?.[grant]?.token_parameters;
  return expandAll({ ...token_parameters, ...own }, withDefaults(service, values));
}

async function parametersOf(
  { service, url, values, now }: TokenRequest,
  oauth: OAuthEndpoints,
  grant: TokenGrant,
): Promise<Record<string, string>> {
  const shared = grantParameters({ service, values }, grant);
  if (grant === 'refresh_token') {
    const token = expand(`{${oauth.refresh_token_field}}`, values) ?? '';
    return { ...shared, refresh_token: token };
  }
  const settings = oauth.grant_settings?.[grant];
  const scope = scopeText(service, settings?.scopes ?? oauth.scopes);
  if (grant === 'jwt_bearer') {
    const { key_field = '' } = settings ?? {};
    const key = values.get(key_field);
    if (key === undefined) throw new Error('the credential has no key');
    const client_id = clientOf(service, values).id;
    const assertion = await signAssertion(key, key_field, { audience: url.href, scope, client_id, now });
    return { ...shared, assertion };
  }
  return { ...shared, ...(scope === '' ? {} : { scope }) };
}
