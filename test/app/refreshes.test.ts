/** Refreshes of access tokens in the background: the chosen credentials, the caller in the log, several servers, and failures. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { refreshOnSchedule } from '../../src/app/background/refreshes.ts';
import { compose } from '../../src/app/compose.ts';
import { collectingLog, type LogLine } from '../kit/http/http_server.ts';
import { startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { openConnectedVault } from '../oauth/provider_tokens.ts';
import { json, STORED, setup } from '../oauth/token_endpoint.ts';

const EVERY_MS = 100;

/** Opens the vault as a server does, and refreshes in the background until `stop`. */
async function startRefreshes(home: string) {
  const app = compose({
    env: { KEYHOLD_HOME: home, ...upstreamEnv(home) },
    promptSecret: async () => undefined,
    now: () => new Date(),
  });
  const vault = await app.openVault('no', 'rest');
  const stopping = new AbortController();
  const lines: LogLine[] = [];
  const ended = refreshOnSchedule({
    vault,
    tokens: app.accessTokens(vault),
    log: collectingLog(lines),
    operator: () => app.caller('rest'),
    every_ms: EVERY_MS,
    signal: stopping.signal,
  });
  const stop = async () => {
    stopping.abort();
    await ended;
    await vault.close();
    await app.closeEgress();
  };
  return { lines, stop };
}

test('access tokens are refreshed before they end by two servers, one request each, so that no use waits', async () => {
  const server = await startOidcProvider({ access_token_seconds: 4 });
  const { home, vault, caller, get, refresh_tokens, received } = await openConnectedVault(server);
  expect(await get()).toBe(200);
  const before = await vault.status(caller(), { service_id: 'acme' });
  const servers = [await startRefreshes(home), await startRefreshes(home)];
  await expect.poll(() => server.granted.get('refresh_token'), { timeout: 20_000 }).toBeGreaterThanOrEqual(4);
  await Promise.all(servers.map(({ stop }) => stop()));
  const granted = server.granted.get('refresh_token') ?? 0;
  expect(await get()).toBe(200);
  expect(server.granted.get('refresh_token')).toBe(granted);
  expect([...server.refused]).toEqual([]);
  expect(refresh_tokens).toHaveLength(1 + granted);
  expect(received).toHaveLength(2);
  const { entries } = await vault.listAudit(caller(), { action: 'refresh' });
  expect(entries.map(({ edge, user }) => `${user} ${edge}`)).toEqual([
    ...Array(granted - 1).fill('me schedule'),
    'me library',
  ]);
  const after = await vault.status(caller(), { service_id: 'acme' });
  expect(after).toMatchObject({ status: 'active', updated_at: before.updated_at, modified_by: 'me' });
  expect(servers.flatMap(({ lines }) => lines.map(({ message }) => message))).toContain(
    'refreshed access tokens ahead of their end',
  );
  expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
});

test('the access token of a credential that was not used is not refreshed in the background', async () => {
  const server = await startOidcProvider();
  const { home, vault, caller } = await openConnectedVault(server);
  const { stop } = await startRefreshes(home);
  await sleep(10 * EVERY_MS);
  await stop();
  expect(server.granted.get('refresh_token')).toBeUndefined();
  expect((await vault.listAudit(caller(), { action: 'use' })).entries).toEqual([]);
});

test('refreshes in the background respect the pause after a failure, and disturb no use', async () => {
  const { home, get, provider, received } = await setup((_request, response) => json(response, 503, {}), {
    ends_in_ms: 30_000,
  });
  expect(await get()).toBe(200);
  expect(provider.requests).toHaveLength(1);
  const { stop } = await startRefreshes(home);
  await sleep(20 * EVERY_MS);
  expect(provider.requests).toHaveLength(1);
  await expect.poll(() => provider.requests.length, { timeout: 10_000 }).toBe(2);
  await stop();
  expect(await get()).toBe(200);
  expect(received).toEqual(['access-token-0', 'access-token-0']);
});

test('a credential whose client the provider refuses is not refreshed in the background again until it was changed', async () => {
  const { home, get, provider, vault, caller } = await setup(
    (_request, response) => json(response, 401, { error: 'invalid_client' }),
    { ends_in_ms: null },
  );
  expect(await get()).toBe(200);
  const expires_at = new Date(Date.now() + 30_000).toISOString();
  await vault.update(caller(), { service_id: 'acme', credentials: {}, expires_at });
  const { stop } = await startRefreshes(home);
  await expect.poll(() => provider.requests.length, { timeout: 10_000 }).toBe(1);
  // Longer than the pause after the failure.
  await sleep(7_000);
  expect(provider.requests).toHaveLength(1);
  await vault.update(caller(), { service_id: 'acme', credentials: STORED, expires_at });
  await expect.poll(() => provider.requests.length, { timeout: 10_000 }).toBe(2);
  await stop();
});

test('no refresh starts after the server was stopped', async () => {
  const server = await startOidcProvider({ access_token_seconds: 2 });
  const { home, get } = await openConnectedVault(server);
  expect(await get()).toBe(200);
  const { stop } = await startRefreshes(home);
  await stop();
  const granted = server.granted.get('refresh_token');
  await sleep(3_000);
  expect(server.granted.get('refresh_token')).toBe(granted);
});
