/** Revocation of the tokens of deleted credentials, at a real provider and at ones that fail. */
import { describe, expect, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { OIDC_HOST, startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { type Handler, startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { oauthDefinition, openOAuthVault } from './oauth_kit.ts';
import { type ConnectedVault, openConnectedVault } from './provider_tokens.ts';
import { STORED } from './token_endpoint.ts';

type Deletion = (connected: ConnectedVault) => Promise<unknown>;

const DELETIONS: readonly (readonly [string, Deletion])[] = [
  ['by its service', ({ vault, caller }) => vault.delete(caller(), { service_id: 'acme' })],
  [
    'by its id',
    async ({ vault, caller }) => {
      const { credential_id } = await vault.status(caller(), { service_id: 'acme' });
      await vault.credentials.delete(caller(), credential_id ?? '');
    },
  ],
  ['with its stack', ({ vault, caller }) => vault.stacks.delete(caller(), 'default')],
  ['with its service', ({ vault, caller }) => vault.stacks.removeService(caller(), 'default', 'acme')],
];

describe('a credential with tokens', () => {
  test.each(DELETIONS)('is revoked at the provider if it is deleted %s', async (_name, remove) => {
    const server = await startOidcProvider();
    const connected = await openConnectedVault(server);
    const { vault, caller, refresh_tokens } = connected;
    expect(await connected.get()).toBe(200);
    const token = refresh_tokens.at(-1) ?? '';
    expect(await server.provider.RefreshToken.find(token)).toBeDefined();
    await remove(connected);
    await expect.poll(() => server.provider.RefreshToken.find(token)).toBeUndefined();
    const entriesOf = async () =>
      (await vault.listAudit(caller())).entries.filter(({ use }) => use?.kind === 'revoke');
    await expect.poll(async () => (await entriesOf()).length).toBe(2);
    const [outcome, use] = await entriesOf();
    expect(use).toMatchObject({
      action: 'use',
      service_id: 'acme',
      use: { origin: `https://${OIDC_HOST}`, path: '/token/revocation', method: 'POST' },
    });
    expect(outcome).toMatchObject({ action: 'use_outcome', reason: null, use: { status: 200 } });
    const { entries } = await vault.listAudit(caller());
    expect(entries.findIndex(({ action }) => action === 'delete')).toBeGreaterThan(
      entries.findIndex(({ action, use }) => action === 'use' && use?.kind === 'revoke'),
    );
    expect(JSON.stringify(entries)).not.toContain(token);
    expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
  });

  test('is revoked before the program ends that deletes it', async () => {
    const server = await startOidcProvider();
    const { home, get, refresh_tokens } = await openConnectedVault(server);
    expect(await get()).toBe(200);
    const env = { KEYHOLD_HOME: home, ...upstreamEnv(home) };
    expect(await runProgram(['delete', 'acme', '--yes'], { env })).toMatchObject({ code: 0 });
    expect(await server.provider.RefreshToken.find(refresh_tokens.at(-1) ?? '')).toBeUndefined();
  });
});

async function setup(handler: Handler, definition: object = oauthDefinition()) {
  const provider = await startUpstream([OIDC_HOST], handler);
  const opened = await openOAuthVault(definition);
  const store = (credentials: Record<string, string>) =>
    opened.vault.update(opened.caller(), { service_id: 'acme', credentials });
  const remove = () => opened.vault.delete(opened.caller(), { service_id: 'acme' });
  const forms = () =>
    provider.requests.map(({ body }) => Object.fromEntries(new URLSearchParams(String(body))));
  return { ...opened, provider, store, remove, forms };
}

describe('the request for a revocation', () => {
  test('has the refresh token and the client, as RFC 7009 has it', async () => {
    const { provider, store, remove, vault, forms } = await setup(
      (_request, response) => void response.end(),
    );
    await store(STORED);
    await remove();
    await vault.close();
    expect(provider.requests.map(({ path }) => path)).toEqual(['/token/revocation']);
    expect(forms()).toEqual([
      {
        token: 'refresh-token-0',
        token_type_hint: 'refresh_token',
        client_id: 'the client',
        client_secret: 'client-secret-7c1',
      },
    ]);
  });

  test('has the access token if there is no refresh token', async () => {
    const { store, remove, vault, forms } = await setup((_request, response) => void response.end());
    await store({ access_token: 'access-token-0', client_id: 'c' });
    await remove();
    await vault.close();
    expect(forms()).toEqual([{ token: 'access-token-0', token_type_hint: 'access_token', client_id: 'c' }]);
  });

  test('is not sent without tokens, without an endpoint, or if the deletion is refused', async () => {
    const { provider, store, remove, vault, caller } = await setup(
      (_request, response) => void response.end(),
    );
    await store({ client_id: 'c', client_secret: 'client-secret-7c1' });
    await remove();
    await store(STORED);
    Reflect.set(vault.services.get('acme').oauth ?? {}, 'revocation_url', undefined);
    await remove();
    await store(STORED);
    await vault.setProtected({ ...caller(), edge: 'cli' }, { service_id: 'acme' }, true);
    const program = { ...caller(), edge: 'mcp' } as const;
    await expect(vault.delete(program, { service_id: 'acme' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await vault.close();
    expect(provider.requests).toEqual([]);
  });

  test('is not sent to a host that the credential is not bound to', async () => {
    const { provider, store, remove, vault } = await setup((_request, response) => void response.end());
    await store(STORED);
    Reflect.set(vault.services.get('acme').oauth ?? {}, 'revocation_url', 'https://evil.test/revoke');
    await remove();
    await vault.close();
    expect(provider.requests).toEqual([]);
  });

  const FAILURES: readonly (readonly [string, Handler])[] = [
    ['closes the connection', (_request, response) => void response.destroy()],
    ['responds with 503', (_request, response) => void response.writeHead(503).end()],
    [
      'refuses the client',
      (_request, response) => void response.writeHead(401).end('{"error":"invalid_client"}'),
    ],
    ['does not respond', () => undefined],
  ];
  test.each(FAILURES)(
    'fails without an effect on the deletion if the provider %s, within five seconds',
    async (_name, handler) => {
      const { provider, store, remove, vault, caller } = await setup(handler);
      await store(STORED);
      const began_ms = performance.now();
      await remove();
      expect(performance.now() - began_ms).toBeLessThan(2_000);
      expect((await vault.status(caller(), { service_id: 'acme' })).credential_id).toBeNull();
      const outcome = async () => {
        const { entries } = await vault.listAudit(caller(), { action: 'use_outcome' });
        return entries[0]?.reason;
      };
      await expect.poll(outcome, { timeout: 7_000 }).toMatch(/^[Tt]he (provider|service) /);
      expect(performance.now() - began_ms).toBeLessThan(7_000);
      expect(provider.requests).toHaveLength(1);
      expect(JSON.stringify((await vault.listAudit(caller())).entries)).not.toContain('refresh-token-0');
    },
  );
});
