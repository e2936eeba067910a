/** One request to the token endpoint of a provider, with openid-client. Never rejects with text of the provider. */
import type * as OpenidClient from 'openid-client';
import type { OAuthEndpoints } from '../contract/service/authentication.ts';
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

/** Obtains or refreshes an access token. Rejects with TokenRequestError, or VaultError for values that cannot be used. */
export async function requestTokens(request: TokenRequest, grant: TokenGrant): Promise<ObtainedTokens> {
  const oauth = oauthOf(request.service);
  const parameters = await parametersOf(request, oauth, grant);
  const provider = await openProvider(request);
  return receiveTokens(request, provider, () =>
    provider.openid.genericGrantRequest(provider.config, GRANT_TYPES[grant], parameters),
  );
}

/** Runs a request of openid-client that returns tokens. Rejects with TokenRequestError. */
async function receiveTokens(
  { service, now }: Pick<TokenRequest, 'service' | 'now'>,
  { provider_fetch }: Provider,
  send: () => Promise<OpenidClient.TokenEndpointResponse>,
): Promise<ObtainedTokens> {
  try {
    const response = await send();
    return obtainedTokens(service, oauthOf(service), response, provider_fetch.received(), now);
  } catch (error) {
    if (error instanceof TokenRequestError) throw error;
    throw (
      provider_fetch.failure() ??
      new TokenRequestError('failed', 'the provider returned an unexpected response')
    );
  }
}

async function openProvider({ egress, service, url, target, values }: TokenRequest): Promise<Provider> {
  const openid = await import('openid-client');
  const oauth = oauthOf(service);
  const client = clientOf(service, values);
  const server = { issuer: url.origin, token_endpoint: url.href };
  // The grants that need no client id have another name in the configuration, which is not sent.
  const config = new openid.Configuration(server, client.id ?? 'none', {}, authenticateClient(client));
  const provider_fetch = providerFetch(egress, target, oauth.body_format ?? 'form');
  config[openid.customFetch] = provider_fetch.fetch;
  return { openid, config, provider_fetch };
}

/** The extra parameters of token requests. */
function tokenParameters(service: Service, values: FieldValues): Record<string, string> {
  return expandAll(oauthOf(service).token_parameters ?? {}, withDefaults(service, values));
}

async function parametersOf(
  { service, url, values, now }: TokenRequest,
  oauth: OAuthEndpoints,
  grant: TokenGrant,
): Promise<Record<string, string>> {
  const shared = tokenParameters(service, values);
  if (grant === 'refresh_token') {
    const token = expand(`{${oauth.refresh_token_field}}`, values) ?? '';
    return { ...shared, refresh_token: token };
  }
  const settings = oauth.grant_settings?.[grant];
  const scope = (settings?.scopes ?? oauth.scopes).join(oauth.scope_separator ?? ' ');
  const own = expandAll(settings?.token_parameters ?? {}, withDefaults(service, values));
  if (grant === 'jwt_bearer') {
    const { key_field = '' } = settings ?? {};
    const key = values.get(key_field);
    if (key === undefined) throw new Error('the credential has no key');
    const client_id = clientOf(service, values).id;
    const assertion = await signAssertion(key, key_field, { audience: url.href, scope, client_id, now });
    return { ...shared, ...own, assertion };
  }
  return { ...shared, ...own, ...(scope === '' ? {} : { scope }) };
}
