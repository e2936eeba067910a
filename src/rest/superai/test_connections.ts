/** Connection tests in the SuperAI Flow dialect, of values in the body and of stored credentials. Only `valid` is a success. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import {
  CredentialPath,
  ERRORS,
  PostgresCreateRequest,
  SftpTestConnectionRequest,
  TestedConnection,
} from './schemas.ts';

const POSTGRES_SERVICES: ReadonlySet<string> = new Set(['postgresql', 'internal_postgresql']);
const TAGS = ['SuperAI Flow: connection tests'];
const RESPONSES = {
  200: jsonOf(TestedConnection, 'Whether the connection works.'),
  ...ERRORS,
} as const;

/** Adds the routes under `prefix`, such as `/integrations`. */
export function registerTestConnections(
  app: OpenAPIHono<HttpEnv>,
  { vault, tests }: HttpDependencies,
  prefix: string,
): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: `${prefix}/sftp/test-connection`,
      tags: TAGS,
      summary: 'Test an SFTP connection',
      request: { body: bodyOf(SftpTestConnectionRequest) },
      responses: RESPONSES,
    }),
    async (c) => {
      const { port, auth_type: _, ...given } = c.req.valid('json');
      const credentials = withoutNulls({ ...given, port: String(port) });
      const { result } = await tests.testGiven(c.get('caller'), { service_id: 'sftp', credentials });
      return c.json({ success: result === 'valid' }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: `${prefix}/postgres/test-connection`,
      tags: TAGS,
      summary: 'Test a PostgreSQL connection',
      request: { body: bodyOf(PostgresCreateRequest) },
      responses: RESPONSES,
    }),
    async (c) => {
      const credentials = withoutNulls(c.req.valid('json'));
      const { result } = await tests.testGiven(c.get('caller'), { service_id: 'postgresql', credentials });
      return c.json({ success: result === 'valid' }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: `${prefix}/postgres/test-connection/{credential_id}`,
      tags: TAGS,
      summary: 'Test the PostgreSQL connection of a credential',
      request: { params: CredentialPath },
      responses: RESPONSES,
    }),
    async (c) => {
      const { credential_id } = c.req.valid('param');
      const { service_id } = await vault.credentials.get(c.get('caller'), credential_id);
      if (!POSTGRES_SERVICES.has(service_id))
        throw new VaultError('NOT_FOUND', 'No such PostgreSQL credential.');
      const { result } = await tests.testById(c.get('caller'), credential_id);
      return c.json({ success: result === 'valid' }, 200);
    },
  );
}

/** The fields with a value. */
function withoutNulls(fields: Readonly<Record<string, string | null | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, string] => typeof field[1] === 'string'),
  );
}
