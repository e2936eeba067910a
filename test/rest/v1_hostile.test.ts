/** Hostile bodies, paths and queries are rejected with an error that repeats no input, and change nothing. */
import { describe, expect, test } from 'vitest';
import { type Canary, findCanary, findCanaryInFiles, newCanary } from '../kit/canary.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { createStack, startV1, type V1Server } from './v1_server.ts';

interface Target {
  readonly request: string;
  readonly valid_body: Readonly<Record<string, unknown>>;
  /** Properties that accept almost any text. */
  readonly free_text?: readonly string[];
}

const TARGETS: readonly Target[] = [
  { request: 'POST /v1/stacks', valid_body: { stack_name: 'n' }, free_text: ['stack_name'] },
  { request: 'PUT /v1/stacks/default', valid_body: { stack_name: 'n' }, free_text: ['stack_name'] },
  { request: 'POST /v1/stacks/default/servers', valid_body: { server_id: 'gmail' } },
  {
    request: 'PUT /v1/stacks/default/servers/linear/tools',
    valid_body: { enabled_tools: ['t'] },
    free_text: ['enabled_tools'],
  },
  {
    request: 'PUT /v1/stacks/default/servers/linear/credentials',
    valid_body: { credentials: { linear_api_key: 'v' } },
  },
  {
    request: 'POST /v1/credentials/store',
    valid_body: {
      service_id: 'linear',
      credential_type: 'bearer',
      credential_value: 'v',
      stack_id: 'default',
      name: 'n',
    },
    free_text: ['credential_value', 'name', 'stack_id'],
  },
  {
    request: 'PUT /v1/credentials',
    valid_body: {
      service_id: 'linear',
      credential_type: 'bearer',
      credential_value: 'v',
      stack_id: 'default',
      name: 'n',
    },
    free_text: ['credential_value', 'name', 'stack_id'],
  },
  {
    request: 'POST /v1/credentials/update',
    valid_body: {
      service_id: 'linear',
      credentials: { linear_api_key: 'v' },
      stack_id: 'default',
      name: 'n',
    },
    free_text: ['name', 'stack_id'],
  },
  {
    request: 'POST /v1/credentials/delete',
    valid_body: { service_id: 'gmail', stack_id: 'default', name: 'n' },
  },
  { request: 'POST /v1/units', valid_body: { name: 'n', organization: 'local' } },
  {
    request: 'POST /v1/api-keys',
    valid_body: { name: 'n', user: 'me', scopes: ['keys:write'] },
    free_text: ['name'],
  },
];

/** Invalid values for a property of a valid body. */
function invalidValues(text: string): unknown[] {
  return [
    { [text]: text },
    [text],
    [[text]],
    7,
    true,
    '',
    `\u0000${text}`,
    `\ud800${text}`,
    `${text}\u202e\u0007`,
    text.repeat(3_000),
    { toString: text },
  ];
}

async function start(): Promise<{ server: V1Server; key: string; state: () => Promise<unknown> }> {
  const server = await startV1();
  const scopes = [
    'credentials:read',
    'credentials:write',
    'stacks:write',
    'keys:write',
    'org:admin',
  ] as const;
  const key = await server.key({ scopes: [...scopes] });
  await server.get('POST /v1/stacks/default/servers', { key, body: { server_id: 'linear' } });
  const credentials = { linear_api_key: 'v' };
  await server.get('PUT /v1/stacks/default/servers/linear/credentials', { key, body: { credentials } });
  const stable = async (request: string) =>
    (await server.send(request, { key })).text.replaceAll(/"last_used[^,}]*/g, '');
  const state = async () => [
    await readCredentialRows(server.home),
    await stable('GET /v1/stacks'),
    await stable('GET /v1/units'),
    await stable('GET /v1/api-keys'),
  ];
  return { server, key, state };
}

function expectNoCanary(server: V1Server, canary: Canary, text: string): void {
  expect(findCanary(text, canary)).toEqual([]);
  expect(findCanary(JSON.stringify(server.log), canary)).toEqual([]);
}

describe('invalid bodies below /v1', () => {
  test.each(TARGETS.map((target) => [target.request, target] as const))(
    '%s rejects every invalid body and changes nothing',
    async (request, { valid_body, free_text }) => {
      const { server, key, state } = await start();
      const before = await state();
      const canary = newCanary();
      const { word } = canary;
      const properties = Object.keys(valid_body).filter((property) => free_text?.includes(property) !== true);
      const bodies = [
        word,
        `"${word}"`,
        `["${word}"]`,
        `{"${word}":`,
        JSON.stringify(valid_body).replace('{', `{"__proto__":{"${word}":1},`),
        JSON.stringify(valid_body).replace('{', `{"${Object.keys(valid_body)[0]}":"${word}",`),
        'null',
        '7',
        `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`,
        ...properties.flatMap((property) =>
          invalidValues(word).map((invalid) => JSON.stringify({ ...valid_body, [property]: invalid })),
        ),
        ...properties.map((property) => JSON.stringify({ ...valid_body, [property]: word.repeat(2_800) })),
      ];
      for (const body of bodies) {
        const response = await server.send(request, { key, body });
        const shown = [body.slice(0, 200), response.status, response.text];
        expect(shown).toEqual([
          shown[0],
          expect.toBeOneOf([400, 404]),
          expect.stringMatching(/^\{"detail":"[^"]/),
        ]);
        expectNoCanary(server, canary, response.text);
      }
      expect(await state()).toEqual(before);
    },
  );

  test.each(TARGETS.map((target) => [target.request, target] as const))(
    '%s returns 415 for another content type and 413 for a body over 1 MiB',
    async (request, { valid_body }) => {
      const { server, key, state } = await start();
      const before = await state();
      const [method = '', path = ''] = request.split(' ');
      const send = (type: string, body: string) =>
        server.request(path, { method, key, headers: { 'content-type': type }, body });
      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'application/json; charset=utf-16',
      ]) {
        const response = await send(type, JSON.stringify(valid_body));
        expect([type, response.status, Object.keys((await response.json()) as object)[0]]).toEqual([
          type,
          415,
          'detail',
        ]);
      }
      const large = await send(
        'application/json',
        JSON.stringify({ ...valid_body, more: 'x'.repeat(1_048_576) }),
      );
      expect([large.status, Object.keys((await large.json()) as object)[0]]).toEqual([413, 'detail']);
      expect(await state()).toEqual(before);
    },
  );
});

const SQL = `'; DROP TABLE record; -- " OR 1=1 ; DELETE FROM audit_entry; /*`;

test('SQL in a body, a path or a query is treated as plain text', async () => {
  const { server, key } = await start();
  const stack_id = await createStack(server, ['gmail'], key);
  const send = (request: string, body?: object) => server.send(request, { key, ...(body && { body }) });
  const value = { credentials: { gmail_oauth_token: 'v', gmail_signature: SQL } };
  expect((await send(`PUT /v1/stacks/${stack_id}/servers/gmail/credentials`, value)).status).toBe(200);
  expect((await send('POST /v1/stacks', { stack_name: SQL })).status).toBe(200);
  const named = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v', name: SQL };
  expect((await send('PUT /v1/credentials', named)).status).toBe(200);
  const sql = encodeURIComponent(SQL);
  const refused = [
    `GET /v1/stacks/${sql}`,
    `DELETE /v1/stacks/${sql}`,
    `GET /v1/stacks/default/servers/${sql}/credentials`,
    `GET /v1/credentials?service_id=${sql}`,
    `GET /v1/services?stack_id=stack_${sql}`,
    `DELETE /v1/api-keys/${sql}`,
    `GET /v1/units?organization=${sql}`,
  ];
  for (const request of refused) {
    const { status, text } = await send(request);
    expect([request, status]).toEqual([request, expect.toBeOneOf([400, 404])]);
    expect(text).not.toContain('DROP');
  }
  expect((await send(`GET /v1/services?query=${sql}`)).status).toBe(200);
  const { credentials } = await server.get<{ credentials: object[] }>('GET /v1/credentials', { key });
  expect(credentials).toMatchObject([{ name: SQL }, { name: null }]);
  expect(await server.vault.verifyAudit(server.caller())).toMatchObject({ ok: true });
});

test('a stored value is in no response, log line, audit entry or file', async () => {
  const { server, key } = await start();
  const canary = newCanary();
  const stack_id = await createStack(server, ['linear'], key);
  const credentials = { linear_api_key: canary.value };
  const store = { service_id: 'linear', credential_type: 'bearer', credential_value: canary.value };
  const requests: readonly (readonly [string, object?])[] = [
    [`PUT /v1/stacks/${stack_id}/servers/linear/credentials`, { credentials }],
    ['POST /v1/credentials/store', store],
    ['POST /v1/credentials/store', { ...store, credential_type: 'oauth' }],
    ['POST /v1/credentials/store', { ...store, credential_value: `env://${canary.word}` }],
    ['POST /v1/credentials/store', { ...store, service_id: 'nope' }],
    ['PUT /v1/credentials', { ...store, name: 'second' }],
    ['POST /v1/credentials/update', { service_id: 'linear', credentials }],
    ['POST /v1/credentials/update', { service_id: 'gmail', credentials }],
    [`PUT /v1/stacks/${stack_id}/servers/gmail/credentials`, { credentials }],
    ['PUT /v1/stacks/nope/servers/linear/credentials', { credentials }],
    [`GET /v1/stacks/${stack_id}/servers/linear/credentials`],
    ['GET /v1/credentials'],
    ['GET /v1/stacks'],
    ['GET /v1/services'],
    [`DELETE /v1/stacks/${stack_id}`],
  ];
  for (const [request, body] of requests) {
    const { text, headers } = await server.send(request, { key, ...(body && { body }) });
    expectNoCanary(server, canary, `${text}${JSON.stringify([...headers])}`);
  }
  const { entries } = await server.vault.listAudit(server.caller());
  expect(findCanary(JSON.stringify(entries), canary)).toEqual([]);
  await server.close();
  expect(findCanaryInFiles(server.home, canary)).toEqual([]);
});
