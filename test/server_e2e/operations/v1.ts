/** A valid request for each route below `/v1` and `/s`. */
import type { Fixtures } from '../fixtures.ts';
import type { Rows } from './operations.ts';

const inQuery = (parameters: Readonly<Record<string, string>>) => `?${new URLSearchParams(parameters)}`;
const stackOf = ({ stack_id }: Fixtures) => `/v1/stacks/${stack_id}`;
const approvalOf = ({ approval_id, organization }: Fixtures, verb = '') =>
  `/v1/approvals/${approval_id}${verb}${inQuery({ organization })}`;
const linearOf = (fixtures: Fixtures) => `${stackOf(fixtures)}/servers/linear`;
const oneValue = ({ stack_id, name, value }: Fixtures) => ({
  service_id: 'linear',
  credential_type: 'bearer',
  credential_value: value,
  stack_id,
  name,
});
/** A call that is refused before anything is sent, once the caller may make it: the caller may not choose the host. */
const REFUSED_CALL = { path: '/graphql', headers: { host: 'example.com' } };
const INVOKE = { scopes: ['credentials:read', 'credentials:use'], status: 400 } as const;
const LIST = { scopes: ['credentials:read'] } as const;

const KEYHOLD_ROWS: Rows = {
  'PUT /v1/credentials': {
    scopes: ['credentials:write'],
    request: (fixtures) => ({ path: '/v1/credentials', body: oneValue(fixtures) }),
  },
  'GET /v1/credentials': {
    scopes: ['credentials:read'],
    request: ({ stack_id }) => ({
      path: `/v1/credentials${inQuery({ service_id: 'linear', stack_id })}`,
    }),
  },
  'POST /v1/credentials/update': {
    scopes: ['credentials:write'],
    request: ({ stack_id, value }) => ({
      path: '/v1/credentials/update',
      body: { service_id: 'linear', credentials: { linear_api_key: value }, stack_id },
    }),
  },
  'POST /v1/credentials/test': {
    scopes: ['credentials:use'],
    request: ({ stack_id }) => ({
      path: '/v1/credentials/test',
      body: { service_id: 'linear', stack_id },
    }),
  },
  'POST /v1/credentials/{credential_id}/test': {
    scopes: ['credentials:read', 'credentials:use'],
    request: ({ credential_id }) => ({ path: `/v1/credentials/${credential_id}/test` }),
  },
  'PUT /v1/credentials/policy': {
    scopes: ['credentials:write'],
    request: ({ stack_id }) => ({
      path: '/v1/credentials/policy',
      body: { service_id: 'linear', stack_id, use_policy: { calls_per_minute: 5 } },
    }),
  },
  'POST /v1/credentials/delete': {
    scopes: ['credentials:write'],
    request: ({ stack_id }) => ({
      path: '/v1/credentials/delete',
      body: { service_id: 'linear', stack_id },
    }),
  },
  'GET /v1/service-definitions': { scopes: [], request: () => ({ path: '/v1/service-definitions' }) },
  'GET /v1/public-key': { scopes: [], request: () => ({ path: '/v1/public-key' }) },
  'GET /v1/audit': {
    scopes: ['audit:read'],
    request: ({ organization, user, credential_id, key_id }) => ({
      path: `/v1/audit${inQuery({ organization, user, credential_id, record_id: key_id, service_id: 'postgresql' })}`,
    }),
  },
  'GET /v1/audit/uses': {
    scopes: ['audit:read'],
    request: () => ({ path: `/v1/audit/uses${inQuery({ service_id: 'linear' })}` }),
  },
  'POST /v1/handles': {
    scopes: ['credentials:write'],
    request: ({ stack_id, name }) => ({
      path: '/v1/handles',
      body: { service_id: 'linear', stack_id, name },
    }),
  },
  // These two are with another API key than the one that requested the handle.
  'POST /v1/handles/status': {
    scopes: ['credentials:read'],
    status: 404,
    request: ({ handle }) => ({ path: '/v1/handles/status', body: { handle } }),
  },
  'POST /v1/handles/decline': {
    scopes: ['credentials:write'],
    status: 404,
    request: ({ handle }) => ({ path: '/v1/handles/decline', body: { handle } }),
  },
  'POST /v1/access-requests': {
    scopes: ['credentials:use'],
    request: ({ stack_id }) => ({
      path: '/v1/access-requests',
      body: { service_id: 'github', reason: 'To read issues.', stack_id },
    }),
  },
  'GET /v1/access-requests': {
    scopes: ['credentials:read'],
    request: ({ stack_id }) => ({
      path: `/v1/access-requests${inQuery({ service_id: 'github', stack_id })}`,
    }),
  },
  'GET /v1/connections': {
    scopes: ['credentials:read'],
    request: ({ stack_id }) => ({
      path: `/v1/connections${inQuery({ service_id: 'github', stack_id })}`,
    }),
  },
  // No client id is stored.
  'POST /v1/connections': {
    scopes: ['credentials:write'],
    status: 400,
    request: ({ stack_id }) => ({ path: '/v1/connections', body: { service_id: 'github', stack_id } }),
  },
  'POST /v1/connections/device': {
    scopes: ['credentials:write'],
    status: 400,
    request: ({ stack_id }) => ({ path: '/v1/connections/device', body: { service_id: 'github', stack_id } }),
  },
  // No connection was started.
  'GET /v1/connections/device/{device_id}': {
    scopes: ['credentials:read'],
    status: 404,
    request: () => ({ path: '/v1/connections/device/8f14e45f-ceea-467f-9575-0d0e7ad4a1c2' }),
  },
  'GET /v1/approvals': {
    scopes: ['approvals:decide'],
    request: ({ organization }) => ({ path: `/v1/approvals${inQuery({ organization })}` }),
  },
  'GET /v1/approvals/{approval_id}': {
    scopes: ['approvals:decide'],
    request: (fixtures) => ({ path: approvalOf(fixtures) }),
  },
  'POST /v1/approvals/{approval_id}/approve': {
    scopes: ['approvals:decide'],
    request: (fixtures) => ({ path: approvalOf(fixtures, '/approve') }),
  },
  'POST /v1/approvals/{approval_id}/deny': {
    scopes: ['approvals:decide'],
    request: (fixtures) => ({ path: approvalOf(fixtures, '/deny') }),
  },
  // Only an approval of a request is revoked.
  'POST /v1/approvals/{approval_id}/revoke': {
    scopes: ['approvals:decide'],
    status: 404,
    request: (fixtures) => ({ path: approvalOf(fixtures, '/revoke') }),
  },
  'GET /v1/audit/verify': {
    scopes: ['audit:read'],
    request: ({ organization }) => ({ path: `/v1/audit/verify${inQuery({ organization })}` }),
  },
  'GET /v1/units': {
    scopes: ['credentials:read'],
    request: ({ organization }) => ({ path: `/v1/units${inQuery({ organization })}` }),
  },
  'POST /v1/units': {
    scopes: ['org:admin'],
    request: ({ organization, name }) => ({ path: '/v1/units', body: { name, organization } }),
  },
  'GET /v1/users': {
    scopes: ['org:admin'],
    request: ({ organization }) => ({ path: `/v1/users${inQuery({ organization })}` }),
  },
  // No such user: the users of the fixtures stay.
  'POST /v1/users/move': {
    scopes: ['org:admin'],
    status: 404,
    request: ({ organization, name }) => ({
      path: '/v1/users/move',
      body: { name, unit: 'default', organization },
    }),
  },
  'POST /v1/users/remove': {
    scopes: ['org:admin'],
    status: 404,
    request: ({ organization, name }) => ({ path: '/v1/users/remove', body: { name, organization } }),
  },
  'GET /v1/me': { scopes: [], request: () => ({ path: '/v1/me' }) },
};

const TOOLROUTER_ROWS: Rows = {
  'GET /v1/servers': { scopes: [], request: () => ({ path: '/v1/servers' }) },
  'GET /v1/stacks': { scopes: ['credentials:read'], request: () => ({ path: '/v1/stacks' }) },
  'POST /v1/stacks': {
    scopes: ['stacks:write'],
    request: ({ name }) => ({ path: '/v1/stacks', body: { stack_name: name } }),
  },
  'GET /v1/stacks/{stack_id}': {
    scopes: ['credentials:read'],
    request: (fixtures) => ({ path: stackOf(fixtures) }),
  },
  'PUT /v1/stacks/{stack_id}': {
    scopes: ['stacks:write'],
    request: (fixtures) => ({ path: stackOf(fixtures), body: { stack_name: fixtures.name } }),
  },
  'DELETE /v1/stacks/{stack_id}': {
    scopes: ['stacks:write', 'credentials:write'],
    request: (fixtures) => ({ path: stackOf(fixtures) }),
  },
  'GET /v1/stacks/{stack_id}/shares': {
    scopes: ['credentials:read'],
    request: (fixtures) => ({ path: `${stackOf(fixtures)}/shares` }),
  },
  'POST /v1/stacks/{stack_id}/shares': {
    scopes: ['stacks:write', 'credentials:read', 'credentials:use'],
    request: (fixtures) => ({
      path: `${stackOf(fixtures)}/shares`,
      body: { unit: fixtures.unit_id, role: 'use' },
    }),
  },
  // The stack is not shared yet.
  'POST /v1/stacks/{stack_id}/shares/remove': {
    scopes: ['stacks:write'],
    status: 404,
    request: (fixtures) => ({ path: `${stackOf(fixtures)}/shares/remove`, body: { user: fixtures.name } }),
  },
  'POST /v1/stacks/{stack_id}/servers': {
    scopes: ['stacks:write'],
    request: (fixtures) => ({ path: `${stackOf(fixtures)}/servers`, body: { server_id: 'gmail' } }),
  },
  'DELETE /v1/stacks/{stack_id}/servers/{server_id}': {
    scopes: ['stacks:write', 'credentials:write'],
    request: (fixtures) => ({ path: linearOf(fixtures) }),
  },
  'PUT /v1/stacks/{stack_id}/servers/{server_id}/tools': {
    scopes: ['stacks:write'],
    request: (fixtures) => ({ path: `${linearOf(fixtures)}/tools`, body: { enabled_tools: ['t'] } }),
  },
  'PUT /v1/stacks/{stack_id}/servers/{server_id}/credentials': {
    scopes: ['credentials:write'],
    request: (fixtures) => ({
      path: `${linearOf(fixtures)}/credentials`,
      body: { credentials: { linear_api_key: fixtures.value } },
    }),
  },
  'GET /v1/stacks/{stack_id}/servers/{server_id}/credentials': {
    scopes: ['credentials:read'],
    request: (fixtures) => ({ path: `${linearOf(fixtures)}/credentials` }),
  },
  'GET /v1/stacks/{stack_id}/tools': {
    ...LIST,
    request: (fixtures) => ({ path: `${stackOf(fixtures)}/tools?schema=openai` }),
  },
  'POST /v1/stacks/{stack_id}/tools/{tool_id}/invoke': {
    ...INVOKE,
    request: (fixtures) => ({
      path: `${stackOf(fixtures)}/tools/linear__request/invoke`,
      body: { tool_input: REFUSED_CALL },
    }),
  },
  'GET /s/{client_id}/list_tools': {
    ...LIST,
    request: ({ stack_id }) => ({ path: `/s/${stack_id}/list_tools` }),
  },
  'POST /s/{client_id}/call_tool': {
    ...INVOKE,
    request: ({ stack_id }) => ({
      path: `/s/${stack_id}/call_tool`,
      body: { tool_name: 'linear__request', tool_input: REFUSED_CALL },
    }),
  },
};

const DANUBE_ROWS: Rows = {
  'POST /v1/credentials/store': {
    scopes: ['credentials:write'],
    request: (fixtures) => ({ path: '/v1/credentials/store', body: oneValue(fixtures) }),
  },
  'GET /v1/services': {
    scopes: ['credentials:read'],
    request: ({ stack_id }) => ({ path: `/v1/services${inQuery({ query: 'linear', stack_id })}` }),
  },
  'GET /v1/services/{service_id}/tools': {
    ...LIST,
    request: () => ({ path: '/v1/services/linear/tools' }),
  },
  'GET /v1/services/public': { ...LIST, request: () => ({ path: '/v1/services/public?query=linear' }) },
  'GET /v1/services/public/{service_id}': {
    ...LIST,
    request: () => ({ path: '/v1/services/public/linear' }),
  },
  'POST /v1/services/{service_id}/call': {
    scopes: ['credentials:use'],
    request: ({ stack_id }) => ({
      path: '/v1/services/linear/call',
      body: { path: '/graphql', dry_run: true, stack_id },
    }),
  },
  'POST /v1/services/{service_id}/call/raw': {
    scopes: ['credentials:use'],
    status: 400,
    request: ({ stack_id }) => ({
      path: '/v1/services/linear/call/raw',
      body: { ...REFUSED_CALL, stack_id },
    }),
  },
  'GET /v1/tools/search': {
    scopes: [],
    request: () => ({ path: '/v1/tools/search?query=linear&service_id=linear' }),
  },
  'GET /v1/tools/{tool_id}': { scopes: [], request: () => ({ path: '/v1/tools/linear__request' }) },
  'POST /v1/tools/call/{tool_id}': {
    ...INVOKE,
    scopes: ['credentials:use'],
    request: ({ stack_id }) => ({
      path: '/v1/tools/call/linear__request',
      body: { tool_input: REFUSED_CALL, stack_id },
    }),
  },
  'POST /v1/tools/call/batch': {
    scopes: [],
    request: ({ stack_id }) => ({
      path: '/v1/tools/call/batch',
      body: { calls: [{ tool_id: 'linear__request', tool_input: REFUSED_CALL, stack_id }] },
    }),
  },
  'GET /v1/api-keys': {
    scopes: ['keys:write'],
    request: ({ organization }) => ({ path: `/v1/api-keys${inQuery({ organization })}` }),
  },
  'POST /v1/api-keys': {
    scopes: ['keys:write'],
    request: ({ organization, user, unit_id, stack_id, name }) => ({
      path: '/v1/api-keys',
      body: { name, organization, user, unit: unit_id, stack_id, scopes: ['keys:write'] },
    }),
  },
  'POST /v1/api-keys/{id}/rotate': {
    scopes: ['keys:write'],
    request: ({ key_id }) => ({ path: `/v1/api-keys/${key_id}/rotate` }),
  },
  'DELETE /v1/api-keys/{id}': {
    scopes: ['keys:write'],
    request: ({ key_id }) => ({ path: `/v1/api-keys/${key_id}` }),
  },
};

export const V1_ROWS: Rows = { ...KEYHOLD_ROWS, ...TOOLROUTER_ROWS, ...DANUBE_ROWS };
