/** A vault with a credential whose access token ends soon, and a token endpoint of the test. */
import type { ServerResponse } from 'node:http';
import type { AuditEntry } from '../../src/contract/audit.ts';
import { OIDC_HOST } from '../kit/servers/oidc_provider.ts';
import { type Handler, startUpstream, type Upstream } from '../kit/upstream/upstream.ts';
import { type OAuthSetup, oauthDefinition, openOAuthVault } from './oauth_kit.ts';

export const STORED = {
  client_id: 'the client',
  client_secret: 'client-secret-7c1',
  access_token: 'access-token-0',
  refresh_token: 'refresh-token-0',
};

export const { access_token: _, ...WITHOUT_TOKEN } = STORED;

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/** Each response has the next number in its tokens. */
export function tokens(more: object = {}): Handler {
  let number = 0;
  return (_request, response) => {
    number += 1;
    json(response, 200, {
      access_token: `access-token-${number}`,
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: `refresh-token-${number}`,
      ...more,
    });
  };
}

export interface Setup extends OAuthSetup {
  readonly provider: Upstream;
  audit(): Promise<readonly AuditEntry[]>;
  status(): Promise<{ readonly status: string; readonly text: string }>;
  forms(): readonly Record<string, string>[];
}

/** The stored access token ends at `ends_in_ms`; `null`: nothing is known of its end. */
export async function setup(
  handler: Handler,
  {
    ends_in_ms = 1_000,
    definition = oauthDefinition(),
    values = STORED,
    accepts,
  }: {
    ends_in_ms?: number | null;
    definition?: object;
    values?: Record<string, string>;
    accepts?: (token: string) => boolean;
  } = {},
): Promise<Setup> {
  const provider = await startUpstream([OIDC_HOST], handler);
  const opened = await openOAuthVault(definition, accepts);
  const { vault, caller } = opened;
  const expires_at = ends_in_ms === null ? undefined : new Date(Date.now() + ends_in_ms).toISOString();
  await vault.update(caller(), { service_id: 'acme', credentials: values, expires_at });
  return {
    ...opened,
    provider,
    audit: async () => (await vault.listAudit(caller())).entries,
    forms: () => provider.requests.map(({ body }) => Object.fromEntries(new URLSearchParams(String(body)))),
    async status() {
      const status = await vault.status(caller(), { service_id: 'acme' });
      return { status: status.status, text: JSON.stringify(status) };
    },
  };
}
