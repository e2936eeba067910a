/** POST /v1/services/{service_id}/call/raw: the body of a service, streamed. */
import { type IncomingMessage, request } from 'node:http';
import { afterEach, expect, test, vi } from 'vitest';
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
