/** Keyhold's own routes below `/v1/services`, which are of this dialect's group: requests to a service with a stored credential. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { ServiceId } from '../../contract/credential.ts';
import { describeFailure } from '../../contract/logger.ts';
import { CallInput } from '../../contract/use/call.ts';
import { CALL_HEADERS_HEADER, CALL_STATUS_HEADER } from '../../contract/use/call_headers.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, CallResult, jsonOf } from '../openapi/schemas.ts';
import { streamedBody } from './streamed_body.ts';

const TAGS = ['Keyhold'];
const request = {
  params: z.strictObject({ service_id: ServiceId }),
  body: bodyOf(CallInput.omit({ service_id: true }).openapi('CallInput')),
};
const ERRORS = {
  ...WRITE_ERRORS,
  404: 'Unknown service, credential or stored response.',
  410: 'The credential has expired.',
  502: 'The service did not respond.',
} as const;

const callRoute = createRoute({
  method: 'post',
  path: '/v1/services/{service_id}/call',
  tags: TAGS,
  operationId: 'callService',
  summary: 'Call a service',
  description:
    'As call_service: makes an HTTP request with the stored credential and returns the response without secret values. The status of the service is in the body. Needs the scope credentials:use.',
  request,
  responses: {
    200: jsonOf(CallResult, 'The service responded, with any status.'),
    ...errorResponses(CodedDetail, ERRORS),
  },
});

const rawRoute = createRoute({
  method: 'post',
  path: '/v1/services/{service_id}/call/raw',
  tags: TAGS,
  operationId: 'callServiceRaw',
  summary: 'Call a service and stream its response',
  description: `As the route above, but the body is that of the service, of any size, decoded and without secret values. ${CALL_STATUS_HEADER} has its status, ${CALL_HEADERS_HEADER} its useful headers as percent-encoded JSON. Not with select, max_chars, response_id, offset, idempotency_key or dry_run.`,
  request,
  responses: {
    200: {
      description: 'The body of the service.',
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
    },
    ...errorResponses(CodedDetail, ERRORS),
  },
});

export function registerServiceCalls(app: OpenAPIHono<HttpEnv>, { calls, log }: HttpDependencies): void {
  app.openapi(callRoute, async (c) => {
    const { output } = await calls.call(c.get('caller'), {
      ...c.req.valid('json'),
      service_id: c.req.valid('param').service_id,
    });
    return c.json(output, 200);
  });

  app.openapi(rawRoute, async (c) => {
    const input = { ...c.req.valid('json'), service_id: c.req.valid('param').service_id };
    // Aborted when the client closes the connection.
    const { signal } = c.req.raw;
    const { status, headers, body, hint, retry, retry_after } = await calls.stream(
      c.get('caller'),
      input,
      signal,
    );
    const endConnection = (error: unknown) => {
      log.warn({ request_id: c.get('request_id'), failure: describeFailure(error) }, 'a response broke off');
      c.env.incoming?.socket.destroy();
      return c.env.incoming !== undefined;
    };
    return new Response(streamedBody(body, endConnection), {
      headers: {
        'Content-Type': 'application/octet-stream',
        [CALL_STATUS_HEADER]: String(status),
        [CALL_HEADERS_HEADER]: encodeURIComponent(JSON.stringify({ headers, hint, retry, retry_after })),
      },
    });
  });
}
