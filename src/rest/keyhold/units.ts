/** The units of an organization. */

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { UnitInfo, UnitName } from '../../contract/api_key.ts';
import { OrganizationName } from '../../contract/caller.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, jsonOf } from '../openapi/schemas.ts';

const TAGS = ['Keyhold'];
const Unit = component('Unit', UnitInfo);
const organization = OrganizationName.optional();

const listRoute = createRoute({
  method: 'get',
  path: '/v1/units',
  tags: TAGS,
  operationId: 'listUnits',
  summary: 'List units',
  description: 'The units of your organization, newest first. The operator may name another organization.',
  request: { query: z.strictObject({ organization }) },
  responses: {
    200: jsonOf(z.object({ units: z.array(Unit) }), 'The units.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown organization.' }),
  },
});

const createUnitRoute = createRoute({
  method: 'post',
  path: '/v1/units',
  tags: TAGS,
  operationId: 'createUnit',
  summary: 'Create a unit',
  description: 'Creates a unit, or returns the existing one of that name. Needs the scope org:admin.',
  request: { body: bodyOf(z.strictObject({ name: UnitName, organization }).openapi('NewUnit')) },
  responses: {
    200: jsonOf(Unit, 'The unit.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS }),
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
