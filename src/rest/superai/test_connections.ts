/**
 * Connection tests in the dialect of SuperAI Flow. What they are asked is checked; the tests themselves are not there
 * yet, and say so.
 */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { HttpError } from '../../http/error_response.ts';
import { bodyOf, jsonOf } from '../openapi/json_content.ts';
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
  501: jsonOf(ErrorResponse, 'There are no connection tests yet.'),
} as const;

/** Adds the routes below `prefix`, such as `/integrations`. */
export function registerTestConnections(
  app: OpenAPIHono<HttpEnv>,
  { vault }: HttpDependencies,
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
      throw notThereYet();
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
      throw notThereYet();
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
      await vault.credentials.get(c.get('caller'), c.req.valid('param').credential_id);
      throw notThereYet();
    },
  );
}

function notThereYet(): HttpError {
  return new HttpError(501, 'NOT_FOUND', 'Connections cannot be tested here yet.');
}
