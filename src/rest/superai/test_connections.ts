/** Connection tests in the SuperAI Flow dialect. Requests are validated; the response is 501, as tests do not exist yet. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import {
  CredentialPath,
  ERRORS,
  ErrorResponse,
  PostgresCreateRequest,
  SftpTestConnectionRequest,
  TestedConnection,
} from './schemas.ts';

const TAGS = ['SuperAI Flow: connection tests'];
const RESPONSES = {
  200: jsonOf(TestedConnection, 'The connection works.'),
  ...ERRORS,
  501: jsonOf(ErrorResponse, 'Connection tests are not implemented yet.'),
} as const;

/** Adds the routes under `prefix`, such as `/integrations`. */
export function registerTestConnections(
  app: OpenAPIHono<HttpEnv>,
  { tests }: HttpDependencies,
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
    () => {
      throw notImplementedError();
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
    () => {
      throw notImplementedError();
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
      const { result } = await tests.testById(c.get('caller'), c.req.valid('param').credential_id);
      return c.json({ success: result === 'valid' }, 200);
    },
  );
}

function notImplementedError(): VaultError {
  return new VaultError('NOT_IMPLEMENTED', 'Connections cannot be tested here yet.');
}
