/** Connections of credentials whose destination changes meanwhile: tokens are stored only where they were permitted for. */
import { expect, test } from 'vitest';
import { errorOf } from '../kit/outcome.ts';
import type { Handler } from '../kit/upstream/upstream.ts';
import { ACME, setupFake } from './connection_kit.ts';
import { CLIENT_VALUES } from './oauth_kit.ts';

const TEAM_HOST = '{team}.acme.test';
const DEFINITION = {
  values: { ...CLIENT_VALUES, team: 'one' },
  more: { hosts: [TEAM_HOST], base_url: `https://${TEAM_HOST}` },
};
/** All secrets are given with it, as the vault requires. */
const OTHER_TEAM = { team: 'two', client_secret: 'another-secret-7c1' };
const TOKENS = { access_token: 'access-token-7c1', token_type: 'bearer', expires_in: 3600 };
const CODE = {
  device_code: 'device-7c1',
  user_code: 'WDJB-MJHT',
  verification_uri: 'https://auth.acme.test/d',
};

/** Calls `during` before it responds to a request for tokens. */
async function setup(during: () => Promise<unknown> = async () => undefined) {
  const handler: Handler = async ({ path }, response) => {
    const is_token = path === '/token';
    if (is_token) await during();
    const body = is_token ? TOKENS : { ...CODE, expires_in: 600, interval: 1 };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const opened = await setupFake(handler, DEFINITION);
  const { vault, person } = opened;
  const changeTeam = () => vault.update(person(), { ...ACME, credentials: OTHER_TEAM });
  const hasToken = async () =>
    (await vault.status(person(), ACME)).optional_credentials.access_token === 'added';
  return { ...opened, changeTeam, hasToken };
}

test('a callback is EXPIRED if the destination of the credential has changed, and its code is not sent', async () => {
  const { callback, finish, changeTeam, hasToken, provider } = await setup();
  const url = await callback();
  await changeTeam();
  expect(await errorOf(finish(url))).toMatchObject({ code: 'EXPIRED' });
  expect(provider.requests).toHaveLength(0);
  expect(await hasToken()).toBe(false);
});

test('tokens are not stored if the destination changes while the provider responds', async () => {
  const opened = await setup(() => opened.changeTeam());
  const { callback, finish, hasToken } = opened;
  expect(await errorOf(finish(await callback()))).toMatchObject({ code: 'EXPIRED' });
  expect(await hasToken()).toBe(false);
});

test('tokens of a device code are not stored if the destination changes before the person confirms', async () => {
  const opened = await setup(() => opened.changeTeam());
  const { connections, person, hasToken } = opened;
  const { device_id } = await connections.startDevice(person(), ACME);
  const state = async () => (await connections.deviceState(person(), device_id)).state;
  await expect.poll(state, { timeout: 20_000 }).not.toBe('pending');
  expect(await state()).toBe('failed');
  expect(await hasToken()).toBe(false);
});

test('a connection stores its tokens if another value has changed meanwhile', async () => {
  const { callback, finish, vault, person, hasToken } = await setup();
  const url = await callback();
  await vault.update(person(), { ...ACME, credentials: { client_secret: 'another-secret-7c1' } });
  await finish(url);
  expect(await hasToken()).toBe(true);
});
