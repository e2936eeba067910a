/**
 * The canary over HTTP: stored by every dialect and tool, and put into every wrong place of every operation. It comes
 * out nowhere: not in an answer, not in what the process writes, not in the metrics, not in the audit logs, not in the
 * files.
 */
import { expect, test } from 'vitest';
import { NEW_KEY_SCOPES } from '../../src/contract/caller.ts';
import { type Canary, findCanary, findCanaryInFiles, findText, newCanary } from '../kit/canary.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import type { Ask } from '../kit/http/in_process_server.ts';
import { KeepAliveClient } from '../kit/http/keep_alive.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { type Fixtures, fixturesOf, person } from './fixtures.ts';
import { injectionPointsIn } from './injection_points.ts';
import { inVault } from './load/targets.ts';
import { OPERATIONS } from './operations/operations.ts';

const TIMEOUT_MS = 120_000;
/** Names that a caller gives to things, and that are shown and logged as such: a value does not belong there. */
const NAMES: ReadonlySet<string> = new Set(['name', 'stack_name', 'enabled_tools', '0', 'stack_id']);
/** Objects whose keys are names of fields, which some services leave to the caller. */
const FREE_KEYS = /\bcredentials$/;

/** A good request with the canary where a value does not belong. */
function wrongRequests(
  operation: (typeof OPERATIONS)[number],
  things: Fixtures,
  key: string,
  { value, word }: Canary,
): Ask[] {
  const good = operation.ask(things, key);
  const in_places = injectionPointsIn(operation, good)
    .filter(({ name, where }) => !NAMES.has(name) || (where.startsWith('path') && good.method === 'GET'))
    // The id of a message is given back with the answer, as the protocol wants it.
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
    ...in_places,
    ...(good.method === 'GET' ? [] : bodies.map((body) => ({ ...good, body }))),
    ...headers.map((given) => ({ ...good, headers: { ...good.headers, ...given } })),
    { ...good, path: `${good.path}${separator}${word}=1&extra=${encodeURIComponent(value)}` },
    { ...good, path: `${good.path.split('?')[0]}/${word}` },
    { ...good, path: `/${word}${good.path}` },
  ];
}

/** Every page of an audit log, as it is answered. */
async function auditOf(client: KeepAliveClient, key: string): Promise<string> {
  const pages: string[] = [];
  let before = '';
  for (;;) {
    const { text } = await client.ask({ method: 'GET', path: `/v1/audit${before}`, key });
    pages.push(text);
    const { next }: { next: number | null } = JSON.parse(text);
    if (next === null) return pages.join();
    before = `?before=${next}`;
  }
}

/** Every line is JSON, and says what the server says. */
function expectLines(server: ServeProcess): void {
  const lines = server
    .stderr()
    .split('\n')
    .filter((line) => line !== '');
  const known = [
    'listening',
    'request',
    'request failed',
    'MCP request not understood',
    'stopping',
    'stopped',
  ];
  for (const line of lines) expect(known).toContain((JSON.parse(line) as { msg: string }).msg);
  expect(lines.length).toBeGreaterThan(1_000);
}

test(
  'a value goes in by every road and comes out by none, wherever it is put',
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
      const things: Fixtures[] = [];
      for (const _ of OPERATIONS) things.push(await fixturesOf({ tenants }, ann, canary.value));
      return { ann, revealer, operator, things };
    });
    const { ann, revealer, operator, things } = prepared;
    const env = { KEYHOLD_LOG: 'debug', KEYHOLD_AUTH_FAILURE_LIMIT: '0' };
    const server = await startServeProcess({ home, env });
    const client = new KeepAliveClient(server.url);
    const found: unknown[] = [];
    const statuses = new Map<number, number>();
    const look = async (name: string, ask: Ask) => {
      const { status, text, headers } = await client.ask(ask);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const forms = findCanary(`${text}${JSON.stringify([...headers])}`, canary);
      if (forms.length > 0)
        found.push({ name, path: ask.path, body: ask.body, headers: ask.headers, status, forms });
    };
    for (const [at, operation] of OPERATIONS.entries()) {
      const of_operation = things[at];
      if (of_operation === undefined) continue;
      for (const ask of wrongRequests(operation, of_operation, ann.key, canary))
        await look(operation.name, ask);
      await look(operation.name, operation.ask(of_operation, ann.key));
    }
    expect(found).toEqual([]);
    const metrics = await client.ask({ method: 'GET', path: '/metrics' });
    expect([metrics.status, findCanary(metrics.text, canary)]).toEqual([200, []]);
    for (const { key } of [ann, operator]) expect(findCanary(await auditOf(client, key), canary)).toEqual([]);
    // It is there: whoever may see it does.
    const one = things.find((_, at) => OPERATIONS[at]?.name === 'GET /v1/me')?.credential_id ?? '';
    const revealed = await client.ask({
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
