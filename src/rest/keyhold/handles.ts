/**
 * Handles: requests for values that a person enters on a page. A handle is in bodies, never in a path, since URLs are logged by
 * proxies. No route completes one: the page does.
 */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { HandleInput, PendingHandle, PolledHandle } from '../../contract/handle.ts';
import { ID_MAX_CHARACTERS } from '../../contract/limits.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { createHandle, pollHandle } from '../../use/handle_results.ts';
import { CodedDetail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, jsonOf } from '../openapi/schemas.ts';
import { pagesOf } from './pages.ts';

const TAGS = ['Keyhold'];

const GivenHandle = z
  .strictObject({
    handle: z.string().max(ID_MAX_CHARACTERS).openapi({ example: 'kZ2vJ0yQ1c9mB7xT4uW5rA' }),
  })
  .openapi('GivenHandle');

const NewHandle = component('PendingHandle', PendingHandle).openapi({
  example: {
    status: 'pending_user_input',
    url: 'https://keyhold.example.com/dashboard/enter/kZ2vJ0yQ1c9mB7xT4uW5rA',
    code: '7K4-Q2M',
    handle: 'kZ2vJ0yQ1c9mB7xT4uW5rA',
    expires_at: '2026-01-31T12:10:00.000Z',
    retry_after_ms: 3000,
    service_name: 'Linear',
    credential_id: null,
    fields: ['linear_api_key'],
  },
});

const State = component('HandleStatus', PolledHandle).openapi({
  example: {
    state: 'pending',
    code: '7K4-Q2M',
    expires_at: '2026-01-31T12:10:00.000Z',
    service_id: 'linear',
    stack_id: 'default',
    name: null,
    retry_after_ms: 3000,
  },
});

const createHandleRoute = createRoute({
  method: 'post',
  path: '/v1/handles',
  tags: TAGS,
  operationId: 'createHandle',
  summary: 'Request values from a person',
  description:
    'As store_credential and update_credentials without a value. Give `url` and `code` to the person, who signs in there and enters the values; then request the state with `handle`, at most every `retry_after_ms`. With `credential_type` one value is stored, without it the `fields` are updated. Ten minutes, one use. Needs credentials:write.',
  request: { body: bodyOf(component('HandleInput', HandleInput)) },
  responses: {
    200: jsonOf(NewHandle, 'The page on which the person enters the values.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown service or stack.' }),
  },
});

const statusRoute = createRoute({
  method: 'post',
  path: '/v1/handles/status',
  tags: TAGS,
  operationId: 'getHandle',
  summary: 'Check a handle',
  description:
    'Whether the person has entered the values. Only for the API key that requested them. Needs credentials:read.',
  request: { body: bodyOf(GivenHandle) },
  responses: {
    200: jsonOf(State, 'The state: `pending`, `done`, `declined` or `expired`.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown handle, or that of another caller.' }),
  },
});

const declineRoute = createRoute({
  method: 'post',
  path: '/v1/handles/decline',
  tags: TAGS,
  operationId: 'declineHandle',
  summary: 'Decline a handle',
  description: 'Ends a handle of the user without values. Needs credentials:write.',
  request: { body: bodyOf(GivenHandle) },
  responses: {
    200: jsonOf(z.object({ success: z.literal(true) }), 'The handle has ended. Nothing was stored.'),
    ...errorResponses(CodedDetail, {
      ...WRITE_ERRORS,
      404: 'Unknown handle, or that of another user.',
      410: 'The handle was used, declined or has expired.',
    }),
  },
});

export function registerHandles(app: OpenAPIHono<HttpEnv>, parts: HttpDependencies): void {
  const { vault } = parts;
  const context = { vault, pages: pagesOf(parts) };

  app.openapi(createHandleRoute, async (c) =>
    c.json(await createHandle(context, c.get('caller'), c.req.valid('json')), 200),
  );

  app.openapi(statusRoute, async (c) =>
    c.json(await pollHandle(context, c.get('caller'), c.req.valid('json').handle), 200),
  );

  app.openapi(declineRoute, async (c) => {
    await vault.handles.decline(c.get('caller'), c.req.valid('json').handle);
    return c.json({ success: true } as const, 200);
  });
}
