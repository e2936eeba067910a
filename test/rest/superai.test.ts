/** The credential routes of the SuperAI Flow dialect over HTTP: create, read, replace, list and delete. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { superai } from '../../src/rest/superai/dialect.ts';
import { newCanary } from '../kit/canary.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import { damageRecords, idBytes, readBytesAtRest, readCredentialRows } from '../kit/vault/database.ts';
import { curl } from './curl.ts';
import {
  CredentialsResponse,
  DOCUMENTED_PROVIDERS,
  DOCUMENTED_TYPES,
  EARLIER_PROVIDERS,
  EARLIER_TYPES,
} from './superai_shapes.ts';
import { createUserKeys } from './user_keys.ts';

const SFTP = {
  name: 'Reports',
  provider: 'sftp',
  credential_type: 'user_password',
  credentials: { host: 'sftp.example.com', port: 22, username: 'deploy', password: 'first-password' },
};

async function start() {
  const server = await startHttpServer({ dialects: [superai] });
  const create = async (body: object = SFTP, key?: string) => {
    const response = await send(server, 'POST', '/integrations/credentials', body, key);
    expect(response.status).toBe(201);
    return CredentialsResponse.parse(await response.json());
  };
  const reader = await server.key({ scopes: ['values:reveal'] });
  const valuesOf = async (id: string) => {
    const response = await server.request(`/integrations/credentials/${id}/credentials`, { key: reader });
    expect(response.status).toBe(200);
    return response.json();
  };
  return { server, create, valuesOf };
}

function send(server: TestHttpServer, method: string, path: string, body?: unknown, key?: string) {
  return server.request(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(key === undefined ? {} : { key }),
  });
}

describe.each(['/integrations', '/api/integrations'])('SuperAI credentials with curl below %s', (prefix) => {
  test('curl creates a credential, replaces it with PUT and PATCH, and deletes it', async () => {
    const { server, valuesOf } = await start();
    const auth = ['--header', `Authorization: Bearer ${await server.key({ user: 'me' })}`];
    const json = ['--header', 'Content-Type: application/json'];
    const collection_url = `${server.url}${prefix}/credentials`;

    const created = await curl(
      '--request',
      'POST',
      '--url',
      collection_url,
      ...auth,
      ...json,
      '--data',
      JSON.stringify(SFTP),
    );
    expect(created.status).toBe(201);
    const first = CredentialsResponse.parse(created.json);
    expect(Object.keys(Object(created.json))).toEqual(Object.keys(CredentialsResponse.shape));
    expect(first).toMatchObject({ name: 'Reports', provider: 'sftp', modified_by: 'me' });
    expect(first.updated_at).toBe(first.created_at);

    const credential_url = `${collection_url}/${first.id}`;
    for (const method of ['PUT', 'PATCH']) {
      const data = JSON.stringify({
        credential_type: 'key_file',
        credentials: { host: 'sftp2.example.com', username: 'deploy', private_key_data: `key for ${method}` },
      });
      const put = await curl('--request', method, '--url', credential_url, ...auth, ...json, '--data', data);
      expect(put.status).toBe(200);
      expect(CredentialsResponse.parse(put.json)).toEqual({
        ...first,
        updated_at: CredentialsResponse.parse(put.json).updated_at,
      });
      expect(await valuesOf(first.id)).toEqual({
        host: 'sftp2.example.com',
        username: 'deploy',
        private_key_data: `key for ${method}`,
      });
    }

    expect((await curl('--url', credential_url, ...auth)).json).toMatchObject({ id: first.id });
    expect((await curl('--url', collection_url, ...auth)).json).toMatchObject([{ id: first.id }]);
    expect((await curl('--url', `${collection_url}/provider/sftp`, ...auth)).json).toMatchObject([
      { id: first.id },
    ]);

    const deleted = await curl('--request', 'DELETE', '--url', credential_url, ...auth);
    expect(deleted).toEqual({ status: 204, text: '', json: undefined });
    expect((await curl('--url', credential_url, ...auth)).status).toBe(404);
    expect((await curl('--url', collection_url, ...auth)).json).toEqual([]);
  });
});

describe('SuperAI credentials', () => {
  test('POST credentials accepts every provider and type of the current and the first documentation', async () => {
    const { create } = await start();
    for (const provider of [...DOCUMENTED_PROVIDERS, ...EARLIER_PROVIDERS]) {
      for (const credential_type of [...DOCUMENTED_TYPES, ...EARLIER_TYPES]) {
        const name = `${provider} by ${credential_type}`;
        const created = await create({ name, provider, credential_type, credentials: { anything: 'x' } });
        expect(created).toMatchObject({ name, provider });
      }
    }
  });

  test('a credential has the type of its latest POST, PUT or PATCH', async () => {
    const { server, create } = await start();
    const typeOf = async (id: string) =>
      (await server.vault.credentials.get(server.caller(), id)).credential_type;
    const { id } = await create({ ...SFTP, credential_type: 'user_password' });
    expect(await typeOf(id)).toBe('user_password');
    for (const [method, credential_type] of [
      ['PUT', 'key_file'],
      ['PATCH', 'api_key'],
      ['PUT', 'client_credentials'],
    ] as const) {
      const body = { credential_type, credentials: SFTP.credentials };
      expect((await send(server, method, `/integrations/credentials/${id}`, body)).status).toBe(200);
      expect(await typeOf(id)).toBe(credential_type);
    }
  });

  test('PUT and PATCH keep created_at and advance updated_at', async () => {
    const { server, create } = await start();
    const created = await create();
    expect(created.updated_at).toBe(created.created_at);
    const path = `/integrations/credentials/${created.id}`;
    let before = created;
    for (const method of ['PUT', 'PATCH']) {
      // Advances the clock, so that this write is later than the previous one.
      await new Promise((resolve) => setTimeout(resolve, 2));
      const { credential_type, credentials } = SFTP;
      const response = await send(server, method, path, { credential_type, credentials });
      const after = CredentialsResponse.parse(await response.json());
      expect(after.created_at).toBe(created.created_at);
      expect(Date.parse(after.updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
      expect(await (await server.request(path)).json()).toEqual(after);
      expect(await (await server.request('/integrations/credentials')).json()).toEqual([after]);
      before = after;
    }
  });

  test('POST credentials accepts a service by alias or UUID and returns its slug as the provider', async () => {
    const { server, create } = await start();
    const { id } = server.vault.services.get('linear');
    for (const provider of ['linear', 'linear_app', 'LINEAR', id]) {
      const body = {
        name: provider,
        provider,
        credential_type: 'api_key',
        credentials: { linear_api_key: 'k' },
      };
      expect(await create(body)).toMatchObject({ name: provider, provider: 'linear' });
    }
  });

  test('POST and PUT drop empty optional values and reject an empty required value or a blank value with 400', async () => {
    const { server, create, valuesOf } = await start();
    const credentials = { host: 'h', username: 'u', password: 'p', private_key_passphrase: '', note: '' };
    const { id } = await create({ ...SFTP, credentials });
    expect(await valuesOf(id)).toEqual({ host: 'h', username: 'u', password: 'p' });
    const path = `/integrations/credentials/${id}`;
    for (const wrong of [
      { ...credentials, host: '' },
      { ...credentials, note: ' ' },
    ]) {
      const body = { credential_type: 'user_password', credentials: wrong };
      expect((await send(server, 'PUT', path, body)).status).toBe(400);
    }
    const body = { credential_type: 'user_password', credentials: { ...credentials, password: '' } };
    expect((await send(server, 'PUT', path, body)).status).toBe(200);
    expect(await valuesOf(id)).toEqual({ host: 'h', username: 'u' });
  });

  test('POST credentials keeps fields without a definition, stores other types as text and drops null', async () => {
    const { create, valuesOf } = await start();
    const { id } = await create({
      ...SFTP,
      credentials: {
        host: 'h',
        port: 2222,
        strict: true,
        ratio: 0.5,
        'Ключ 1': 'é🔑',
        options: { retries: [1, { deep: 'x' }] },
        nothing: null,
      },
    });
    expect(await valuesOf(id)).toEqual({
      host: 'h',
      port: '2222',
      strict: 'true',
      ratio: '0.5',
      'Ключ 1': 'é🔑',
      options: '{"retries":[1,{"deep":"x"}]}',
    });
  });

  test('a credential has its given name, or the name of its service if it was stored without one', async () => {
    const { server, create } = await start();
    await server.vault.store(
      { ...server.caller() },
      { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' },
    );
    const listed = await (await server.request('/integrations/credentials')).json();
    expect(listed).toMatchObject([{ name: 'Linear', provider: 'linear' }]);
    for (const name of ['sftp', 'SFTP', 'a/b\\c', '💾 "quoted" <b>', '__proto__'])
      expect(await create({ ...SFTP, name })).toMatchObject({ name });
  });

  test('PUT with a name renames a credential and keeps its id, and a missing or null name keeps the name', async () => {
    const { server, create } = await start();
    const created = await create();
    const path = `/integrations/credentials/${created.id}`;
    const { credential_type, credentials } = SFTP;
    const renamed = await send(server, 'PUT', path, { name: 'New name', credential_type, credentials });
    expect(await renamed.json()).toMatchObject({
      id: created.id,
      name: 'New name',
      created_at: created.created_at,
    });
    for (const name of [null, undefined]) {
      const put = await send(server, 'PUT', path, { name, credential_type, credentials });
      expect(await put.json()).toMatchObject({ id: created.id, name: 'New name' });
    }
    expect(await create()).toMatchObject({ name: 'Reports' });
  });

  test('modified_by names the user of the latest change, and user_id stays that of the owner', async () => {
    const { server, create } = await start();
    const { owner, admin } = await createUserKeys(server);
    const created = await create(SFTP, owner.key);
    expect(created).toMatchObject({ modified_by: 'owner', user_id: owner.user_id });
    const { name: _, provider: __, ...body } = SFTP;
    const put = await send(server, 'PUT', `/integrations/credentials/${created.id}`, body, admin.key);
    expect(await put.json()).toMatchObject({ modified_by: 'admin', user_id: owner.user_id });
  });
});

describe('replaced and deleted values', () => {
  test('replaced and deleted values are removed from the bytes of the database', async () => {
    const { server, create } = await start();
    const canaries = [newCanary(), newCanary(), newCanary()];
    const body = (at: number) => ({
      credential_type: 'user_password',
      credentials: { host: 'h', username: 'u', password: canaries[at]?.value },
    });
    const { id } = await create({ ...SFTP, ...body(0) });
    const path = `/integrations/credentials/${id}`;
    const sealed = [await sealedBytes(server.home)];
    await send(server, 'PUT', path, body(1));
    sealed.push(await sealedBytes(server.home));
    await send(server, 'PATCH', path, body(2));
    sealed.push(await sealedBytes(server.home));
    await server.vault.scrub();
    expect(await Promise.all(sealed.map((bytes) => isStored(server.home, bytes)))).toEqual([
      false,
      false,
      true,
    ]);
    await send(server, 'DELETE', path);
    await server.vault.scrub();
    expect(await Promise.all(sealed.map((bytes) => isStored(server.home, bytes)))).toEqual([
      false,
      false,
      false,
    ]);
    for (const { word } of canaries) expect(await isStored(server.home, Buffer.from(word))).toBe(false);
  });
});

async function sealedBytes(home: string): Promise<Buffer> {
  const [row] = await readCredentialRows(home);
  if (row === undefined) throw new Error('there is no credential');
  return row.sealed_values;
}

async function isStored(home: string, bytes: Buffer): Promise<boolean> {
  return [...(await readBytesAtRest(home)).values()].some((file) => file.includes(bytes));
}

describe('SuperAI lists', () => {
  test('GET credentials returns at most 100 credentials, newest first, and filters by provider', async () => {
    const { server, create } = await start();
    const ids: string[] = [];
    for (let at = 0; at < 101; at++) {
      const provider = at < 3 ? 'postgresql' : 'sftp';
      ids.unshift((await create({ ...SFTP, provider, name: `number ${at}`, credentials: { x: 'y' } })).id);
    }
    const idsAt = async (path: string) => {
      const response = await server.request(path);
      expect(response.status).toBe(200);
      return z
        .array(CredentialsResponse)
        .parse(await response.json())
        .map(({ id }) => id);
    };
    expect(await idsAt('/integrations/credentials')).toEqual(ids.slice(0, 100));
    expect(await idsAt('/integrations/credentials/provider/postgres')).toEqual(ids.slice(98));
    expect(await idsAt('/integrations/credentials/provider/microsoft')).toEqual([]);
  });
});

test('a damaged credential is omitted from the lists, and the other credentials are listed', async () => {
  const { server, create } = await start();
  const first = await create({ ...SFTP, name: 'first' });
  const damaged = await create({ ...SFTP, name: 'damaged' });
  const last = await create({ ...SFTP, name: 'last' });
  await damageRecords(server.home, ({ id }) => id.equals(idBytes(damaged.id)));
  for (const path of ['/integrations/credentials', '/integrations/credentials/provider/sftp']) {
    const response = await server.request(path);
    expect([response.status, await response.json()]).toEqual([200, [last, first]]);
  }
  expect((await server.request(`/integrations/credentials/${damaged.id}`)).status).toBe(404);
  const admin = { ...server.caller(), scopes: new Set(['audit:read'] as const) };
  expect((await server.vault.verifyAudit(admin)).findings).toMatchObject([
    { kind: 'record_damaged', credential_id: damaged.id },
  ]);
});
