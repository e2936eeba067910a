/**
 * Connections with OAuth: a program starts one, a person permits it at the provider. No route takes a code or a state: the
 * browser of the person ends it at the callback of the pages, signed in as the same user.
 */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import {
  ConnectDescription,
  ConnectInput,
  DeviceState,
  StartedConnection,
  StartedDevice,
} from '../../contract/connection.ts';
import { callbackUrl } from '../../contract/pages.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, jsonOf } from '../openapi/schemas.ts';

const TAGS = ['Keyhold'];
const ID = '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2';

const Input = component('ConnectInput', ConnectInput).openapi({ example: { service_id: 'github' } });
const Description = component('ConnectDescription', ConnectDescription).openapi({
  example: {
    service_id: 'github',
    service_name: 'GitHub',
    grants: ['authorization_code', 'device_code'],
    fields: [{ field_id: 'github_client_id', required: true, added: true }],
    scopes: ['repo'],
    authorization_origin: 'https://github.com',
    status: 'needs_reconnect',
  },
});
const Started = component('StartedConnection', StartedConnection).openapi({
  example: {
    authorization_url:
      'https://github.com/login/oauth/authorize?response_type=code&client_id=Iv1.8a61f9b3a7aba766&state=...',
    expires_at: '2026-01-31T12:10:00.000Z',
  },
});
const device = {
  device_id: ID,
  user_code: 'WDJB-MJHT',
  verification_uri: 'https://github.com/login/device',
  verification_uri_complete: null,
  expires_at: '2026-01-31T12:15:00.000Z',
  interval_ms: 5000,
};
const Device = component('StartedDevice', StartedDevice).openapi({ example: device });
const State = component('DeviceState', DeviceState).openapi({ example: { state: 'pending', device } });

const START_ERRORS = {
  ...WRITE_ERRORS,
  400: 'The request is invalid, the service has no such grant, or a required field has no value.',
  404: 'Unknown service or stack.',
  409: 'A person must decide on the destination first, or a concurrent write was first.',
};

const describeRoute = createRoute({
  method: 'get',
  path: '/v1/connections',
  tags: TAGS,
  operationId: 'describeConnection',
  summary: 'Describe how a service is connected',
  description:
    'The grants of RFC 6749 and RFC 8628 that a person can use, the fields that are stored before, the scopes, and the present status. Needs credentials:read.',
  request: { query: ConnectInput.omit({ scopes: true }) },
  responses: {
    200: jsonOf(Description, 'How a person connects the credential.'),
    ...errorResponses(CodedDetail, {
      400: 'The query is invalid, or the service is not connected with OAuth.',
      404: 'Unknown service or stack.',
    }),
  },
});

const startRoute = createRoute({
  method: 'post',
  path: '/v1/connections',
  tags: TAGS,
  operationId: 'startConnection',
  summary: 'Start a connection',
  description:
    'Starts an authorization code grant with PKCE. Open `authorization_url` in the browser of the person, who is signed in on the pages of this server as the same user: the callback there ends it, once within ten minutes. The redirect URI is `<public URL>/dashboard/oauth/callback`. Then request the status of the credential. Nothing is sent to the provider before. Needs credentials:write.',
  request: { body: bodyOf(Input) },
  responses: {
    200: jsonOf(Started, 'The URL for the browser of the person.'),
    ...errorResponses(CodedDetail, START_ERRORS),
  },
});

const startDeviceRoute = createRoute({
  method: 'post',
  path: '/v1/connections/device',
  tags: TAGS,
  operationId: 'startDeviceConnection',
  summary: 'Start a connection with a device code',
  description:
    'Give `user_code` and `verification_uri` to the person, who enters the code there. This server polls the provider; request the state, at most every `interval_ms`, with the same API key. Needs credentials:write.',
  request: { body: bodyOf(Input) },
  responses: {
    200: jsonOf(Device, 'The code for the person.'),
    ...errorResponses(CodedDetail, { ...START_ERRORS, 502: 'The provider returned no code.' }),
  },
});

const deviceStateRoute = createRoute({
  method: 'get',
  path: '/v1/connections/device/{device_id}',
  tags: TAGS,
  operationId: 'getDeviceConnection',
  summary: 'Check a connection with a device code',
  description:
    'Whether the person has entered the code. Only for the API key that started it, in the process that started it, until an hour after the end. Needs credentials:read.',
  request: {
    params: z.object({
      device_id: z.string().openapi({ param: { name: 'device_id', in: 'path' }, example: ID }),
    }),
  },
  responses: {
    200: jsonOf(State, 'The state: `pending`, `connected`, `declined`, `expired` or `failed`.'),
    ...errorResponses(CodedDetail, {
      ...QUERY_ERRORS,
      404: 'Unknown connection, or that of another caller.',
    }),
  },
});

export function registerConnections(app: OpenAPIHono<HttpEnv>, parts: HttpDependencies): void {
  const { connections, public_url } = parts;

  app.openapi(describeRoute, async (c) =>
    c.json(await connections.describe(c.get('caller'), c.req.valid('query')), 200),
  );

  app.openapi(startRoute, async (c) => {
    const redirect_uri = callbackUrl(public_url);
    return c.json(await connections.start(c.get('caller'), c.req.valid('json'), redirect_uri), 200);
  });

  app.openapi(startDeviceRoute, async (c) =>
    c.json(await connections.startDevice(c.get('caller'), c.req.valid('json')), 200),
  );

  app.openapi(deviceStateRoute, async (c) => {
    const { device_id } = c.req.valid('param');
    return c.json(await connections.deviceState(c.get('caller'), device_id), 200);
  });
}
