/** Which scope each route takes: with that one alone it does its work, with all others it does not. */
import { describe, expect, test } from 'vitest';
import { SCOPES, type Scope } from '../../src/contract/caller.ts';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { addOpenApi } from '../../src/rest/openapi/document.ts';
import { toolrouter } from '../../src/rest/toolrouter/dialect.ts';
import { keysAround } from './people.ts';
import { startV1, type V1Server } from './v1_server.ts';

interface Rule {
  readonly request: string;
  /** `undefined`: any key will do. */
  readonly scope: Scope | undefined;
  readonly body?: object;
  /** Other statuses than 200 of an allowed request. */
  readonly else?: number;
}

const STACK = '/v1/stacks/default';
const LINEAR = `${STACK}/servers/linear`;
const VALUE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };
/** Stands for the id of a key of the same user that anyone may rotate and revoke who may make keys. */
const KEY_ID = 'OWN_KEY';
const KEY = `/v1/api-keys/${KEY_ID}`;

const RULES: readonly Rule[] = [
  { request: 'GET /v1/servers', scope: undefined },
  { request: 'GET /v1/stacks', scope: 'credentials:read' },
  { request: 'POST /v1/stacks', scope: 'stacks:write', body: { stack_name: 'n' } },
  { request: `GET ${STACK}`, scope: 'credentials:read' },
  { request: `PUT ${STACK}`, scope: 'stacks:write', body: { stack_name: 'n' } },
  { request: `POST ${STACK}/servers`, scope: 'stacks:write', body: { server_id: 'linear' }, else: 400 },
  { request: `PUT ${LINEAR}/tools`, scope: 'stacks:write', body: { enabled_tools: [] } },
  {
    request: `PUT ${LINEAR}/credentials`,
    scope: 'credentials:write',
    body: { credentials: { linear_api_key: 'v' } },
  },
  { request: `GET ${LINEAR}/credentials`, scope: 'credentials:read' },
  { request: `DELETE ${STACK}/servers/gmail`, scope: 'stacks:write', else: 404 },
  { request: `DELETE ${STACK}`, scope: 'stacks:write', else: 403 },
  { request: `GET ${STACK}/tools`, scope: undefined, else: 501 },
  { request: `POST ${STACK}/tools/t/invoke`, scope: undefined, else: 501 },
  { request: 'GET /s/c/list_tools', scope: undefined, else: 501 },
  { request: 'POST /s/c/call_tool', scope: undefined, else: 501 },
  { request: 'POST /v1/credentials/store', scope: 'credentials:write', body: VALUE },
  { request: 'GET /v1/services', scope: 'credentials:read' },
  { request: 'GET /v1/services/linear/tools', scope: undefined, else: 501 },
  { request: 'POST /v1/tools/call/t', scope: undefined, else: 501 },
  { request: 'POST /v1/tools/call/batch', scope: undefined, else: 501 },
  { request: 'GET /v1/api-keys', scope: 'keys:write' },
  { request: 'POST /v1/api-keys', scope: 'keys:write', body: { scopes: ['keys:write'] } },
  { request: `POST ${KEY}/rotate`, scope: 'keys:write' },
  { request: `DELETE ${KEY}`, scope: 'keys:write' },
  { request: 'PUT /v1/credentials', scope: 'credentials:write', body: VALUE },
  { request: 'GET /v1/credentials', scope: 'credentials:read' },
  { request: 'GET /v1/credentials?service_id=linear', scope: 'credentials:read' },
  {
    request: 'POST /v1/credentials/update',
    scope: 'credentials:write',
    body: { service_id: 'linear', credentials: { linear_api_key: 'v' } },
  },
  { request: 'POST /v1/credentials/delete', scope: 'credentials:write', body: { service_id: 'linear' } },
  { request: 'GET /v1/service-definitions', scope: undefined },
  { request: 'GET /v1/public-key', scope: undefined },
  { request: 'GET /v1/me', scope: undefined },
  { request: 'GET /v1/audit', scope: 'audit:read' },
  { request: 'GET /v1/audit/verify', scope: 'audit:read' },
  { request: 'GET /v1/units', scope: 'credentials:read' },
  { request: 'POST /v1/units', scope: 'org:admin', body: { name: 'n' } },
];

interface World {
  readonly server: V1Server;
  readonly only: string;
  readonly without: string;
  readonly key_id: string;
}

/** A user with a credential in the default stack, keys with that scope alone and with all others, and one more key. */
async function start(scope: Scope): Promise<World> {
  const server = await startV1();
  const key = await server.key({ user: 'ann' });
  await server.get('POST /v1/stacks/default/servers', { key, body: { server_id: 'linear' } });
  await server.get('PUT /v1/credentials', { key, body: VALUE });
  const { id: key_id } = await server.vault.api_keys.create(server.caller(), {
    user: 'ann',
    scopes: ['keys:write'],
  });
  return { server, key_id, ...(await keysAround(server, 'ann', scope)) };
}

describe('a key', () => {
  test.each(RULES.filter(({ scope }) => scope !== undefined))(
    'with the scope of $request does that, and one with all others does not',
    async ({ request: rule, scope, body, else: otherwise }) => {
      if (scope === undefined) return;
      const { server, only, without, key_id } = await start(scope);
      const request = rule.replace(KEY_ID, key_id);
      const how = body === undefined ? {} : { body };
      const denied = await server.ask(request, { ...how, key: without });
      expect([denied.status, JSON.parse(denied.text).detail]).toEqual([
        403,
        `This needs the scope ${scope}, which the caller does not have.`,
      ]);
      const allowed = await server.ask(request, { ...how, key: only });
      expect([allowed.status, allowed.text.slice(0, 200)]).toEqual([otherwise ?? 200, expect.any(String)]);
    },
  );

  test('of any kind does what needs no scope', async () => {
    const server = await startV1();
    for (const scope of SCOPES) {
      const key = await server.key({ scopes: [scope] });
      for (const { request, body, else: otherwise } of RULES.filter((rule) => rule.scope === undefined)) {
        const answer = await server.ask(request, { key, ...(body === undefined ? {} : { body }) });
        expect([request, answer.status]).toEqual([request, otherwise ?? 200]);
      }
    }
  });

  test('is needed by every route', async () => {
    const server = await startV1();
    for (const { request } of RULES) {
      const [method = '', path = ''] = request.split(' ');
      const answer = await fetch(server.url + path, { method });
      expect([request, answer.status, Object.keys((await answer.json()) as object)[0]]).toEqual([
        request,
        401,
        'detail',
      ]);
    }
  });
});

test('no route is left out here', async () => {
  const server = await startV1({
    dialects: [toolrouter, danube, keyhold],
    settings: { open_routes: [addOpenApi] },
  });
  const { paths } = await server.get<{ paths: Record<string, object> }>('GET /openapi.json');
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const asPattern = (request: string) =>
    new RegExp(`^${request.replaceAll(/\{[^}]+\}/g, '[^/?]+')}(?:\\?.*)?$`);
  const missing = described.filter((one) => !RULES.some(({ request }) => asPattern(one).test(request)));
  expect(missing).toEqual([]);
  expect(described.length).toBeGreaterThan(30);
});
