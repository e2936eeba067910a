/** Keyhold's own routes below `/v1/services`, which are of this dialect's group: requests to a service with a stored credential. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { CallInput } from '../../contract/call.ts';
import { CALL_HEADERS_HEADER, CALL_STATUS_HEADER } from '../../contract/call_headers.ts';
import { ServiceId } from '../../contract/credential.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, CallResult, jsonOf } from '../openapi/schemas.ts';

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

export function registerServiceCalls(app: OpenAPIHono<HttpEnv>, { calls }: HttpDependencies): void {
  app.openapi(callRoute, async (c) => {
    const { output } = await calls.call(c.get('caller'), {
      ...c.req.valid('json'),
      service_id: c.req.valid('param').service_id,
    });
    return c.json(output, 200);
  });

  app.openapi(rawRoute, async (c) => {
    const { status, headers, hint, body } = await calls.stream(c.get('caller'), {
      ...c.req.valid('json'),
      service_id: c.req.valid('param').service_id,
    });
    return new Response(streamOf(body), {
      headers: {
        'Content-Type': 'application/octet-stream',
        [CALL_STATUS_HEADER]: String(status),
        [CALL_HEADERS_HEADER]: encodeURIComponent(JSON.stringify({ headers, hint })),
      },
    });
  });
}

/** Reads as fast as the client does. An error ends the connection, so that the client sees that the body is incomplete. */
function streamOf(body: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const part = await body.next();
      if (part.done) controller.close();
      else if (part.value.length > 0) controller.enqueue(part.value);
      else await this.pull?.(controller);
    },
    async cancel() {
      await body.return(undefined);
    },
  });
}
