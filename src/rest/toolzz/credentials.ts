/**
 * Credentials in the Toolzz dialect: create with values, then rename, move, switch off and on, and delete. No response
 * has a value, and an update takes none.
 */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import { credentialValues, typeOf } from './credential_values.ts';
import { toCredential } from './mapper.ts';
import {
  Credential,
  CredentialCreate,
  CredentialPath,
  CredentialUpdate,
  ERRORS,
  Message,
  WrittenCredential,
} from './schemas.ts';

const ALL = '/api/v1/credential';
const ONE = `${ALL}/{id}`;
const TAGS = ['Toolzz: credentials'];

export function registerCredentials(app: OpenAPIHono<HttpEnv>, dependencies: HttpDependencies): void {
  const { vault } = dependencies;

  app.openapi(
    createRoute({
      method: 'post',
      path: ALL,
      tags: TAGS,
      summary: 'Create a credential',
      request: { body: bodyOf(CredentialCreate) },
      responses: { 201: jsonOf(WrittenCredential, 'The credential was created.'), ...ERRORS },
    }),
    async (c) => {
      const { name, userId, unityId, integrationId, status, credentials } = c.req.valid('json');
      const service = vault.services.find(integrationId);
      if (service === undefined) throw new VaultError('NOT_FOUND', 'No such integration.');
      const info = await vault.credentials.create(c.get('caller'), {
        service_id: service.slug,
        credential_type: typeOf(service),
        credentials: credentialValues(service, credentials),
        name,
        user_id: userId,
        unit_id: unityId,
        inactive: !status,
      });
      return c.json({ message: 'Credential created successfully', ...toCredential(info, dependencies) }, 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'put',
      path: ONE,
      tags: TAGS,
      summary: 'Rename, move, or switch off and on',
      request: { params: CredentialPath, body: bodyOf(CredentialUpdate) },
      responses: { 200: jsonOf(WrittenCredential, 'The credential was updated.'), ...ERRORS },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { name, userId, unityId, integrationId, secretId, status } = c.req.valid('json');
      // Decided from the request alone, so it does not reveal whether the credential exists.
      if (secretId != null && secretId.toLowerCase() !== id.toLowerCase())
        throw new VaultError('INVALID_INPUT', 'secretId must be that of this credential.');
      const info = await vault.credentials.change(c.get('caller'), id, {
        service_id: integrationId,
        name,
        user_id: userId,
        unit_id: unityId,
        inactive: !status,
      });
      return c.json({ message: 'Credential updated successfully', ...toCredential(info, dependencies) }, 200);
    },
  );

  registerGetAndDelete(app, dependencies);
}

function registerGetAndDelete(app: OpenAPIHono<HttpEnv>, dependencies: HttpDependencies): void {
  const { vault } = dependencies;

  app.openapi(
    createRoute({
      method: 'get',
      path: ONE,
      tags: TAGS,
      summary: 'Get a credential',
      request: { params: CredentialPath },
      responses: { 200: jsonOf(Credential, 'The credential, without its values.'), ...ERRORS },
    }),
    async (c) => {
      const info = await vault.credentials.get(c.get('caller'), c.req.valid('param').id);
      return c.json(toCredential(info, dependencies), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'delete',
      path: ONE,
      tags: TAGS,
      summary: 'Delete a credential and destroy its values',
      request: { params: CredentialPath },
      responses: { 200: jsonOf(Message, 'The credential is deleted.'), ...ERRORS },
    }),
    async (c) => {
      await vault.credentials.delete(c.get('caller'), c.req.valid('param').id);
      return c.json({ message: 'Credential deleted successfully' }, 200);
    },
  );
}
