/** Connection tests in the SuperAI Flow dialect, of values in the body and of stored credentials. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { errorResponses, USE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import {
  CredentialPath,
  ERRORS,
  ErrorResponse,
  PostgresCreateRequest,
  SftpTestConnectionRequest,
  TestedConnection,
} from './schemas.ts';

const POSTGRES_SERVICES: ReadonlySet<string> = new Set(['postgresql', 'internal_postgresql']);
const TAGS = ['SuperAI Flow: connection tests'];
const RESPONSES = { 200: jsonOf(TestedConnection, 'Whether the connection works.'), ...ERRORS };
const STORED_RESPONSES = { ...RESPONSES, ...errorResponses(ErrorResponse, USE_ERRORS) };

/** The values that each way to log in needs. */
const LOGIN_FIELDS = {
  password: ['password'],
  user_password: ['password'],
  key_file: ['private_key_data', 'private_key_passphrase'],
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
      description: 'Logs in, and writes and removes a file in `test_path`. Needs the scope credentials:use.',
      request: { body: bodyOf(SftpTestConnectionRequest) },
      responses: RESPONSES,
    }),
    async (c) => {
      const { host, port, username, auth_type, test_path, ...given } = c.req.valid('json');
      const fields = LOGIN_FIELDS[auth_type];
      if ((given[fields[0]] ?? '') === '') return c.json(missingField(fields[0]), 422);
      const login = fields.map((field) => [field, given[field]] as const);
      const shared = { host, port: String(port), username, test_path };
      const credentials = givenOf([...Object.entries(shared), ...login]);
      const { reason } = await tests.testGiven(c.get('caller'), { service_id: 'sftp', credentials });
      // A folder that cannot be written to fails this test, though the credential is valid.
      return c.json({ success: reason === 'accepted' }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: 'post',
      path: `${prefix}/postgres/test-connection`,
      tags: TAGS,
      summary: 'Test a PostgreSQL connection',
      description: 'A connection string comes before the other fields. Needs the scope credentials:use.',
      request: { body: bodyOf(PostgresCreateRequest) },
      responses: RESPONSES,
    }),
    async (c) => {
      const credentials = givenOf(Object.entries(c.req.valid('json')));
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
      responses: STORED_RESPONSES,
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

/** The values that were given; an empty text is none. */
function givenOf(fields: readonly (readonly [string, string | null | undefined])[]): Record<string, string> {
  return Object.fromEntries(
    fields.flatMap(([field, value]) =>
      value === undefined || value === null || value === '' ? [] : [[field, value]],
    ),
  );
}

function missingField(field: string) {
  return { detail: [{ loc: ['body', field], msg: 'Field required', type: 'missing' }] };
}
