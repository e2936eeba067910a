/**
 * Injection: paths, SQL, property names of every object, log lines and headers, sent in every position of every
 * operation. The server must reject or store each as plain text, never fail, and never copy it to a header or the log.
 */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { parseStrictJson } from '../../src/io/strict_json.ts';
import {
  type InProcessServer,
  openInProcessServer,
  type TestResponse,
} from '../kit/http/in_process_server.ts';
import { runSize } from '../kit/run_size.ts';
import { openTestDatabase, readStoredRecords } from '../kit/vault/database.ts';
import { fixturesOf, person } from './fixtures.ts';
import { injectionPointsIn } from './injection_points.ts';
import { messageIn, OPERATIONS } from './operations/operations.ts';

const SQL = [
  `'; DROP TABLE record; -- marked`,
  `" OR "1"="1" -- marked`,
  `x' UNION SELECT sealed_values, 1 FROM record -- marked`,
];
const OBJECT_NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
const LINES = [
  'marked\r\nX-Injected: yes\r\n\r\n<html>',
  'marked\n{"level":"fatal","msg":"owned"}',
  '\u001b[2Jmarked\u0000',
];
const PATHS = [
  '../../../etc/passwd',
  '..%2f..%2fmarked',
  '%2e%2e/%2e%2e',
  '....//marked',
  '\u0000marked',
  'marked\\..\\..',
];
const TEXTS = [...SQL, ...OBJECT_NAMES, ...LINES, ...PATHS];

const HEADERS =
  /^(?:accept|allow|cache-control|content-length|content-security-policy|content-type|cross-origin-resource-policy|referrer-policy|retry-after|www-authenticate|x-accel-buffering|x-content-type-options|x-frame-options|x-keyhold-more|x-ratelimit-(?:limit|remaining|reset)|x-request-id)$/;

/** Every fourth text in a quick run, every second one in CI, all with SLOW=1; each position begins with another text. */
function textsFor(start: number): readonly string[] {
  const step = runSize({ quick: 4, ci: 2, slow: 1 });
  return TEXTS.filter((_, at) => (at + start) % step === 0);
}

/** The schema of the database. */
function tablesOf(home: string): Promise<unknown> {
  return openTestDatabase(home).schema();
}

function expectNoInjection(
  text: string,
  { headers, status, text: body }: TestResponse,
  log: InProcessServer['log'],
  what: unknown[],
) {
  for (const [name, value] of headers)
    expect([...what, name, value]).toEqual([
      ...what,
      expect.stringMatching(HEADERS),
      expect.stringMatching(/^[\x20-\x7e]*$/),
    ]);
  // Rejected text is not repeated; an accepted name is shown unchanged.
  if (text.includes('marked')) {
    expect(JSON.stringify([...headers])).not.toContain('marked');
    expect([...what, JSON.stringify(log)]).toEqual([...what, expect.not.stringContaining('marked')]);
    if (status >= 400) expect([...what, body]).toEqual([...what, expect.not.stringContaining('marked')]);
  }
  for (const { message } of log) expect(['request', 'invalid MCP request']).toContain(message);
}

describe('an injected text', () => {
  test.each(['first', 'second'])(
    'an injected text is plain text in every position of every operation: %s half of the operations',
    async (half) => {
      const operations = OPERATIONS.filter((_, at) => (at % 2 === 0) === (half === 'first'));
      const server = await openInProcessServer();
      const { home, vault } = server.tenants;
      const ann = await person(server, { organization: 'acme', user: 'ann' });
      const gus = await person(server, { organization: 'globex', user: 'gus' });
      await fixturesOf(server, gus);
      const tables = await tablesOf(home);
      const foreign = await vault.credentials.list(await server.tenants.caller(gus.key));
      let sent = 0;
      let points = 0;
      for (const operation of operations) {
        const fixtures = await fixturesOf(server, ann);
        for (const point of injectionPointsIn(operation, operation.request(fixtures, ann.key))) {
          for (const text of textsFor(points++)) {
            server.log.length = 0;
            const response = await server.send(point.put(text));
            const what = [operation.name, point.where, text, response.status];
            expect(what).toEqual([...what.slice(0, 3), expect.toSatisfy((status) => status < 500)]);
            if (response.area === 'mcp' && response.status === 200)
              expect([...what, messageIn(response.text)]).toEqual([
                ...what,
                expect.not.objectContaining({ code: 'INTERNAL' }),
              ]);
            expectNoInjection(text, response, server.log, what);
            sent++;
          }
        }
      }
      expect(await tablesOf(home)).toEqual(tables);
      expect(await vault.credentials.list(await server.tenants.caller(gus.key))).toEqual(foreign);
      for (const who of [ann, gus])
        expect(await vault.verifyAudit({ ...(await server.tenants.caller(who.key)) })).toMatchObject({
          ok: true,
        });
      expect(Object.keys(Object.prototype)).toEqual([]);
      console.log(`${sent} requests`);
    },
    120_000,
  );
});

test('a name with injected text is shown unchanged, and in bodies only', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann', scopes: [...SCOPES] });
  const caller = await server.tenants.caller(ann.key);
  const { vault } = server.tenants;
  const [name = ''] = SQL;
  const fixtures = await fixturesOf(server, ann);
  await vault.stacks.update(caller, fixtures.stack_id, { stack_name: name });
  await vault.credentials.replace(caller, fixtures.credential_id, {
    credential_type: 'user_password',
    credentials: { host: 'h' },
    name,
  });
  await vault.api_keys.create(caller, { name });
  let shown = 0;
  for (const operation of OPERATIONS.filter(({ name: of }) => of.startsWith('GET'))) {
    server.log.length = 0;
    const response = await server.send(operation.request(fixtures, ann.key));
    if (response.text.includes(JSON.stringify(name))) shown++;
    expectNoInjection(name, response, server.log, [operation.name]);
  }
  expect(shown).toBeGreaterThan(10);
});

describe('a request body', () => {
  test('every operation rejects a body with a duplicate name or __proto__ and changes nothing', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { organization: 'acme', user: 'ann' });
    const fixtures = await fixturesOf(server, ann);
    const before = await readStoredRecords(server.tenants.home);
    for (const operation of OPERATIONS) {
      const request = operation.request(fixtures, ann.key);
      if (request.body === undefined) continue;
      const json = JSON.stringify(request.body);
      const bodies = [...wrongNames(json)];
      for (const body of bodies) {
        expect(parseStrictJson(body)).toHaveProperty('violation');
        const { status } = await server.send({ ...request, body });
        expect([operation.name, body, status]).toEqual([operation.name, body, expect.toBeOneOf([400, 422])]);
      }
    }
    expect(await readStoredRecords(server.tenants.home)).toEqual(before);
  });

  test('a body may have fields named like properties of every object', async () => {
    const server = await openInProcessServer();
    const ann = await person(server, { organization: 'acme', user: 'ann' });
    const names = [
      'constructor',
      'toString',
      'hasOwnProperty',
      'valueOf',
      'then',
      'toJSON',
      '__defineGetter__',
    ];
    const credentials = {
      host: 'h',
      username: 'u',
      password: 'p',
      database: 'd',
      ...Object.fromEntries(names.map((name) => [name, `of ${name}`])),
    };
    const body = { name: 'n', provider: 'postgresql', credential_type: 'user_password', credentials };
    const made = await server.send({ method: 'POST', path: '/integrations/credentials', key: ann.key, body });
    expect(made.status).toBe(201);
    const { id }: { id: string } = JSON.parse(made.text);
    const revealed = await server.send({
      method: 'GET',
      path: `/integrations/credentials/${id}/credentials`,
      key: ann.key,
    });
    expect(JSON.parse(revealed.text)).toEqual(credentials);
    const of_query = 'GET /v1/services?__proto__[polluted]=1&constructor[prototype][polluted]=1&query=linear';
    const [method = '', path = ''] = of_query.split(' ');
    expect((await server.send({ method, path, key: ann.key })).status).toBe(200);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
});

/** The text of an object with one name duplicated, for each name at every depth, and with `__proto__` in each object. */
function* wrongNames(json: string): Generator<string> {
  for (const [found, name = ''] of json.matchAll(/("(?:[^"\\]|\\.)*"):/g)) {
    const at = json.indexOf(found);
    yield `${json.slice(0, at)}${name}:null,${json.slice(at)}`;
  }
  for (const { index } of json.matchAll(/\{(?=")/g))
    yield `${json.slice(0, index + 1)}"__proto__":{"polluted":true},${json.slice(index + 1)}`;
}
