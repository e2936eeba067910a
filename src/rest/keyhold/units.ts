/** The units of an organization. */

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { UnitInfo, UnitName } from '../../contract/api_key.ts';
import { OrganizationName } from '../../contract/caller.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { component } from '../openapi/component.ts';
import { bodyOf, jsonOf } from '../openapi/json_content.ts';
import { codedErrors, TAKES_BODY, TAKES_QUERY } from '../openapi/responses.ts';

const TAGS = ['Keyhold'];
const Unit = component('Unit', UnitInfo);
const organization = OrganizationName.optional();

const listRoute = createRoute({
  method: 'get',
  path: '/v1/units',
  tags: TAGS,
  operationId: 'listUnits',
  summary: 'List units',
  description: 'The units of your organization, newest first; of another one, for who runs the installation.',
  request: { query: z.strictObject({ organization }) },
  responses: {
    200: jsonOf(z.object({ units: z.array(Unit) }), 'The units.'),
    ...codedErrors({ ...TAKES_QUERY, 404: 'There is no such organization.' }),
  },
});

const createUnitRoute = createRoute({
  method: 'post',
  path: '/v1/units',
  tags: TAGS,
  operationId: 'createUnit',
  summary: 'Create a unit',
  description: 'Makes a unit, or answers with the one of that name. Needs the scope org:admin.',
  request: { body: bodyOf(z.strictObject({ name: UnitName, organization }).openapi('NewUnit')) },
  responses: {
    200: jsonOf(Unit, 'The unit.'),
    ...codedErrors({ ...TAKES_BODY }),
  },
});

export function registerUnits(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const { organization: name } = c.req.valid('query');
    return c.json({ units: [...(await vault.organizations.listUnits(c.get('caller'), name))] }, 200);
  });

  app.openapi(createUnitRoute, async (c) => {
    const { name, organization: where } = c.req.valid('json');
    return c.json(await vault.organizations.createUnit(c.get('caller'), name, where), 200);
  });
}
