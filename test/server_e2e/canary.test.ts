/**
 * The canary over HTTP: a value stored through every dialect and tool, and sent in every wrong position of every
 * operation. It must not appear in responses, process output, metrics, audit logs or files.
 */
import { expect, test } from 'vitest';
import { NEW_KEY_SCOPES } from '../../src/contract/caller.ts';
import { type Canary, findCanary, findCanaryInFiles, findText, newCanary } from '../kit/canary.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import type { TestRequest } from '../kit/http/in_process_server.ts';
import { KeepAliveClient } from '../kit/http/keep_alive.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { type Fixtures, fixturesOf, person } from './fixtures.ts';
import { injectionPointsIn } from './injection_points.ts';
import { inVault } from './load/targets.ts';
import { OPERATIONS } from './operations/operations.ts';

const TIMEOUT_MS = 120_000;
/** Its responses take five seconds, so its requests are sent at the same time. */
const TESTS_VALUES = 'POST /integrations/sftp/test-connection';
/**
 * Names that callers choose, and that are shown and logged: a value does not belong there. A dry run shows the path of the
 * request, a batch the ids of its tools.
 */
const NAMES: ReadonlySet<string> = new Set([
  ...['name', 'stack_name', 'enabled_tools', '0', 'stack_id', 'path', 'tool_id'],
]);
/** Objects whose keys are field names, which some services let the caller choose. */
const FREE_KEYS = /\bcredentials$/;

/** Requests with the canary where a value does not belong. */
function wrongRequests(
  operation: (typeof OPERATIONS)[number],
  fixtures: Fixtures,
  key: string,
  { value, word }: Canary,
): TestRequest[] {
  const good = operation.request(fixtures, key);
  const injected = injectionPointsIn(operation, good)
    .filter(({ name, where }) => !NAMES.has(name) || (where.startsWith('path') && good.method === 'GET'))
    // JSON-RPC returns the id of a message in its response.
    .filter(({ where }) => where !== 'body id' && !(where.startsWith('key') && FREE_KEYS.test(where)))
    .flatMap(({ put, where }) => [
      ...[put(value), put(word), put([value])],
      ...(FREE_KEYS.test(where) ? [] : [put({ [word]: value })]),
    ]);
  const json = good.body === undefined ? '{}' : JSON.stringify(good.body);
  const bodies = [
    `${json.slice(0, -1)},"${word}":`,
    `"${word}"`,
    word,
    json.replace('{', `{"${word}":1,"${word}":2,`),
    json.replace('{', `{"__proto__":{"${word}":1},`),
  ];
  const headers = [
    { 'content-type': `text/${word}` },
    { accept: word },
    {
      cookie: `session=${word}`,
      'user-agent': word,
      referer: `https://example.com/${word}`,
      'x-request-id': word,
    },
    { origin: `https://${word}.example` },
    { host: `${word}.example` },
    { authorization: `Bearer ${word}` },
    { 'x-api-key': word },
    { 'x-forwarded-for': word, 'x-forwarded-host': word },
    { 'mcp-protocol-version': word, 'mcp-method': word, 'mcp-name': word, 'mcp-session-id': word },
  ];
  const separator = good.path.includes('?') ? '&' : '?';
  return [
    ...injected,
    ...(good.method === 'GET' ? [] : bodies.map((body) => ({ ...good, body }))),
    ...headers.map((given) => ({ ...good, headers: { ...good.headers, ...given } })),
    { ...good, path: `${good.path}${separator}${word}=1&extra=${encodeURIComponent(value)}` },
    { ...good, path: `${good.path.split('?')[0]}/${word}` },
    { ...good, path: `/${word}${good.path}` },
  ];
}

/** The body of every page of an audit log. */
async function auditOf(client: KeepAliveClient, key: string): Promise<string> {
  const pages: string[] = [];
  let before = '';
  for (;;) {
    const { text } = await client.send({ method: 'GET', path: `/v1/audit${before}`, key });
    pages.push(text);
    const { next }: { next: number | null } = JSON.parse(text);
    if (next === null) return pages.join();
    before = `?before=${next}`;
  }
}

/** Every line is JSON, with a known message. */
function expectLines(server: ServeProcess): void {
  const lines = server
    .stderr()
    .split('\n')
    .filter((line) => line !== '');
  const known = [
    ...['listening', 'verified audit logs', 'stopping', 'stopped'],
    ...['request', 'request failed', 'invalid MCP request'],
  ];
  for (const line of lines) expect(known).toContain((JSON.parse(line) as { msg: string }).msg);
  expect(lines.length).toBeGreaterThan(1_000);
}

test(
  'a value that is sent in any position of any operation appears in no output',
  async () => {
    const canary = newCanary();
    const home = temporaryFolder();
    const prepared = await inVault(home, async (tenants) => {
      const ann = await person(
        { tenants },
        {
          organization: 'acme',
          user: 'ann',
          scopes: [...NEW_KEY_SCOPES, 'keys:write', 'audit:read'],
        },
      );
      const revealer = await person(
        { tenants },
        { organization: 'acme', user: 'ann', scopes: ['values:reveal'] },
      );
      const operator = await person({ tenants }, { scopes: ['audit:read', 'org:admin'] });
      const fixtures: Fixtures[] = [];
      for (const _ of OPERATIONS) fixtures.push(await fixturesOf({ tenants }, ann, canary.value));
      return { ann, revealer, operator, fixtures };
    });
    const { ann, revealer, operator, fixtures } = prepared;
    const env = { KEYHOLD_LOG: 'debug', KEYHOLD_AUTH_FAILURE_LIMIT: '0' };
    const server = await startServeProcess({ home, env });
    const client = new KeepAliveClient(server.url);
    const found: unknown[] = [];
    const statuses = new Map<number, number>();
    const look = async (name: string, request: TestRequest, sender = client) => {
      const { status, text, headers } = await sender.send(request);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const forms = findCanary(`${text}${JSON.stringify([...headers])}`, canary);
      if (forms.length > 0)
        found.push({ name, path: request.path, body: request.body, headers: request.headers, status, forms });
    };
    for (const [at, operation] of OPERATIONS.entries()) {
      const of_operation = fixtures[at];
      if (of_operation === undefined) continue;
      const wrong = wrongRequests(operation, of_operation, ann.key, canary);
      if (operation.name === TESTS_VALUES)
        await Promise.all(
          wrong.map(async (request) => {
            const sender = new KeepAliveClient(server.url);
            await look(operation.name, request, sender);
            sender.close();
          }),
        );
      else for (const request of wrong) await look(operation.name, request);
      await look(operation.name, operation.request(of_operation, ann.key));
    }
    expect(found).toEqual([]);
    const metrics = await client.send({ method: 'GET', path: '/metrics' });
    expect([metrics.status, findCanary(metrics.text, canary)]).toEqual([200, []]);
    for (const { key } of [ann, operator]) expect(findCanary(await auditOf(client, key), canary)).toEqual([]);
    // The value is stored: a key with values:reveal reads it.
    const one = fixtures.find((_, at) => OPERATIONS[at]?.name === 'GET /v1/me')?.credential_id ?? '';
    const revealed = await client.send({
      method: 'GET',
      path: `/integrations/credentials/${one}/credentials`,
      key: revealer.key,
    });
    expect(findCanary(revealed.text, canary)).not.toEqual([]);
    client.close();
    expect(findCanaryInFiles(home, canary)).toEqual([]);
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
    expectLines(server);
    for (const text of [server.stdout(), server.stderr()]) {
      expect(findCanary(text, canary)).toEqual([]);
      for (const { key } of [ann, revealer, operator])
        expect(findText(Buffer.from(text), key.slice(36))).toEqual([]);
    }
    expect(findCanaryInFiles(home, canary)).toEqual([]);
    console.log([...statuses].map(([status, count]) => `${status}: ${count}`).join(', '));
  },
  TIMEOUT_MS,
);
