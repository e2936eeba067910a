/** POST /v1/services/{service_id}/call/raw: the body of a service, streamed. */
import { type IncomingMessage, request } from 'node:http';
import { afterEach, expect, test, vi } from 'vitest';
import { streamedBody } from '../../src/rest/danube/streamed_body.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { FULL_SERVER_OPTIONS } from '../kit/http/in_process_server.ts';
import { respond, truncated } from '../kit/upstream/handlers.ts';
import { type Handler, startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** A server with a credential of GitHub. */
async function open(handler: Handler) {
  await startUpstream(['api.github.com'], handler);
  const server = await startHttpServer({ ...FULL_SERVER_OPTIONS, env: upstreamEnv(temporaryFolder()) });
  await server.vault.store(server.caller(), {
    service_id: 'github',
    credential_type: 'bearer',
    credential_value: 'canary-3kQ8xVbN4kLp9RtZ',
  });
  const key = await server.key();
  const send = () =>
    request(`${server.url}/v1/services/github/call/raw`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    }).end('{"path":"/user"}');
  return { server, send };
}

/** The received body, and whether it is complete. */
async function read(response: IncomingMessage) {
  let text = '';
  response.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  response.on('error', () => undefined);
  await new Promise((resolve) => response.once('close', resolve));
  return { text, is_complete: response.complete };
}

const responseTo = (sent: ReturnType<typeof request>) =>
  new Promise<IncomingMessage>((resolve, reject) => sent.once('response', resolve).once('error', reject));

test('the connection ends if the service breaks off, and only the log has the reason', async () => {
  const printed = vi.spyOn(console, 'error').mockReturnValue();
  const { server, send } = await open(truncated('the beginning'));
  const response = await responseTo(send());
  expect(await read(response)).toEqual({ text: 'the beginning', is_complete: false });
  expect(printed.mock.calls).toEqual([]);
  expect(server.log.map((line) => JSON.stringify(line)).filter((line) => line.includes('broke off'))).toEqual(
    [expect.stringContaining(String(response.headers['x-request-id']))],
  );
});

test('a body without content has the status of the service in a header', async () => {
  const { send } = await open(respond(204));
  const response = await responseTo(send());
  expect([response.statusCode, response.headers['keyhold-status']]).toEqual([200, '204']);
  expect(await read(response)).toEqual({ text: '', is_complete: true });
});

test.each([
  ['before the headers', ''],
  ['in the body', 'the beginning'],
])(
  'a client that leaves %s ends the request to a service that is silent',
  async (_, beginning) => {
    let ended: () => void = () => undefined;
    const upstream_ended = new Promise<void>((resolve) => {
      ended = resolve;
    });
    let arrived: () => void = () => undefined;
    const upstream_arrived = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const { send } = await open((_request, response) => {
      response.once('close', ended);
      if (beginning !== '') response.writeHead(200).write(beginning);
      arrived();
    });
    const sent = send();
    sent.on('error', () => undefined);
    await (beginning === '' ? upstream_arrived : responseTo(sent));
    sent.destroy();
    await upstream_ended;
  },
  10_000,
);

/** Yields parts without end. `returned` resolves when the generator is returned. */
function endlessSource() {
  let resolveReturned: () => void = () => undefined;
  const returned = new Promise<void>((resolve) => {
    resolveReturned = resolve;
  });
  async function* yieldParts(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield new Uint8Array(10);
    } finally {
      resolveReturned();
    }
  }
  return { source: yieldParts(), returned };
}

test('a body that the client stops reading ends the connection and its source', async () => {
  const { source, returned } = endlessSource();
  const errors: unknown[] = [];
  const endConnection = (error: unknown) => errors.push(error) > 0;
  const reader = streamedBody(source, endConnection, 50).getReader();
  await reader.read();
  await returned;
  expect(errors).toMatchObject([{ message: 'The client does not read the response.' }]);
});

test('a body that the client reads slowly is not ended', async () => {
  const { source, returned } = endlessSource();
  const errors: unknown[] = [];
  const reader = streamedBody(source, (error) => errors.push(error) > 0, 200).getReader();
  for (let part = 0; part < 6; part++) {
    expect(await reader.read()).toMatchObject({ done: false });
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  await reader.cancel();
  await returned;
  expect(errors).toEqual([]);
});
