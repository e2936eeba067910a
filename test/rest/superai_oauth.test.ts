/** Credentials that are stored in the types of SuperAI Flow with OAuth: calls refresh or obtain their access tokens. */
import { expect, test } from 'vitest';
import { superai } from '../../src/rest/superai/dialect.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { type Handler, startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const CLIENT = { client_id: 'the-client', client_secret: 'client-secret-4d1' };
const TENANT = { tenant_id: 'contoso' };
const REFRESH = { refresh_token: 'refresh-token-0' };
const REFRESHED = { grant_type: 'refresh_token', ...CLIENT, ...REFRESH };
const MICROSOFT_TOKENS = 'login.microsoftonline.com/contoso/oauth2/v2.0/token';
const OBTAINED = {
  grant_type: 'client_credentials',
  ...CLIENT,
  scope: 'https://graph.microsoft.com/.default',
};

test.each([
  ['google_oauth', 'google', { ...CLIENT, ...REFRESH }, 'oauth2.googleapis.com/token', REFRESHED],
  ['sharepoint_oauth', 'sharepoint', { ...CLIENT, ...TENANT, ...REFRESH }, MICROSOFT_TOKENS, REFRESHED],
  ['oauth2', 'microsoft', { ...CLIENT, ...TENANT, ...REFRESH }, MICROSOFT_TOKENS, REFRESHED],
  ['client_credentials', 'microsoft', { ...CLIENT, ...TENANT }, MICROSOFT_TOKENS, OBTAINED],
  ['client_credentials', 'sharepoint', { ...CLIENT, ...TENANT }, MICROSOFT_TOKENS, OBTAINED],
  ['client_credentials', 'sharepoint_client_secret', { ...CLIENT, ...TENANT }, MICROSOFT_TOKENS, OBTAINED],
])(
  '%s of %s is used with an access token of the provider',
  async (credential_type, provider, credentials, token_url, form) => {
    const sent: { readonly url: string; readonly form: Record<string, string> }[] = [];
    const authorizations: (string | undefined)[] = [];
    const handler: Handler = ({ method, path, headers, body }, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      if (method === 'GET') {
        authorizations.push(headers.authorization);
        response.end('{}');
        return;
      }
      sent.push({
        url: `${headers.host}${path}`,
        form: Object.fromEntries(new URLSearchParams(String(body))),
      });
      response.end(
        JSON.stringify({ access_token: 'access-token-1', token_type: 'Bearer', expires_in: 3600 }),
      );
    };
    await startUpstream(
      ['oauth2.googleapis.com', 'www.googleapis.com', 'login.microsoftonline.com', 'graph.microsoft.com'],
      handler,
    );
    const home = temporaryFolder();
    const server = await startHttpServer({ dialects: [superai], home, env: upstreamEnv(home) });
    const body = JSON.stringify({ name: 'Reports', provider, credential_type, credentials });
    const created = await server.request('/integrations/credentials', { method: 'POST', body });
    expect(created.status).toBe(201);
    const call = { service_id: provider, name: 'Reports', method: 'GET', path: '/v1' } as const;
    for (let number = 0; number < 2; number++) {
      const { output } = await server.parts.calls.call(server.caller(), call);
      expect(output.status).toBe(200);
    }
    expect(sent).toEqual([{ url: token_url, form }]);
    expect(authorizations).toEqual(['Bearer access-token-1', 'Bearer access-token-1']);
  },
);
