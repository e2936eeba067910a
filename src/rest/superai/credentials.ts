/**
 * Credentials in the SuperAI Flow dialect. The provider is the slug of the service, and an update replaces all values.
 * One route returns values; it needs the scope values:reveal.
 */
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import type { CredentialInfo } from '../../contract/credential.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import { formatAlternatives } from './pydantic_errors.ts';
import {
  CredentialPath,
  CredentialsResponse,
  ERRORS,
  ProviderPath,
  RevealedCredentials,
  SUPERAI_PROVIDERS,
  UserIntegrationCredentialsCreate,
  UserIntegrationCredentialsUpdate,
} from './schemas.ts';

const TAGS = ['SuperAI Flow: credentials'];
const UNKNOWN_PROVIDER = `Input should be ${formatAlternatives(SUPERAI_PROVIDERS)}, or another provider of the catalog`;
const unknownProvider = (target: 'body' | 'path') => ({
  detail: [{ loc: [target, 'provider'], msg: UNKNOWN_PROVIDER, type: 'enum' }],
});

const stored = jsonOf(CredentialsResponse, 'The credential, without its values.');
const ONE = '/credentials/{credential_id}';

/** Adds the routes under `prefix`, such as `/integrations`. */
export function registerCredentials(
  app: OpenAPIHono<HttpEnv>,
  dependencies: HttpDependencies,
  prefix: string,
): void {
  registerCollection(app, dependencies, prefix);
  registerReadAndReplace(app, dependencies, prefix);
  registerDeleteAndReveal(app, dependencies, prefix);
}

/** Create and list. */
function registerCollection(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies, prefix: string): void {
  const all = `${prefix}/credentials`;
  const show = (info: CredentialInfo) => toResponse(info, vault.services);
  const listed = jsonOf(CredentialsResponse.array(), 'The credentials, newest first, 100 at most.');

  app.openapi(
    createRoute({
      method: 'post',
      path: all,
      tags: TAGS,
      summary: 'Create a credential',
      request: { body: bodyOf(UserIntegrationCredentialsCreate) },
      responses: { 201: stored, ...ERRORS },
    }),
    async (c) => {
      const { name, provider, credential_type, credentials } = c.req.valid('json');
      const service = vault.services.find(provider);
      if (service === undefined) return c.json(unknownProvider('body'), 422);
      const input = { service_id: service.slug, name, credential_type, credentials };
      return c.json(show(await vault.credentials.create(c.get('caller'), input)), 201);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: all,
      tags: TAGS,
      summary: 'List credentials',
      responses: { 200: listed, ...ERRORS },
    }),
    async (c) => c.json((await vault.credentials.list(c.get('caller'))).map(show), 200),
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: `${all}/provider/{provider}`,
      tags: TAGS,
      summary: 'List credentials of one provider',
      request: { params: ProviderPath },
      responses: { 200: listed, ...ERRORS },
    }),
    async (c) => {
      const service = vault.services.find(c.req.valid('param').provider);
      if (service === undefined) return c.json(unknownProvider('path'), 422);
      const found = await vault.credentials.list(c.get('caller'), { service_id: service.slug });
      return c.json(found.map(show), 200);
    },
  );
}

function registerReadAndReplace(
  app: OpenAPIHono<HttpEnv>,
  { vault }: HttpDependencies,
  prefix: string,
): void {
  const one = `${prefix}${ONE}`;
  const show = (info: CredentialInfo) => toResponse(info, vault.services);

  app.openapi(
    createRoute({
      method: 'get',
      path: one,
      tags: TAGS,
      summary: 'Get a credential without its values',
      request: { params: CredentialPath },
      responses: { 200: stored, ...ERRORS },
    }),
    async (c) => {
      const { credential_id } = c.req.valid('param');
      return c.json(show(await vault.credentials.get(c.get('caller'), credential_id)), 200);
    },
  );

  // PATCH is the newer name of the same operation; it replaces all values too.
  for (const method of ['put', 'patch'] as const) {
    app.openapi(
      createRoute({
        method,
        path: one,
        tags: TAGS,
        summary: 'Replace all values of a credential',
        request: { params: CredentialPath, body: bodyOf(UserIntegrationCredentialsUpdate) },
        responses: { 200: stored, ...ERRORS },
      }),
      async (c) => {
        const { credential_id } = c.req.valid('param');
        const { name, ...input } = c.req.valid('json');
        const replacement = { ...input, name: name ?? undefined };
        return c.json(
          show(await vault.credentials.replace(c.get('caller'), credential_id, replacement)),
          200,
        );
      },
    );
  }
}

function registerDeleteAndReveal(
  app: OpenAPIHono<HttpEnv>,
  { vault }: HttpDependencies,
  prefix: string,
): void {
  const one = `${prefix}${ONE}`;

  app.openapi(
    createRoute({
      method: 'delete',
      path: one,
      tags: TAGS,
      summary: 'Delete a credential and destroy its values',
      request: { params: CredentialPath },
      responses: { 204: { description: 'The credential is deleted.' }, ...ERRORS },
    }),
    async (c) => {
      await vault.credentials.delete(c.get('caller'), c.req.valid('param').credential_id);
      return c.body(null, 204);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: `${one}/credentials`,
      tags: TAGS,
      summary: 'Get the values of a credential',
      description:
        'Needs the scope values:reveal, which a key has only if it was created with it. Otherwise 403.',
      request: { params: CredentialPath },
      responses: { 200: jsonOf(RevealedCredentials, 'Field to value.'), ...ERRORS },
    }),
    async (c) => {
      const values = await vault.credentials.reveal(c.get('caller'), c.req.valid('param').credential_id);
      const revealed = [...values].map(([field, value]) => [field, value.reveal()] as const);
      return c.json(Object.fromEntries(revealed), 200);
    },
  );
}

function toResponse(info: CredentialInfo, services: ServiceCatalogue): CredentialsResponse {
  return {
    id: info.id,
    created_at: info.created_at,
    updated_at: info.updated_at,
    modified_by: info.modified_by,
    user_id: info.user_id,
    name: info.name ?? services.find(info.service_id)?.name ?? info.service_id,
    provider: info.service_id,
  };
}
