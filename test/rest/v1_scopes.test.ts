/** The scope that each /v1 route requires: sufficient alone, and missing from a key with all other scopes. */
import { describe, expect, test } from 'vitest';
import { SCOPES, type Scope } from '../../src/contract/caller.ts';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { addOpenApi } from '../../src/rest/openapi/document.ts';
import { toolrouter } from '../../src/rest/toolrouter/dialect.ts';
import { createScopeKeys } from './user_keys.ts';
import { startV1, type V1Server } from './v1_server.ts';

interface Rule {
  readonly request: string;
  /** `undefined`: every valid key is allowed. */
  readonly scope: Scope | undefined;
  readonly body?: object;
  /** The status of an allowed request; 200 by default. */
  readonly allowed_status?: number;
}

const STACK = '/v1/stacks/default';
const LINEAR = `${STACK}/servers/linear`;
const VALUE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' };
const HANDLE = { handle: 'AAAAAAAAAAAAAAAAAAAAAA' };
const CONNECT = { service_id: 'github' };
const UUID = '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2';
const APPROVAL = `/v1/approvals/${UUID}`;
const DRY_RUN = { path: '/graphql', dry_run: true };
/** Placeholder for the id of another key of the same user, which `keys:write` allows to rotate and revoke. */
const KEY_ID = 'OWN_KEY';
const KEY = `/v1/api-keys/${KEY_ID}`;

const RULES: readonly Rule[] = [
  { request: 'GET /v1/servers', scope: undefined },
  { request: 'GET /v1/stacks', scope: 'credentials:read' },
  { request: 'POST /v1/stacks', scope: 'stacks:write', body: { stack_name: 'n' } },
  { request: `GET ${STACK}`, scope: 'credentials:read' },
  { request: `PUT ${STACK}`, scope: 'stacks:write', body: { stack_name: 'n' } },
  // The stack `default` cannot be shared.
  { request: `GET ${STACK}/shares`, scope: 'credentials:read' },
  {
    request: `POST ${STACK}/shares`,
    scope: 'stacks:write',
    body: { unit: 'none', role: 'use' },
    allowed_status: 400,
  },
  {
    request: `POST ${STACK}/shares/remove`,
    scope: 'stacks:write',
    body: { unit: 'none' },
    allowed_status: 404,
  },
  {
    request: `POST ${STACK}/servers`,
    scope: 'stacks:write',
    body: { server_id: 'linear' },
    allowed_status: 400,
  },
  { request: `PUT ${LINEAR}/tools`, scope: 'stacks:write', body: { enabled_tools: [] } },
  {
    request: `PUT ${LINEAR}/credentials`,
    scope: 'credentials:write',
    body: { credentials: { linear_api_key: 'v' } },
  },
  { request: `GET ${LINEAR}/credentials`, scope: 'credentials:read' },
  { request: `DELETE ${STACK}/servers/gmail`, scope: 'stacks:write', allowed_status: 404 },
  { request: `DELETE ${STACK}`, scope: 'stacks:write', allowed_status: 403 },
  { request: `GET ${STACK}/tools`, scope: 'credentials:read' },
  {
    request: `POST ${STACK}/tools/linear__request/invoke`,
    scope: 'credentials:read',
    body: { tool_input: {} },
    allowed_status: 404,
  },
  { request: 'GET /s/default/list_tools', scope: 'credentials:read' },
  {
    request: 'POST /s/default/call_tool',
    scope: 'credentials:read',
    body: { tool_name: 'linear__request' },
    allowed_status: 404,
  },
  { request: 'POST /v1/credentials/store', scope: 'credentials:write', body: VALUE },
  {
    request: 'POST /v1/credentials/test',
    scope: 'credentials:use',
    body: { service_id: 'stripe' },
    allowed_status: 404,
  },
  {
    request: `POST /v1/credentials/${KEY_ID}/test`,
    scope: 'credentials:read',
    allowed_status: 404,
  },
  { request: 'GET /v1/services', scope: 'credentials:read' },
  { request: 'GET /v1/services/linear/tools', scope: 'credentials:read' },
  { request: 'GET /v1/services/public', scope: 'credentials:read' },
  { request: 'GET /v1/services/public/linear', scope: 'credentials:read' },
  { request: 'POST /v1/services/linear/call', scope: 'credentials:use', body: DRY_RUN },
  {
    request: 'POST /v1/services/linear/call/raw',
    scope: 'credentials:use',
    body: { path: '/graphql', headers: { host: 'example.com' } },
    allowed_status: 400,
  },
  { request: 'GET /v1/tools/search', scope: undefined },
  { request: 'GET /v1/tools/linear__request', scope: undefined },
  {
    request: 'POST /v1/tools/call/linear__request',
    scope: 'credentials:use',
    body: { tool_input: {} },
    allowed_status: 400,
  },
  {
    request: 'POST /v1/tools/call/batch',
    scope: undefined,
    body: { calls: [{ tool_id: 'linear__request', tool_input: {} }] },
  },
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
  {
    request: 'PUT /v1/credentials/policy',
    scope: 'credentials:write',
    body: { service_id: 'linear', use_policy: { methods: ['GET'] } },
  },
  { request: 'POST /v1/credentials/delete', scope: 'credentials:write', body: { service_id: 'linear' } },
  { request: 'GET /v1/service-definitions', scope: undefined },
  { request: 'GET /v1/public-key', scope: undefined },
  { request: 'GET /v1/me', scope: undefined },
  { request: 'GET /v1/audit', scope: 'audit:read' },
  { request: 'GET /v1/audit/uses', scope: 'audit:read' },
  { request: 'POST /v1/handles', scope: 'credentials:write', body: { service_id: 'linear' } },
  { request: 'POST /v1/handles/status', scope: 'credentials:read', body: HANDLE, allowed_status: 404 },
  { request: 'POST /v1/handles/decline', scope: 'credentials:write', body: HANDLE, allowed_status: 404 },
  {
    request: 'POST /v1/access-requests',
    scope: 'credentials:use',
    body: { service_id: 'github', reason: 'r' },
  },
  { request: 'GET /v1/access-requests?service_id=github', scope: 'credentials:read' },
  // Without a stored client id.
  { request: 'POST /v1/connections', scope: 'credentials:write', body: CONNECT, allowed_status: 400 },
  { request: 'POST /v1/connections/device', scope: 'credentials:write', body: CONNECT, allowed_status: 400 },
  { request: 'GET /v1/connections?service_id=github', scope: 'credentials:read' },
  { request: `GET /v1/connections/device/${UUID}`, scope: 'credentials:read', allowed_status: 404 },
  { request: 'GET /v1/approvals', scope: 'approvals:decide' },
  { request: `GET ${APPROVAL}`, scope: 'approvals:decide', allowed_status: 404 },
  { request: `POST ${APPROVAL}/approve`, scope: 'approvals:decide', allowed_status: 404 },
  { request: `POST ${APPROVAL}/deny`, scope: 'approvals:decide', allowed_status: 404 },
  { request: `POST ${APPROVAL}/revoke`, scope: 'approvals:decide', allowed_status: 404 },
  { request: 'GET /v1/audit/verify', scope: 'audit:read' },
  { request: 'GET /v1/units', scope: 'credentials:read' },
  { request: 'GET /v1/users', scope: 'org:admin' },
  {
    request: 'POST /v1/users/move',
    scope: 'org:admin',
    body: { name: 'nobody', unit: 'none' },
    allowed_status: 404,
  },
  { request: 'POST /v1/users/remove', scope: 'org:admin', body: { name: 'nobody' }, allowed_status: 404 },
  { request: 'POST /v1/units', scope: 'org:admin', body: { name: 'n' } },
];

interface ScopeFixture {
  readonly server: V1Server;
  readonly with_scope: string;
  readonly without_scope: string;
  readonly key_id: string;
}

/** Creates a user with a credential in the default stack and three keys: with the scope alone, with all others, and `key_id`. */
async function start(scope: Scope): Promise<ScopeFixture> {
  const server = await startV1();
  const key = await server.key({ user: 'ann' });
  await server.get('POST /v1/stacks/default/servers', { key, body: { server_id: 'linear' } });
  await server.get('PUT /v1/credentials', { key, body: VALUE });
  const { id: key_id } = await server.vault.api_keys.create(server.caller(), {
    user: 'ann',
    scopes: ['keys:write'],
  });
  return { server, key_id, ...(await createScopeKeys(server, 'ann', scope)) };
}

describe('required scopes of the /v1 routes', () => {
  test.each(
    RULES.flatMap(({ scope, ...rule }) =>
      scope === undefined ? [] : [[rule.request, scope, rule] as const],
    ),
  )(
    '%s returns 403 without %s and is allowed with that scope alone',
    async (route, scope, { body, allowed_status }) => {
      const { server, with_scope, without_scope, key_id } = await start(scope);
      const request = route.replace(KEY_ID, key_id);
      const options = body === undefined ? {} : { body };
      const denied = await server.send(request, { ...options, key: without_scope });
      expect([denied.status, JSON.parse(denied.text).detail]).toEqual([
        403,
        `This needs the scope ${scope}, which the caller does not have.`,
      ]);
      const allowed = await server.send(request, { ...options, key: with_scope });
      expect([allowed.status, allowed.text.slice(0, 200)]).toEqual([
        allowed_status ?? 200,
        expect.any(String),
      ]);
    },
  );

  test('routes that require no scope accept a key with any scope', async () => {
    const server = await startV1();
    for (const scope of SCOPES) {
      const key = await server.key({ scopes: [scope] });
      for (const { request, body, allowed_status } of RULES.filter((rule) => rule.scope === undefined)) {
        const response = await server.send(request, { key, ...(body === undefined ? {} : { body }) });
        expect([request, response.status]).toEqual([request, allowed_status ?? 200]);
      }
    }
  });

  test('every /v1 route returns 401 without an API key', async () => {
    const server = await startV1();
    for (const { request } of RULES) {
      const [method = '', path = ''] = request.split(' ');
      const response = await fetch(server.url + path, { method });
      expect([request, response.status, Object.keys((await response.json()) as object)[0]]).toEqual([
        request,
        401,
        'detail',
      ]);
    }
  });
});

test('the scope rules cover every /v1 route in the OpenAPI document', async () => {
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
