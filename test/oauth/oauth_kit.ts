/** A service of the test that is connected with OAuth: its definition, its API, and a vault with a credential of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OAuthEndpoints } from '../../src/contract/service/authentication.ts';
import { OIDC_CLIENT, OIDC_HOST, OIDC_ISSUER } from '../kit/servers/oidc_provider.ts';
import { type Handler, startUpstream, type Upstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

export const API_HOST = 'api.acme.test';

/** As a definition file has it. */
export function oauthDefinition(oauth: Partial<OAuthEndpoints> = {}, more: object = {}): object {
  const field = (field_id: string, secret: boolean) => ({
    field_id,
    name: field_id,
    description: 'A field.',
    help_url: 'https://acme.test/help',
    required: false,
    secret,
    max_length: 8_000,
    ...(field_id === 'key' ? { multiline: true } : {}),
  });
  return {
    slug: 'acme',
    name: 'Acme',
    description: 'A service of the test.',
    category: 'other',
    fields: [
      ...['access_token', 'refresh_token', 'client_secret', 'key'].map((id) => field(id, true)),
      ...['client_id', 'account', 'team'].map((id) => field(id, false)),
    ],
    value_field: { bearer: 'access_token' },
    credential_types: ['oauth2', 'bearer', 'client_credentials', 'custom'],
    hosts: [API_HOST],
    token_hosts: [OIDC_HOST],
    base_url: `https://${API_HOST}`,
    injection: { in: 'header', headers: { Authorization: 'Bearer {access_token}' } },
    test: { method: 'GET', path: '/me', accept: [{ status: [200] }], reject: [{ status: [401] }] },
    oauth: {
      authorization_url: `${OIDC_ISSUER}/auth`,
      token_url: `${OIDC_ISSUER}/token`,
      revocation_url: `${OIDC_ISSUER}/token/revocation`,
      device_authorization_url: `${OIDC_ISSUER}/device/auth`,
      scopes: ['openid', 'offline_access', 'read', 'write'],
      pkce: true,
      grants: ['authorization_code', 'device_code'],
      client_auth: 'body',
      client_id_field: 'client_id',
      client_secret_field: 'client_secret',
      access_token_field: 'access_token',
      refresh_token_field: 'refresh_token',
      rotates: true,
      ...oauth,
    },
    ...more,
  };
}

export const CLIENT_VALUES = { client_id: OIDC_CLIENT.id, client_secret: OIDC_CLIENT.secret };

export interface OAuthSetup extends TestVault {
  readonly api: Upstream;
  /** Access tokens that the API received, in order. */
  readonly received: readonly string[];
  /** GET / of the API with the credential. */
  get(): Promise<number | undefined>;
}

/** `accepts`: which access tokens the API accepts; it responds with 401 to others. */
export async function openOAuthVault(
  definition: object,
  accepts: (token: string) => boolean = () => true,
  home = temporaryFolder(),
  options: { readonly now?: () => Date } = {},
): Promise<OAuthSetup> {
  const received: string[] = [];
  const handler: Handler = ({ headers }, response) => {
    const token = String(headers.authorization).replace('Bearer ', '');
    received.push(token);
    response.writeHead(accepts(token) ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ account: 'person' }));
  };
  const api = await startUpstream([API_HOST], handler);
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definition));
  const opened = await openTestVault(home, upstreamEnv(home), undefined, options);
  const get = async () => {
    const { output } = await opened.calls.call(opened.caller(), {
      service_id: 'acme',
      method: 'GET',
      path: '/',
    });
    return output.status;
  };
  return { ...opened, api, received, get };
}
