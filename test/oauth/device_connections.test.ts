/** Connections with a device code (RFC 8628), against oidc-provider and against endpoints of the test. */
import { expect, test } from 'vitest';
import type { StartedDevice } from '../../src/contract/connection.ts';
import { errorOf } from '../kit/outcome.ts';
import { type Handler, upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';
import { ACME, setupFake, setupOidc } from './connection_kit.ts';
import { CLIENT_VALUES } from './oauth_kit.ts';

/** More than the pause of a minute and the lease after it. */
const LEASE_ENDED_MS = 3 * 60_000;
const WAIT = { timeout: 30_000, interval: 200 };

/** A device authorization endpoint, and a token endpoint that responds with each of these, then with tokens. */
function device(errors: readonly (string | number)[], more: object = {}) {
  const polled_at_ms: number[] = [];
  const handler: Handler = ({ path }, response) => {
    const send = (status: number, body: object) =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (path === '/device/auth') {
      const verification_uri = 'https://auth.acme.test/device';
      const given = { device_code: 'device-code-7c1', user_code: 'WDJB-MJHT', verification_uri };
      return send(200, { ...given, expires_in: 600, interval: 1, ...more });
    }
    const error = errors[polled_at_ms.length];
    polled_at_ms.push(performance.now());
    if (typeof error === 'number') return send(error, {});
    // Some providers report errors with the status 200.
    if (error !== undefined) return send(200, { error, error_description: 'from-the-provider' });
    return send(200, { access_token: 'access-token-1', token_type: 'bearer', expires_in: 3600 });
  };
  return { handler, polled_at_ms };
}

async function startDevice(opened: Pick<Awaited<ReturnType<typeof setupFake>>, 'connections' | 'person'>) {
  const { connections, person } = opened;
  const started: StartedDevice = await connections.startDevice(person(), ACME);
  const state = async () => (await connections.deviceState(person(), started.device_id)).state;
  return { started, state };
}

test('a device code that the person confirms stores tokens that are used, against oidc-provider', async () => {
  const opened = await setupOidc();
  const { started, state } = await startDevice(opened);
  expect(started).toMatchObject({
    user_code: expect.any(String),
    verification_uri: 'https://auth.acme.test/device',
    interval_ms: 5_000,
  });
  expect(await state()).toBe('pending');
  await opened.oidc.enterCode(started.verification_uri, started.user_code);
  await expect.poll(state, WAIT).toBe('connected');
  expect(await opened.get()).toBe(200);
  const { entries } = await opened.vault.listAudit(opened.person());
  expect(entries.filter(({ use }) => use?.kind === 'connect').map(({ use }) => use?.path)).toContain(
    '/token',
  );
  expect(JSON.stringify(entries)).not.toContain(started.user_code);
});

test('a device code that the person declines stores nothing, against oidc-provider', async () => {
  const { oidc, vault, person, connections } = await setupOidc();
  const { started, state } = await startDevice({ connections, person });
  await oidc.enterCode(started.verification_uri, started.user_code, 'abort');
  await expect.poll(state, WAIT).toBe('declined');
  expect((await vault.status(person(), ACME)).optional_credentials).toMatchObject({
    access_token: 'missing',
  });
});

test('a device code that expires stores nothing, against oidc-provider', async () => {
  const { vault, person, connections } = await setupOidc({ device_code_seconds: 3 });
  const { state } = await startDevice({ connections, person });
  await expect.poll(state, WAIT).toBe('expired');
  expect((await vault.status(person(), ACME)).optional_credentials).toMatchObject({
    access_token: 'missing',
  });
});

test('a provider that fails is polled again less often, and slow_down adds five seconds', async () => {
  const { handler, polled_at_ms } = device(['authorization_pending', 503, 'slow_down']);
  const { state } = await startDevice(await setupFake(handler));
  await expect.poll(state, WAIT).toBe('connected');
  const [first = 0, second = 0, third = 0, last = 0] = polled_at_ms;
  expect(second - first).toBeGreaterThanOrEqual(950);
  expect(third - second).toBeGreaterThanOrEqual(1_950);
  expect(last - third).toBeGreaterThanOrEqual(6_950);
});

test('an error of the provider ends a device connection with the next step and without its text', async () => {
  const { handler } = device(['invalid_client']);
  const { connections, person } = await setupFake(handler);
  const { started, state } = await startDevice({ connections, person });
  await expect.poll(state, WAIT).toBe('failed');
  const ended = JSON.stringify(await connections.deviceState(person(), started.device_id));
  expect(ended).toContain('keyhold update acme client_id client_secret');
  expect(ended).not.toMatch(/from-the-provider|device-code-7c1/);
});

test('the state of a device connection is unknown to another user', async () => {
  const { connections, person } = await setupFake(device([]).handler);
  const { started } = await startDevice({ connections, person });
  for (const [by, id] of [
    [person('mallory'), started.device_id],
    [person(), 'unknown'],
  ] as const)
    expect(await errorOf(connections.deviceState(by, id))).toMatchObject({ code: 'NOT_FOUND' });
});

/** Another process of the vault, which has seen nothing of the connection. */
async function openOther({ home }: { readonly home: string }, ahead_ms = 0) {
  const now = () => new Date(Date.now() + ahead_ms);
  return openTestVault(home, upstreamEnv(home), 'no', { now });
}

test('another process returns the state of a device connection, does not poll meanwhile, and sees its end', async () => {
  const { handler, polled_at_ms } = device(['authorization_pending', 'authorization_pending']);
  const opened = await setupFake(handler);
  const { started, state } = await startDevice(opened);
  const other = await openOther(opened);
  const atOther = (user?: string) => other.connections.deviceState(opened.person(user), started.device_id);
  expect(await errorOf(atOther('mallory'))).toMatchObject({ code: 'NOT_FOUND' });
  expect(await atOther()).toEqual({ state: 'pending', device: started });
  await expect.poll(atOther, WAIT).toMatchObject({ state: 'connected', connected: { service_id: 'acme' } });
  expect(polled_at_ms).toHaveLength(3);
  expect(await state()).toBe('connected');
});

test('another process polls at once if the one that polled has ended', async () => {
  // The first process would poll in a minute.
  const { handler, polled_at_ms } = device([], { interval: 60 });
  const opened = await setupFake(handler);
  const { started } = await startDevice(opened);
  const other = await openOther(opened, LEASE_ENDED_MS);
  const atOther = async () => (await other.connections.deviceState(opened.person(), started.device_id)).state;
  await expect.poll(atOther, WAIT).toBe('connected');
  expect(polled_at_ms).toHaveLength(1);
  const { entries } = await opened.vault.listAudit(opened.person());
  expect(entries.filter(({ action }) => action === 'connect')).toHaveLength(1);
});

test('another process does not poll for a credential that was replaced meanwhile', async () => {
  const { handler, polled_at_ms } = device([], { interval: 60 });
  const opened = await setupFake(handler);
  const { started } = await startDevice(opened);
  const useLog = async () => JSON.stringify((await opened.vault.listAudit(opened.person())).entries);
  // The first process has read the credential.
  await expect.poll(useLog, WAIT).toContain('"path":"/token"');
  await opened.vault.delete(opened.person(), ACME);
  await opened.vault.update(opened.person(), { ...ACME, credentials: CLIENT_VALUES });
  const other = await openOther(opened, LEASE_ENDED_MS);
  const atOther = () => other.connections.deviceState(opened.person(), started.device_id);
  await expect
    .poll(atOther, WAIT)
    .toMatchObject({ state: 'failed', message: expect.stringContaining('was deleted') });
  expect(polled_at_ms).toEqual([]);
});

test.each([
  ['a plain http address', { verification_uri: 'http://auth.acme.test/device' }],
  ['a script as the address', { verification_uri: 'javascript:alert(1)' }],
  ['an address with a password', { verification_uri_complete: 'https://a:b@auth.acme.test/' }],
  ['a code that is too long', { user_code: 'x'.repeat(41) }],
  ['a code with a line break', { user_code: 'a\nb' }],
  ['no device code', { device_code: undefined }],
])('a device authorization response with %s is refused', async (_name, more) => {
  const { connections, person } = await setupFake(device([], more).handler);
  expect(await errorOf(connections.startDevice(person(), ACME))).toMatchObject({ code: 'UPSTREAM' });
});
