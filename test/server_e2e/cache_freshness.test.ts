/** A busy server sees a change of another process in the first request after it. */
import { describe, expect, test } from 'vitest';
import { startServeProcess } from '../kit/http/http_server.ts';
import { KeepAliveClient } from '../kit/http/keep_alive.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { openTenants } from '../kit/vault/tenants.ts';
import { callerOf } from './load/targets.ts';

const CLIENTS = 24;
const ROUNDS = 60;
const UNLIMITED = { KEYHOLD_LOG: 'error', KEYHOLD_RATE_LIMIT: '0', KEYHOLD_AUTH_FAILURE_LIMIT: '0' };
const STATUS = '/v1/stacks/default/servers/linear/credentials';
const VALUE = { service_id: 'linear', credential_type: 'api_key', credential_value: 'lin_api_1' } as const;

/** A server on a vault that this process has open too, and clients that keep the server busy until `end`. */
async function busyServer() {
  const home = temporaryFolder();
  const tenants = await openTenants(home);
  const { vault } = tenants;
  const server = await startServeProcess({ home, env: { ...UNLIMITED } });
  const newKey = async (user: string) => {
    const { id, key } = await vault.api_keys.create(tenants.operator(), { user });
    return { id, auth: { authorization: `Bearer ${key}` } };
  };
  const { auth } = await newKey('busy');
  await vault.store(callerOf('busy'), VALUE);
  let is_over = false;
  const work = async () => {
    const client = new KeepAliveClient(server.url);
    while (!is_over)
      expect((await client.send({ method: 'GET', path: STATUS, headers: auth })).status).toBe(200);
    client.close();
  };
  // Several clients, so that the server handles several requests in one event-loop iteration.
  const busy = Promise.all(Array.from({ length: CLIENTS }, work));
  const client = new KeepAliveClient(server.url);
  const end = async () => {
    client.close();
    is_over = true;
    await busy;
    await server.end('SIGTERM');
  };
  return { tenants, vault, newKey, client, end };
}

describe('a server under load', () => {
  test('a server under load rejects a key in the first request after another process revoked it', async () => {
    const { tenants, vault, newKey, client, end } = await busyServer();
    const statuses: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { id, auth } = await newKey('ann');
      const status = async () => (await client.send({ method: 'GET', path: '/v1/me', headers: auth })).status;
      for (let again = 0; again < 3; again++) expect(await status()).toBe(200);
      await vault.api_keys.revoke(tenants.operator(), id);
      statuses.push(await status());
    }
    await end();
    expect(new Set(statuses)).toEqual(new Set([401]));
  });

  test('a server under load returns a credential as another process stored it', async () => {
    const { vault, newKey, client, end } = await busyServer();
    const { auth } = await newKey('bob');
    const caller = callerOf('bob');
    const seen = async () => {
      const { text } = await client.send({ method: 'GET', path: STATUS, headers: auth });
      const { required_credentials } = JSON.parse(text) as { required_credentials?: Record<string, string> };
      return required_credentials?.linear_api_key;
    };
    await vault.stacks.addService(caller, 'default', 'linear', null);
    for (let round = 0; round < ROUNDS; round++) {
      await vault.store(caller, VALUE);
      for (let again = 0; again < 3; again++) expect([round, await seen()]).toEqual([round, 'added']);
      await vault.delete(caller, { service_id: 'linear' });
      expect([round, await seen()]).toEqual([round, 'missing']);
    }
    await end();
  });
});
