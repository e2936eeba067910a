/** A valid request for each route of SuperAI Flow's dialect, below both of its prefixes. */
import type { Fixtures } from '../fixtures.ts';
import type { Rows } from './operations.ts';

const values = (value: string) => ({
  credential_type: 'user_password',
  credentials: { host: 'db', username: 'app', password: value, database: 'app' },
});

function rowsBelow(prefix: string): Rows {
  const all = `${prefix}/credentials`;
  const one = ({ credential_id }: Fixtures) => `${all}/${credential_id}`;
  return {
    [`POST ${all}`]: {
      scopes: ['credentials:write'],
      status: 201,
      request: ({ name, value }) => ({ path: all, body: { name, provider: 'postgresql', ...values(value) } }),
    },
    [`GET ${all}`]: { scopes: ['credentials:read'], request: () => ({ path: all }) },
    [`GET ${all}/provider/{provider}`]: {
      scopes: ['credentials:read'],
      request: () => ({ path: `${all}/provider/postgresql` }),
    },
    [`GET ${all}/{credential_id}`]: {
      scopes: ['credentials:read'],
      request: (fixtures) => ({ path: one(fixtures) }),
    },
    [`PUT ${all}/{credential_id}`]: {
      scopes: ['credentials:write'],
      request: (fixtures) => ({
        path: one(fixtures),
        body: { name: fixtures.name, ...values(fixtures.value) },
      }),
    },
    [`PATCH ${all}/{credential_id}`]: {
      scopes: ['credentials:write'],
      request: (fixtures) => ({ path: one(fixtures), body: values(fixtures.value) }),
    },
    [`DELETE ${all}/{credential_id}`]: {
      scopes: ['credentials:write'],
      status: 204,
      request: (fixtures) => ({ path: one(fixtures) }),
    },
    [`GET ${all}/{credential_id}/credentials`]: {
      scopes: ['values:reveal'],
      request: (fixtures) => ({ path: `${one(fixtures)}/credentials` }),
    },
    [`GET ${prefix}/catalog`]: { scopes: [], request: () => ({ path: `${prefix}/catalog` }) },
    [`POST ${prefix}/sftp/test-connection`]: {
      scopes: ['credentials:use'],
      request: ({ value }) => ({
        path: `${prefix}/sftp/test-connection`,
        body: { host: 'sftp.example.com', username: 'deploy', auth_type: 'password', password: value },
      }),
    },
    [`POST ${prefix}/postgres/test-connection`]: {
      scopes: ['credentials:use'],
      request: ({ value }) => ({
        path: `${prefix}/postgres/test-connection`,
        body: { host: 'db', port: '5432', username: 'app', password: value, database: 'app' },
      }),
    },
    [`POST ${prefix}/postgres/test-connection/{credential_id}`]: {
      scopes: ['credentials:read', 'credentials:use'],
      request: ({ credential_id }) => ({ path: `${prefix}/postgres/test-connection/${credential_id}` }),
    },
  };
}

export const SUPERAI_ROWS: Rows = { ...rowsBelow('/integrations'), ...rowsBelow('/api/integrations') };
