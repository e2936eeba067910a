/**
 * Path traversal: no spelling of a path bypasses authentication, leaves the server's files, or reaches another record.
 * Sent over raw sockets, because clients normalize a path before they send it.
 */
import { describe, expect, test } from 'vitest';
import { startHttpServer } from '../kit/http/http_server.ts';
import { FULL_SERVER_OPTIONS, type TestRequest } from '../kit/http/in_process_server.ts';
import { sendLines, statuses } from '../kit/http/raw_request.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { Clock, Tenants } from '../kit/vault/tenants.ts';
import { fixturesOf, person } from './fixtures.ts';
import { injectionPointsIn } from './injection_points.ts';
import { ROUTE_OPERATIONS } from './operations/operations.ts';

describe('a path', () => {
  const OPEN = ['/healthz', '/docs', '/.well-known', '/openapi.json', '/metrics'];
  const TRAVERSALS = [
    ...[
      '/..',
      '/%2e%2e',
      '/.%2e',
      '/..%2f..',
      '/%252e%252e',
      '/x/../..',
      '//..',
      '/;/..',
      '/..;',
      '\\..',
      '/%2e%2e%5c',
    ].flatMap((traversal) => OPEN.map((open) => `${open}${traversal}/v1/me`)),
    '//v1/me',
    '/./v1/me',
    '/%76%31/me',
    '/v1%2fme',
    '/v1/me/',
    '/v1/me%00',
    '/v1/me;x=1',
    '/V1/ME',
    '\\v1\\me',
    '/v1/%6de',
    'http://127.0.0.1/v1/me',
    'http://127.0.0.1/docs/../v1/me',
    '/docs/../../../../etc/passwd',
    '/docs/..%2f..%2f..%2fpackage.json',
    '/docs/%2e%2e/%2e%2e/package.json',
    '/docs/swagger-ui-bundle.js/../../../package.json',
  ];

  test('no spelling of a path bypasses authentication', async () => {
    const server = await startHttpServer(FULL_SERVER_OPTIONS);
    for (const target of TRAVERSALS) {
      const response = await sendLines(server.url, [
        `GET ${target} HTTP/1.1`,
        'Host: 127.0.0.1',
        'Connection: close',
      ]);
      expect([target, statuses(response)]).toEqual([target, [expect.toBeOneOf([400, 401, 403, 404])]]);
      for (const secret of ['"organization"', 'root:', '"devDependencies"'])
        expect(response).not.toContain(secret);
    }
  });

  test('a path with a manipulated id reaches no other record', async () => {
    const server = await startHttpServer(FULL_SERVER_OPTIONS);
    const tenants = {
      tenants: new Tenants(server.home, new Clock(), server.vault, server.parts),
    };
    const ann = await person(tenants, { organization: 'acme', user: 'ann' });
    const gus = await person(tenants, { organization: 'globex', user: 'gus' });
    const own = await fixturesOf(tenants, ann);
    const foreign = await fixturesOf(tenants, gus);
    const before = await readStoredRecords(server.home);
    for (const operation of ROUTE_OPERATIONS) {
      const points = injectionPointsIn(operation, operation.request(own, ann.key));
      for (const { put } of points.filter(({ where }) => where.startsWith('path'))) {
        for (const step of stepsTo(foreign.credential_id)) {
          const { path, ...request } = put('MARKED');
          // The normalized path may name a record of the caller, and deleting that is allowed.
          if (DOTS.test(step) && request.method !== 'GET') continue;
          const response = await sendRaw(server.url, { ...request, path: path.replace('MARKED', step) });
          const [status = 0, ...more] = statuses(response);
          const shown = [operation.name, step, response];
          expect([...shown, more, status < 500]).toEqual([...shown, [], true]);
          for (const secret of [foreign.value, foreign.user_id, foreign.stack_id])
            expect(response).not.toContain(secret);
        }
      }
    }
    const after = new Set(await readStoredRecords(server.home));
    expect(before.filter((record) => !after.has(record))).toEqual([]);
  });
});

const DOTS = /^(?:\.|%2e){1,2}$/;

/** Path segments that try to reach the record with this id. */
function stepsTo(id: string): string[] {
  const dressed = [`..%2f${id}`, `%2e%2e%2f%2e%2e%2f${id}`, `x/../${id}`, `${id}%00`, `${id}%20`, `%00${id}`];
  return [...dressed, '.', '..', '%2e%2e', '%', '%zz', '%c0%ae%c0%ae%2f'];
}

/** Sends the path without normalizing it. */
function sendRaw(url: string, { method, path, key, body }: TestRequest): Promise<string> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const of_body = ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`];
  return sendLines(
    url,
    [
      `${method} ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      `X-API-Key: ${key}`,
      'Connection: close',
      ...(text === '' ? [] : of_body),
    ],
    text,
  );
}
