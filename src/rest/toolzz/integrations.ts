/** Integrations in the Toolzz dialect: the services that the API key allows, and their icons. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { errorResponses, USE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, jsonOf } from '../openapi/schemas.ts';
import { visibleServices } from '../visible_services.ts';
import { formField, iconSvg, toIntegration } from './mapper.ts';
import {
  CredentialPath,
  ERRORS,
  IntegrationsStatus,
  Message,
  Validation,
  ValidationRequest,
} from './schemas.ts';

const TAGS = ['Toolzz: integrations'];
const SVG = 'image/svg+xml';

export function registerIntegrations(
  app: OpenAPIHono<HttpEnv>,
  { vault, public_url }: HttpDependencies,
): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/integration/status',
      tags: TAGS,
      summary: 'List the integrations',
      responses: {
        200: jsonOf(IntegrationsStatus, 'The integrations, in the order of their slugs.'),
        ...ERRORS,
      },
    }),
    (c) => {
      const integrations = visibleServices(c.get('caller'), vault.services).map((service) => {
        const { icon, ...integration } = toIntegration(service, public_url);
        const form = service.fields.map((field) => ({ ...formField(field), descrition: field.description }));
        return { integrations: { ...integration, form }, icon };
      });
      return c.json(integrations, 200);
    },
  );

  app.openapi(
    createRoute({
      method: 'get',
      path: '/api/v1/integration/{id}/icon',
      tags: TAGS,
      summary: 'Get the icon of an integration',
      request: { params: CredentialPath },
      responses: {
        200: { description: 'The icon.', content: { [SVG]: { schema: z.string() } } },
        ...ERRORS,
      },
    }),
    (c) => {
      const service = vault.services.find(c.req.valid('param').id);
      if (service === undefined) throw new VaultError('NOT_FOUND', 'No such integration.');
      return c.body(iconSvg(service), 200, { 'Content-Type': SVG });
    },
  );
}

/** The route that `validationEndpoint` names. */
export function registerValidation(app: OpenAPIHono<HttpEnv>, { vault, tests }: HttpDependencies): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/api/v1/integration/{id}/validation',
      tags: TAGS,
      summary: 'Validate a credential of an integration',
      request: { params: CredentialPath, body: bodyOf(ValidationRequest) },
      responses: {
        200: jsonOf(Validation, 'Whether the service accepts the credential.'),
        ...ERRORS,
        ...errorResponses(Message, USE_ERRORS),
      },
    }),
    async (c) => {
      const { credentialId } = c.req.valid('json');
      const service = vault.services.find(c.req.valid('param').id);
      const { service_id } = await vault.credentials.get(c.get('caller'), credentialId);
      if (service?.slug !== service_id) throw new VaultError('NOT_FOUND', 'No such credential.');
      const { result, reason, message } = await tests.testById(c.get('caller'), credentialId);
      return c.json({ valid: result === 'unknown' ? null : result === 'valid', reason, message }, 200);
    },
  );
}
