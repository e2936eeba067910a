/** A valid request for each route of Toolzz's dialect. */
import type { Fixtures } from '../fixtures.ts';
import type { Rows } from './operations.ts';

const ALL = '/api/v1/credential';
const one = ({ credential_id }: Fixtures) => `${ALL}/${credential_id}`;
const unityOf = ({ unit_id }: Fixtures) => `${ALL}/unity/${unit_id}`;
const facts = ({ name, user_id, unit_id, integration_id }: Fixtures) => ({
  name,
  userId: user_id,
  unityId: unit_id,
  integrationId: integration_id,
  status: true,
});

export const TOOLZZ_ROWS: Rows = {
  [`POST ${ALL}`]: {
    scopes: ['credentials:write'],
    status: 201,
    request: (fixtures) => ({
      path: ALL,
      body: {
        ...facts(fixtures),
        credentials: [{ host: 'db', username: 'app', password: fixtures.value }, { database: 'app' }],
      },
    }),
  },
  [`PUT ${ALL}/{id}`]: {
    scopes: ['credentials:write'],
    request: (fixtures) => ({
      path: one(fixtures),
      body: { ...facts(fixtures), secretId: fixtures.secret_id },
    }),
  },
  [`GET ${ALL}/{id}`]: { scopes: ['credentials:read'], request: (fixtures) => ({ path: one(fixtures) }) },
  [`DELETE ${ALL}/{id}`]: { scopes: ['credentials:write'], request: (fixtures) => ({ path: one(fixtures) }) },
  [`GET ${ALL}/unity/{unityId}`]: {
    scopes: ['credentials:read'],
    request: (fixtures) => ({ path: unityOf(fixtures) }),
  },
  [`GET ${ALL}/unity/{unityId}/type/{type}`]: {
    scopes: ['credentials:read'],
    request: (fixtures) => ({ path: `${unityOf(fixtures)}/type/dataset` }),
  },
  [`GET ${ALL}/unity/{unityId}/integration/{integrationId}`]: {
    scopes: ['credentials:read'],
    request: (fixtures) => ({ path: `${unityOf(fixtures)}/integration/${fixtures.integration_id}` }),
  },
  'GET /api/v1/integration/status': { scopes: [], request: () => ({ path: '/api/v1/integration/status' }) },
  'POST /api/v1/integration/{id}/validation': {
    scopes: ['credentials:read', 'credentials:use'],
    request: ({ integration_id, credential_id }) => ({
      path: `/api/v1/integration/${integration_id}/validation`,
      body: { credentialId: credential_id },
    }),
  },
  'GET /api/v1/integration/{id}/icon': {
    scopes: [],
    request: ({ integration_id }) => ({ path: `/api/v1/integration/${integration_id}/icon` }),
  },
};
