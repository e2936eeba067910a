/** Approvals: what waits for the decision of a person, and the decisions. The vault refuses an API key that may not decide. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { APPROVAL_LISTS, Approval, ApprovalChoice } from '../../contract/approval.ts';
import { OrganizationName } from '../../contract/caller.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { component, jsonOf, optionalBody } from '../openapi/schemas.ts';

const TAGS = ['Keyhold'];
const WHO =
  'Needs approvals:decide, which only a person grants, and never decides on a request that was made with the same API key.';

const ID = '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2';
const One = component('Approval', Approval).openapi({
  example: {
    id: ID,
    kind: 'request',
    state: 'pending',
    created_at: '2026-01-31T12:00:00.000Z',
    expires_at: '2026-01-31T13:00:00.000Z',
    organization: 'acme',
    user: 'ana',
    summary: 'POST https://api.github.com/repos/acme/web/issues',
    service_id: 'github',
    credential_id: '019c1000-0000-7000-8000-000000000000',
    stack_id: 'default',
    name: null,
    requested_by: 'rest, API key 019c1000-0000-7000-8000-000000000001',
    bound_origins: null,
    new_origins: null,
    fields: [],
    reason: 'Report the failed build.',
    headers: ['content-type: application/json'],
    body: '{"title":"Build failed"}',
    endpoint: 'POST https://api.github.com/repos/acme/web/issues',
    host: 'https://api.github.com',
    has_session: false,
    decided_at: null,
    decided_by: null,
    grant: null,
    access: null,
  },
});

const organization = OrganizationName.optional().meta({
  description: 'Another organization. For the operator only.',
});
const Query = z.strictObject({ organization });
const ApprovalPath = z.object({
  approval_id: z.string().openapi({ param: { name: 'approval_id', in: 'path' }, example: ID }),
});

const READ_ERRORS = { ...QUERY_ERRORS, 404: 'Unknown approval or organization, or that of another user.' };
const DECISION_ERRORS = {
  ...WRITE_ERRORS,
  404: READ_ERRORS[404],
  409: 'It was decided before, or what it is about has changed.',
};

const listRoute = createRoute({
  method: 'get',
  path: '/v1/approvals',
  tags: TAGS,
  operationId: 'listApprovals',
  summary: 'List approvals',
  description: `Newest first, 100 at most: about credentials of the user, or of the organization with org:admin. ${WHO}`,
  request: {
    query: z.strictObject({
      list: z.enum(APPROVAL_LISTS).optional().openapi({
        description:
          '`pending`, the default: waits for a decision. `in_force`: approvals of requests that permit uses. `decided`: of requests and access requests, until they expire.',
      }),
      organization,
    }),
  },
  responses: {
    200: jsonOf(z.object({ approvals: z.array(One) }).openapi('ApprovalList'), 'The approvals.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: 'Unknown organization.' }),
  },
});

const getRoute = createRoute({
  method: 'get',
  path: '/v1/approvals/{approval_id}',
  tags: TAGS,
  operationId: 'getApproval',
  summary: 'Get an approval',
  description: `The request or change in detail, without values. ${WHO}`,
  request: { params: ApprovalPath, query: Query },
  responses: { 200: jsonOf(One, 'The approval.'), ...errorResponses(CodedDetail, READ_ERRORS) },
});

const approveRoute = createRoute({
  method: 'post',
  path: '/v1/approvals/{approval_id}/approve',
  tags: TAGS,
  operationId: 'approve',
  summary: 'Approve',
  description: `Without a body, a request is approved once. \`for\`, \`minutes\` and \`each\` grant a request for longer, its endpoint or its host; \`use_policy\` limits the access that an access request gets. ${WHO}`,
  request: {
    params: ApprovalPath,
    query: Query,
    body: optionalBody(
      component('ApprovalChoice', ApprovalChoice).openapi({
        example: { for: 'duration', minutes: 30, each: 'endpoint' },
      }),
    ),
  },
  responses: { 200: jsonOf(One, 'The approval.'), ...errorResponses(CodedDetail, DECISION_ERRORS) },
});

const denyRoute = createRoute({
  method: 'post',
  path: '/v1/approvals/{approval_id}/deny',
  tags: TAGS,
  operationId: 'deny',
  summary: 'Deny',
  description: `What was requested never happens; new values are deleted. Not for a destination. ${WHO}`,
  request: { params: ApprovalPath, query: Query },
  responses: { 200: jsonOf(One, 'The approval.'), ...errorResponses(CodedDetail, DECISION_ERRORS) },
});

const revokeRoute = createRoute({
  method: 'post',
  path: '/v1/approvals/{approval_id}/revoke',
  tags: TAGS,
  operationId: 'revokeApproval',
  summary: 'Revoke an approval',
  description: `Ends an approval of a request that was not used yet, or a grant. The next such request needs a new one. ${WHO}`,
  request: { params: ApprovalPath, query: Query },
  responses: {
    200: jsonOf(One, 'The approval that has ended.'),
    ...errorResponses(CodedDetail, DECISION_ERRORS),
  },
});

export function registerApprovals(app: OpenAPIHono<HttpEnv>, { vault }: HttpDependencies): void {
  app.openapi(listRoute, async (c) => {
    const { list = 'pending', organization: name } = c.req.valid('query');
    return c.json({ approvals: [...(await vault.approvals.listOf(c.get('caller'), list, name))] }, 200);
  });

  app.openapi(getRoute, async (c) => {
    const { organization: name } = c.req.valid('query');
    return c.json(await vault.approvals.get(c.get('caller'), c.req.valid('param').approval_id, name), 200);
  });

  app.openapi(approveRoute, async (c) => {
    const { approval_id } = c.req.valid('param');
    const choice = c.get('body_text') === undefined ? {} : c.req.valid('json');
    const { organization: name } = c.req.valid('query');
    return c.json(await vault.approvals.approve(c.get('caller'), approval_id, name, choice), 200);
  });

  app.openapi(denyRoute, async (c) => {
    const { organization: name } = c.req.valid('query');
    return c.json(await vault.approvals.deny(c.get('caller'), c.req.valid('param').approval_id, name), 200);
  });

  app.openapi(revokeRoute, async (c) => {
    const { organization: name } = c.req.valid('query');
    return c.json(await vault.approvals.revoke(c.get('caller'), c.req.valid('param').approval_id, name), 200);
  });
}
