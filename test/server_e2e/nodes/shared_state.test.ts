/** State that a client depends on, made at one of two `keyhold serve` processes and used at the other. */
import { describe, expect, test } from 'vitest';
import { type ServeProcess, startServeProcess } from '../../kit/http/http_server.ts';
import { respondJson } from '../../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const UPDATES = 10;

async function startNodes(env: NodeJS.ProcessEnv = {}, home = temporaryFolder()) {
  const first = await startServeProcess({ home, env });
  return [first, await startServeProcess({ home, env })] as const;
}

/** Of the responses of these tests. */
interface Body {
  readonly id: string;
  readonly key: string;
  readonly handle: string;
  readonly replayed?: boolean;
  readonly truncated: { readonly response_id: string };
}

async function send(
  { url }: ServeProcess,
  key: string,
  path: string,
  init: { readonly method?: string; readonly body?: object; readonly headers?: Record<string, string> } = {},
) {
  const { method = 'GET', body, headers = {} } = init;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body };
}

/** For several starts of a process on a loaded machine. */
const LONG_MS = 180_000;

describe('two nodes', { timeout: LONG_MS }, () => {
  test('a key that is revoked at one node is refused by the next request at the other', async () => {
    const [first, second] = await startNodes();
    for (let round = 0; round < 5; round++) {
      const made = await send(first, first.admin_key, '/v1/api-keys', {
        method: 'POST',
        body: { name: `k${round}` },
      });
      expect(made.status).toBe(200);
      const { id, key } = made.body;
      expect((await send(second, key, '/v1/me')).status).toBe(200);
      expect((await send(first, first.admin_key, `/v1/api-keys/${id}`, { method: 'DELETE' })).status).toBe(
        200,
      );
      expect((await send(second, key, '/v1/me')).status).toBe(401);
    }
  });

  test('updates of one credential at both nodes are all kept, in some order', async () => {
    const [first, second] = await startNodes();
    const key = first.admin_key;
    const update = (node: ServeProcess, field: string) =>
      (async () => {
        const statuses: number[] = [];
        for (let count = 1; count <= UPDATES; count++) {
          const body = { service_id: 'twilio', credentials: { [field]: `${field}${count}` } };
          statuses.push((await send(node, key, '/v1/credentials/update', { method: 'POST', body })).status);
        }
        return statuses;
      })();
    const statuses = await Promise.all([
      update(first, 'twilio_api_key_secret'),
      update(second, 'twilio_auth_token'),
    ]);
    expect(new Set(statuses.flat())).toEqual(new Set([200]));
    await Promise.all([first.end(), second.end()]);
    const revealed = (await revealCredentials(first.home)).get('twilio');
    expect(revealed).toMatchObject({
      revision: 2 * UPDATES,
      values: {
        twilio_api_key_secret: `twilio_api_key_secret${UPDATES}`,
        twilio_auth_token: `twilio_auth_token${UPDATES}`,
      },
    });
    const { vault, caller } = await openTestVault(first.home, {}, 'no');
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });

  test('a call with an idempotency key is sent once, and its response has its next page at the other node', async () => {
    const lines = Array.from({ length: 400 }, (_, at) => `line ${at} ${'z'.repeat(100)}`);
    const upstream = await startUpstream(['api.linear.app'], respondJson({ lines }));
    const home = temporaryFolder();
    const [first, second] = await startNodes(upstreamEnv(home), home);
    const key = first.admin_key;
    const value = { service_id: 'linear', credential_type: 'bearer', credential_value: 'lin_api_nodes_1' };
    expect((await send(first, key, '/v1/credentials', { method: 'PUT', body: value })).status).toBe(200);
    // Each node knows the other, on a loaded machine too.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    const body = {
      method: 'POST',
      path: '/graphql',
      body: { query: 'q' },
      idempotency_key: 'once',
      max_chars: 1_000,
    };
    const sent = await Promise.all(
      [first, second].map((node) => send(node, key, '/v1/services/linear/call', { method: 'POST', body })),
    );
    expect(sent.map(({ status }) => status)).toEqual([200, 200]);
    expect(sent.filter(({ body: output }) => output.replayed === true)).toHaveLength(1);
    expect(upstream.requests).toHaveLength(1);
    const response_id = sent[0]?.body.truncated.response_id;
    const next = { response_id, offset: 20, max_chars: 1_000 };
    const pages = await Promise.all(
      [first, second].map((node) =>
        send(node, key, '/v1/services/linear/call', { method: 'POST', body: next }),
      ),
    );
    expect(pages.map(({ status }) => status)).toEqual([200, 200]);
    expect({ ...pages[1]?.body, latency_ms: 0 }).toEqual({ ...pages[0]?.body, latency_ms: 0 });
  });

  test('a handle of one node is declined at the other', async () => {
    const [first, second] = await startNodes();
    const key = first.admin_key;
    const post = async (node: ServeProcess, path: string, body: object) =>
      (await send(node, key, path, { method: 'POST', body })).body;
    const { handle } = await post(first, '/v1/handles', { service_id: 'linear', credential_type: 'bearer' });
    expect(await post(second, '/v1/handles/status', { handle })).toMatchObject({ state: 'pending' });
    expect(await post(second, '/v1/handles/decline', { handle })).toEqual({ success: true });
    expect(await post(first, '/v1/handles/status', { handle })).toMatchObject({ state: 'declined' });
  });
});
