/** Refreshes by many callers in several processes, at a provider that rotates refresh tokens and detects their reuse. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { useVaultProcesses } from '../kit/child/vault_process.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { runSize } from '../kit/run_size.ts';
import { startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { openConnectedVault } from './provider_tokens.ts';

const processes = useVaultProcesses();
const CALLERS = 50;
const PROCESSES = 4;
const EXPIRIES = runSize({ quick: 2, ci: 3, slow: 50 });
/** Callers refresh an access token in the second half of it. */
const LIFETIME_S = 8;
const CALL = { service_id: 'acme', method: 'GET', path: '/' };

test(`${CALLERS} callers in ${PROCESSES} processes make one request at each of ${EXPIRIES} expiries, and all succeed`, {
  timeout: 60_000 + EXPIRIES * 20_000,
}, async () => {
  const server = await startOidcProvider({ access_token_seconds: LIFETIME_S });
  const { home, vault, caller, received, refresh_tokens } = await openConnectedVault(server);
  const env = upstreamEnv(home);
  const children = await Promise.all(Array.from({ length: PROCESSES }, () => processes.open(home, env)));
  const times_ms: number[] = [];
  for (let expiry = 1; expiry <= EXPIRIES; expiry++) {
    await sleep(expiry === 1 ? 600 : LIFETIME_S * 1000);
    const began_ms = performance.now();
    const results = await Promise.all(
      Array.from({ length: CALLERS }, (_, at) =>
        children[at % PROCESSES]?.call('calls.call', caller(), [CALL]),
      ),
    );
    times_ms.push(Math.round(performance.now() - began_ms));
    expect(results.map((result) => result?.message ?? result?.results)).toEqual(
      Array(CALLERS).fill([expect.objectContaining({ output: expect.objectContaining({ status: 200 }) })]),
    );
    expect(server.granted.get('refresh_token')).toBe(expiry);
  }
  console.log(
    `${CALLERS} calls in ${PROCESSES} processes at ${EXPIRIES} expiries: ${times_ms.join(', ')} ms`,
  );
  expect([...server.refused]).toEqual([]);
  expect(new Set(received).size).toBe(EXPIRIES);
  expect(new Set(refresh_tokens).size).toBe(1 + EXPIRIES);
  expect((await vault.listAudit(caller(), { action: 'refresh' })).entries).toHaveLength(EXPIRIES);
  expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
});

test('two servers, which refresh in the background too, and a command line use one credential without a refused request', {
  timeout: 120_000,
}, async () => {
  const server = await startOidcProvider({ access_token_seconds: LIFETIME_S });
  const { home, vault, caller, received, refresh_tokens } = await openConnectedVault(server);
  const env = upstreamEnv(home);
  const servers = [await startServeProcess({ home, env }), await startServeProcess({ home, env })];
  const callServer = async ({ url, admin_key }: ServeProcess) => {
    const response = await fetch(`${url}/v1/services/acme/call`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin_key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ method: 'GET', path: '/' }),
    });
    return [response.status, await response.json()];
  };
  for (let expiry = 1; expiry <= 2; expiry++) {
    await sleep(expiry === 1 ? 600 : LIFETIME_S * 1000);
    const command = runProgram(['call', 'acme', '/'], { env: { KEYHOLD_HOME: home, ...env } });
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => servers.map((one) => callServer(one))).flat(),
    );
    expect(responses).toEqual(Array(20).fill([200, expect.objectContaining({ status: 200 })]));
    expect(await command).toMatchObject({ code: 0, stdout: expect.stringContaining('person') });
  }
  await Promise.all(servers.map((one) => one.end()));
  const granted = server.granted.get('refresh_token') ?? 0;
  expect(granted).toBeGreaterThanOrEqual(2);
  expect([...server.refused]).toEqual([]);
  expect(refresh_tokens).toHaveLength(1 + granted);
  expect(received).toHaveLength(2 * 21);
  expect((await vault.listAudit(caller(), { action: 'refresh' })).entries).toHaveLength(granted);
  expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
});
