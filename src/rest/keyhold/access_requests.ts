/** Access requests: a program requests a service from a person, in the catalogue or not. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { AccessRequest, RequestAccessInput } from '../../contract/access_request.ts';
import { CredentialStatusInput } from '../../contract/credential.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { findAccessRequest, requestAccess } from '../../use/access_requests.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, jsonOf } from '../openapi/schemas.ts';
import { pagesOf } from './pages.ts';

const TAGS = ['Keyhold'];

const Requested = component('AccessRequest', AccessRequest).openapi({
  example: {
    approval_id: '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2',
    service_id: 'github',
    code: 'K7M-4QX',
    expires_at: '2026-02-01T12:00:00.000Z',
    state: 'pending',
    url: 'https://keyhold.example.com/dashboard/approvals/8f14e45f-ceea-467f-9575-0d0e7ad4a1c2',
  },
});

const requestRoute = createRoute({
  method: 'post',
  path: '/v1/access-requests',
  tags: TAGS,
  operationId: 'requestAccess',
  summary: 'Request a service',
  description:
    'As request_access: names a service, or the `base_url` and the `fields` of one that is not in the catalogue. The person decides at `url`, sets limits and then enters the values. A request for the same credential that waits is returned again. Needs credentials:use.',
  request: {
    body: bodyOf(
      component('RequestAccessInput', RequestAccessInput).openapi({
        example: { service_id: 'github', reason: 'To list the open issues.' },
      }),
    ),
  },
  responses: {
    200: jsonOf(Requested, 'The request. `approved`: a person accepted it before.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown service or stack.' }),
  },
});

const statusRoute = createRoute({
  method: 'get',
  path: '/v1/access-requests',
  tags: TAGS,
  operationId: 'getAccessRequest',
  summary: 'Check an access request',
  description: 'The access request for one credential. Needs credentials:read.',
  request: { query: z.strictObject(CredentialStatusInput.shape) },
  responses: {
    200: jsonOf(
      z.object({ access_request: z.union([Requested, z.null()]) }),
      'A request that waits or was accepted; null without one, and once the values are stored.',
    ),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown stack.' }),
  },
});

export function registerAccessRequests(app: OpenAPIHono<HttpEnv>, parts: HttpDependencies): void {
  const context = { vault: parts.vault, pages: pagesOf(parts) };

  app.openapi(requestRoute, async (c) =>
    c.json(await requestAccess(context, c.get('caller'), c.req.valid('json')), 200),
  );

  app.openapi(statusRoute, async (c) => {
    const access_request = await findAccessRequest(context, c.get('caller'), c.req.valid('query'));
    return c.json({ access_request }, 200);
  });
}
