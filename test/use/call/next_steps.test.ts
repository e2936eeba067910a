/** Every error of a call names the next step and whether the same call may succeed later, over every interface. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../../src/client/keyhold_client.ts';
import { type ErrorCode, VaultError } from '../../../src/contract/errors.ts';
import type { CallInput } from '../../../src/contract/use/call.ts';
import { egressError } from '../../../src/egress/errors.ts';
import { CallService } from '../../../src/use/call/call_service.ts';
import { withNextStep } from '../../../src/use/call/next_step.ts';
import { ValueProducer } from '../../../src/use/values/value_producer.ts';
import { ReferenceList } from '../../../src/vault/values/reference_list.ts';
import { keyhold } from '../../kit/child/cli.ts';
import { startHttpServer } from '../../kit/http/http_server.ts';
import { FULL_SERVER_OPTIONS } from '../../kit/http/in_process_server.ts';
import { decompressionBomb, respond, respondJson, truncated } from '../../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { BEARER, type CallSetup, definitionOf, HOST, openCalls } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';
const ACME = { service_id: 'acme' };

async function stepOf(call: Promise<unknown>) {
  const error: unknown = await call.then(
    () => undefined,
    (thrown) => thrown,
  );
  if (!(error instanceof VaultError)) throw new Error('no error of Keyhold');
  expect(error.next).toMatch(/[.`]$/);
  return { code: error.code, next: error.next, retry: error.retry, retry_after: error.retry_after };
}

interface Situation {
  readonly code: ErrorCode;
  readonly next: RegExp;
  readonly retry: boolean;
  readonly input?: Partial<CallInput>;
  readonly handler?: Parameters<typeof openCalls>[0];
  /** Before the call. */
  readonly prepare?: (setup: CallSetup) => Promise<unknown>;
}

const policy =
  (use_policy: object) =>
  async ({ vault, caller }: CallSetup) =>
    vault.use_policies.set({ ...caller(), edge: 'cli' }, { ...ACME, use_policy });

const SITUATIONS: Readonly<Record<string, Situation>> = {
  'an unknown argument': {
    code: 'INVALID_INPUT',
    next: /Correct the arguments/,
    retry: false,
    input: { select: '[' },
  },
  'an unknown service': {
    code: 'NOT_FOUND',
    next: /list_services/,
    retry: false,
    input: { service_id: 'nothing' },
  },
  'a service without a credential': {
    code: 'NOT_FOUND',
    next: /keyhold store github/,
    retry: false,
    input: { service_id: 'github' },
  },
  'a response that is no longer stored': {
    code: 'NOT_FOUND',
    next: /\w/,
    retry: false,
    input: { response_id: 'r_1', path: undefined },
  },
  'another host': {
    code: 'FORBIDDEN',
    next: /do not retry/,
    retry: false,
    input: { path: 'https://evil.test/' },
  },
  'a method outside of the policy': {
    code: 'FORBIDDEN',
    next: /policy allows/,
    retry: false,
    input: { method: 'DELETE' },
    prepare: policy({ methods: ['GET'] }),
  },
  'an ended right to use': {
    code: 'EXPIRED',
    next: /policy/,
    retry: false,
    prepare: policy({ expires_at: '2020-01-01T00:00:00Z' }),
  },
  'a use that needs an approval': {
    code: 'FORBIDDEN',
    next: /keyhold approvals show \S+`, then repeat the same call/,
    retry: false,
    prepare: policy({ approve: 'always' }),
  },
  'too many uses': {
    code: 'RATE_LIMITED',
    next: /Wait/,
    retry: true,
    prepare: async (setup) => {
      await policy({ calls_per_minute: 1 })(setup);
      await setup.call({ path: '/a' });
    },
  },
  'a rejected credential': {
    code: 'FORBIDDEN',
    next: /update_credentials.*keyhold store acme/,
    retry: false,
    handler: respondJson({}, 401),
    prepare: ({ call }) => call({ path: '/a' }),
  },
  'an incomplete credential': {
    code: 'INVALID_INPUT',
    next: /keyhold update twilio/,
    retry: false,
    input: { service_id: 'twilio' },
    prepare: ({ vault, caller }) =>
      vault.update(caller(), {
        service_id: 'twilio',
        credentials: { twilio_account_sid: `AC${'0'.repeat(32)}` },
      }),
  },
  'another request with the same idempotency key': {
    code: 'CONFLICT',
    next: /new idempotency_key/,
    retry: false,
    input: { idempotency_key: 'k' },
    prepare: ({ call }) => call({ path: '/other', idempotency_key: 'k' }),
  },
  'a body that is too large': {
    code: 'UPSTREAM',
    next: /smaller part/,
    retry: false,
    handler: decompressionBomb(50 * 1024 * 1024),
  },
  'an unknown coding': {
    code: 'UPSTREAM',
    next: /gzip/,
    retry: false,
    handler: respond(200, 'x', { 'content-encoding': 'compress' }),
  },
  'a response that breaks off': {
    code: 'UPSTREAM',
    next: /check whether it was made/,
    retry: true,
    handler: truncated(),
  },
  'a connection that is closed': {
    code: 'UPSTREAM',
    next: /check whether it was made/,
    retry: true,
    handler: (_request, response) => void response.destroy(),
  },
};

describe('an error of a call names the next step', () => {
  test.each(Object.entries(SITUATIONS))(
    'for %s',
    async (_what, { code, next, retry, input, handler, prepare }) => {
      const setup = await openCalls(handler ?? respondJson({}), { token: TOKEN });
      await prepare?.(setup);
      const call = { ...ACME, path: '/a', ...input };
      const defined = Object.fromEntries(Object.entries(call).filter(([, value]) => value !== undefined));
      const step = await stepOf(setup.calls.call(setup.caller(), defined as CallInput));
      expect(step).toMatchObject({ code, next: expect.stringMatching(next), retry });
      expect(step.retry_after).toEqual(code === 'RATE_LIMITED' ? expect.any(Number) : undefined);
    },
  );

  test('for a custom definition that has changed', async () => {
    const { home } = await openCalls(respondJson({}), { token: TOKEN });
    const definition = definitionOf(BEARER, { hosts: [HOST, 'other.acme.test'] });
    writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definition));
    const { calls, caller } = await openTestVault(home, upstreamEnv(home));
    expect(await stepOf(calls.call(caller(), { ...ACME, path: '/a' }))).toMatchObject({
      code: 'FORBIDDEN',
      next: expect.stringContaining('keyhold approvals show'),
      retry: false,
    });
  });

  test('for a host without an address, and for one with a refused address', async () => {
    const { vault, caller } = await openCalls(respondJson({}), { token: TOKEN });
    const values = new ValueProducer({
      references: { list: ReferenceList.NONE, env: {} },
      env: {},
      now: () => new Date(),
    });
    const callWith = (addresses: readonly string[]) => {
      const egress = openUpstreamEgress({ lookup: async () => addresses });
      return new CallService({ uses: vault.uses, egress, values }).call(caller(), { ...ACME, path: '/a' });
    };
    expect(await stepOf(callWith([]))).toMatchObject({
      code: 'UPSTREAM',
      next: expect.stringContaining('host'),
      retry: true,
    });
    expect(await stepOf(callWith(['10.1.2.3']))).toMatchObject({
      code: 'FORBIDDEN',
      next: expect.stringContaining('KEYHOLD_EGRESS_ALLOW'),
      retry: false,
    });
  });

  test.each([
    ['ECONNREFUSED', true],
    ['UND_ERR_CONNECT_TIMEOUT', true],
    ['UND_ERR_HEADERS_TIMEOUT', true],
    ['UND_ERR_BODY_TIMEOUT', true],
    ['UND_ERR_DESTROYED', true],
    ['CERT_HAS_EXPIRED', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', false],
    ['UND_ERR_HEADERS_OVERFLOW', false],
    ['EXAMPLE_OF_AN_UNKNOWN_CODE', true],
  ])('for the code %s of a connection', async (code, retry) => {
    const error = egressError(Object.assign(new Error('canary'), { code }));
    expect(await stepOf(Promise.reject(error))).toMatchObject({ code: 'UPSTREAM', retry });
  });

  test('for an unknown error, without its message', async () => {
    const step = await stepOf(Promise.reject(withNextStep(new TypeError('canary'), 'request-1')));
    expect(step).toMatchObject({ code: 'INTERNAL', retry: false });
    expect(withNextStep(new TypeError('canary'), 'request-1').message).toMatch(/request-1/);
  });
});

test.each([
  ['30', 30],
  [new Date(Date.now() + 60_000).toUTCString(), expect.any(Number)],
  ['soon', undefined],
])('a response 429 or 503 with Retry-After %s reports when to retry', async (value, retry_after) => {
  for (const status of [429, 503]) {
    const { call } = await openCalls(respond(status, '', { 'retry-after': value }), { token: TOKEN });
    const output = await call({ path: '/a' });
    expect(output).toMatchObject({ status, retry: true, hint: expect.stringMatching(/\.$/) });
    expect(output.retry_after).toEqual(retry_after);
  }
});

test('the next step reaches the REST API, the client and the command line', async () => {
  await startUpstream([HOST], respondJson({}));
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definitionOf(BEARER)));
  const env = upstreamEnv(temporaryFolder());
  const server = await startHttpServer({ ...FULL_SERVER_OPTIONS, home, env });
  await server.vault.update(server.caller(), { ...ACME, credentials: { token: TOKEN } });
  const use_policy = { calls_per_minute: 1 };
  await server.vault.use_policies.set({ ...server.caller(), edge: 'cli' }, { ...ACME, use_policy });
  const key = await server.key();
  const client = new KeyholdClient({ url: server.url, key });
  await client.callService({ ...ACME, path: '/a' });
  const step = { next: 'Wait, then repeat the same call.', retry: true, retry_after: expect.any(Number) };

  const response = await server.request('/v1/services/acme/call', {
    method: 'POST',
    key,
    body: '{"path":"/a"}',
  });
  expect([response.status, await response.json()]).toEqual([
    429,
    { code: 'RATE_LIMITED', detail: expect.any(String), ...step },
  ]);
  expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
  await expect(client.callService({ ...ACME, path: '/a' })).rejects.toMatchObject(step);
  await expect(client.streamService({ ...ACME, path: '/a' })).rejects.toMatchObject(step);
  const remote = { env: { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: key } };
  const { code, stderr } = await keyhold(home, ['call', 'acme', '/a', '--json'], remote);
  expect([code, JSON.parse(stderr)]).toMatchObject([9, { error: { code: 'RATE_LIMITED', ...step } }]);
  const text = await keyhold(home, ['call', 'acme', '/a'], remote);
  expect(text.stderr).toMatch(/^error: .*\n.*Wait, then repeat the same call\.\n$/s);
});
