/** The credentials of a unit in the Toolzz dialect: all, of one type, or of one integration. */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { CredentialInfo } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { WHOLE_LIST_MAX } from '../../contract/limits.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import type { CredentialFilter } from '../../vault/credentials/filter.ts';
import type { Vault } from '../../vault/vault.ts';
import { jsonOf } from '../openapi/schemas.ts';
import {
  formField,
  integrationType,
  serviceOf,
  toBareCredential,
  toCredential,
  toIntegration,
} from './mapper.ts';
import {
  CredentialsOfIntegrations,
  ERRORS,
  type ListedCredential,
  UnityCredentials,
  UnityIntegrationPath,
  UnityPath,
  UnityTypePath,
} from './schemas.ts';

const UNITY = '/api/v1/credential/unity/{unityId}';
const TAGS = ['Toolzz: credentials of a unit'];
const LISTED = `newest first, ${WHOLE_LIST_MAX} at most. The header X-Keyhold-More: true means that there are more.`;
const OF_INTEGRATIONS = jsonOf(CredentialsOfIntegrations, `Credentials with their integrations, ${LISTED}`);

export function registerUnits(app: OpenAPIHono<HttpEnv>, dependencies: HttpDependencies): void {
  const { vault, public_url } = dependencies;
  const pair = (info: CredentialInfo) => {
    const service = serviceOf(info, dependencies);
    return {
      credentials: toBareCredential(info, service),
      integration: toIntegration(service, public_url),
    };
  };

  app.openapi(
    createRoute({
      method: 'get',
      path: UNITY,
      tags: TAGS,
      summary: 'List the credentials of a unit',
      request: { params: UnityPath },
      responses: { 200: jsonOf(UnityCredentials, `The credentials, ${LISTED}`), ...ERRORS },
    }),
    async (c) => {
      const unit_id = c.req.valid('param').unityId;
      const found = await list(vault, c, { unit_id });
      return c.json({ items: found.map((info) => toListed(info, dependencies)) }, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: `${UNITY}/type/{type}`,
      tags: TAGS,
      summary: 'List the credentials of a unit for one type of integration',
      request: { params: UnityTypePath },
      responses: { 200: OF_INTEGRATIONS, ...ERRORS },
    }),
    async (c) => {
      const { unityId: unit_id, type } = c.req.valid('param');
      // Uses the mapped service: one whose definition was removed has a type too.
      const includesService = (service_id: string) =>
        integrationType(serviceOf({ service_id }, dependencies)) === type;
      const found = await list(vault, c, { unit_id, includesService });
      return c.json(found.map(pair), 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: `${UNITY}/integration/{integrationId}`,
      tags: TAGS,
      summary: 'List the credentials of a unit for one integration',
      request: { params: UnityIntegrationPath },
      responses: { 200: OF_INTEGRATIONS, ...ERRORS },
    }),
    async (c) => {
      const { unityId: unit_id, integrationId } = c.req.valid('param');
      const id = integrationId.toLowerCase();
      const includesService = (service_id: string) => serviceOf({ service_id }, dependencies).id === id;
      const found = await list(vault, c, { unit_id, includesService });
      if (found.length === 0 && vault.services.find(id) === undefined)
        throw new VaultError('NOT_FOUND', 'No such integration.');
      return c.json(found.map(pair), 200);
    },
  );
}

async function list(vault: Vault, c: Context<HttpEnv>, filter: CredentialFilter) {
  const { credentials, more } = await vault.credentials.page(c.get('caller'), filter, WHOLE_LIST_MAX);
  if (more) c.header('X-Keyhold-More', 'true');
  return credentials;
}

/** Lists contain more of each field, and both spellings of the length. */
function toListed(info: CredentialInfo, dependencies: HttpDependencies): ListedCredential {
  const credential = toCredential(info, dependencies);
  const form = serviceOf(info, dependencies).fields.map((field) => ({
    ...formField(field),
    maxLength: field.max_length,
    description: field.description,
  }));
  return { ...credential, integration: { ...credential.integration, form } };
}
