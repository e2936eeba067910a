/** Integrations in the Toolzz dialect: the services that the API key allows, and their icons. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { VaultError } from '../../contract/errors.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { jsonOf } from '../openapi/schemas.ts';
import { visibleServices } from '../visible_services.ts';
import { formField, iconSvg, toIntegration } from './mapper.ts';
import { CredentialPath, ERRORS, IntegrationsStatus } from './schemas.ts';

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
