/**
 * Processes that are killed while they refresh access tokens, also between the response of the provider and the write of the
 * tokens. A refresh token that was used and not replaced is lost if the provider detects reuse: then a person connects again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { VaultError } from '../../src/contract/errors.ts';
import { useVaultProcesses } from '../kit/child/vault_process.ts';
import { errorOf } from '../kit/outcome.ts';
import { type OidcOptions, startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { upstreamEnv } from '../kit/upstream/upstream.ts';
import { openConnectedVault } from './provider_tokens.ts';

const processes = useVaultProcesses();
const CREDENTIALS = 12;
const THIRD = CREDENTIALS / 3;
const KILLED_WITHIN_MS = 20;
const CALL = { service_id: 'acme', method: 'GET', path: '/' } as const;
const NAMES = Array.from({ length: CREDENTIALS }, (_, at) => `account-${at}`);

function deferred() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/**
 * A child process calls with all credentials. The provider accepts all refresh tokens, and sends a third of its responses at once, a
 * third about when the process is killed, and a third after that.
 */
async function killInRefresh(options: Pick<OidcOptions, 'rotates'>) {
  const [all_arrived, soon, killed] = [deferred(), deferred(), deferred()];
  let requests = 0;
  const beforeTokens = async () => {
    const number = ++requests;
    if (number === CREDENTIALS) all_arrived.resolve();
    if (number <= THIRD || number > CREDENTIALS) return;
    if (number > 2 * THIRD) return killed.promise;
    await soon.promise;
    await sleep(Math.random() * KILLED_WITHIN_MS);
  };
  const server = await startOidcProvider({ ...options, beforeTokens });
  const opened = await openConnectedVault(server);
  for (const name of NAMES) await opened.connect(name);
  await sleep(600);
  const child = await processes.open(opened.home, upstreamEnv(opened.home));
  for (const name of NAMES) void child.call('calls.call', opened.caller(), [{ ...CALL, name }]);
  await all_arrived.promise;
  await expect
    .poll(() => opened.received.length, { interval: 1, timeout: 20_000 })
    .toBeGreaterThanOrEqual(THIRD);
  soon.resolve();
  await sleep(Math.random() * KILLED_WITHIN_MS);
  child.kill();
  killed.resolve();
  const began_ms = performance.now();
  const outcomes = await Promise.all(
    NAMES.map((name) =>
      opened.calls.call(opened.caller(), { ...CALL, name }).then(
        ({ output }) => output.status,
        (error: VaultError) => error.reason ?? error.code,
      ),
    ),
  );
  const count = (outcome: unknown) => outcomes.filter((one) => one === outcome).length;
  const waited_s = ((performance.now() - began_ms) / 1000).toFixed(1);
  console.log(
    `killed during ${CREDENTIALS} refreshes: ${count(200)} usable, ${count('needs_reconnect')} need a new connection; the longest use took ${waited_s} s`,
  );
  return { ...opened, server, outcomes, count };
}

test('after a killed refresh a credential is usable or needs a new connection, at a provider that detects reuse', {
  timeout: 120_000,
}, async () => {
  const { vault, caller, calls, outcomes, count, connect, server } = await killInRefresh({});
  expect(count(200) + count('needs_reconnect')).toBe(CREDENTIALS);
  expect(count(200)).toBeGreaterThanOrEqual(THIRD);
  expect(count('needs_reconnect')).toBeGreaterThanOrEqual(THIRD);
  for (const [at, name] of NAMES.entries()) {
    const { status } = await vault.status(caller(), { service_id: 'acme', name });
    expect(status).toBe(outcomes[at] === 200 ? 'active' : 'needs_reconnect');
  }
  const refused = server.refused.get('invalid_grant');
  const lost = NAMES[outcomes.indexOf('needs_reconnect')] ?? '';
  const error = await errorOf(calls.call(caller(), { ...CALL, name: lost }));
  expect(error).toMatchObject({ code: 'FORBIDDEN', reason: 'needs_reconnect' });
  expect(error.message).toContain('keyhold connect acme');
  expect(server.refused.get('invalid_grant')).toBe(refused);
  const reasons = async () => {
    const { entries } = await vault.listAudit(caller(), { action: 'use_outcome' });
    return entries.map(({ reason }) => reason);
  };
  await expect
    .poll(reasons)
    .toContain('the provider refused the request: invalid_grant; the request before was interrupted');
  await connect(lost);
  expect((await calls.call(caller(), { ...CALL, name: lost })).output.status).toBe(200);
  expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
});

test('after a killed refresh every credential is usable, at a provider that does not rotate refresh tokens', {
  timeout: 120_000,
}, async () => {
  const { vault, caller, server, count } = await killInRefresh({ rotates: false });
  expect(count(200)).toBe(CREDENTIALS);
  expect(server.granted.get('refresh_token')).toBeGreaterThanOrEqual(CREDENTIALS + THIRD);
  expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
});
