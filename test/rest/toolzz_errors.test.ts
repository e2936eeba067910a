/** Errors of the Toolzz dialect: status and message, and that nothing was changed. */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { VALUE_MAX_BYTES } from '../../src/contract/limits.ts';
import { toolzz } from '../../src/rest/toolzz/dialect.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { comparable, keysAround, peopleOf } from './people.ts';

const ALL = '/api/v1/credential';
const UNKNOWN_ID = '0194f3a0-0000-7000-8000-000000000000';
const NO_UNIT = 'No such unit. List the units to see their ids.';
const TAKEN =
  'There is a credential of this name for this service already. Choose another name, or update that one.';
const ErrorBody = z.strictObject({ message: z.string().min(1) });

async function start() {
  const server = await startHttpServer({ dialects: [toolzz] });
  const people = await peopleOf(server);
  const { owner } = people;
  const update = {
    name: 'Marketing',
    userId: owner.user_id,
    unityId: owner.unit_id,
    integrationId: server.vault.services.get('openai').id,
    status: true,
  };
  const create = { ...update, credentials: [{ api_key: 'sk-1' }] };
  const send = (method: string, path: string, body?: unknown, key = owner.key) =>
    server.request(path, { method, key, ...(body === undefined ? {} : { body: textOf(body) }) });
  const make = async (change: object = {}, key = owner.key) => {
    const answer = await send('POST', ALL, { ...create, ...change }, key);
    expect(answer.status).toBe(201);
    const { id }: { id: string } = JSON.parse(await answer.text());
    return `${ALL}/${id}`;
  };
  return { server, people, owner, update, create, send, make };
}

function textOf(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body);
}

/** Status and message of an error in the documented format. */
async function errorOf(answer: Response): Promise<readonly [number, string]> {
  expect(answer.headers.get('content-type')).toBe('application/json');
  return [answer.status, ErrorBody.parse(JSON.parse(await answer.text())).message];
}

describe('400', () => {
  test('says which keys are missing', async () => {
    const { send, make } = await start();
    const one = await make();
    expect(await errorOf(await send('PUT', one, {}))).toEqual([
      400,
      'name is required; userId is required; unityId is required; integrationId is required; status is required.',
    ]);
    expect(await errorOf(await send('POST', ALL, {}))).toEqual([
      400,
      'name is required; userId is required; unityId is required; integrationId is required; credentials is required.',
    ]);
  });

  test.each([
    ['name', null, 'name must be a string.'],
    ['name', 7, 'name must be a string.'],
    ['name', '', 'name must not be empty.'],
    ['name', 'x'.repeat(256), 'name is too long: 255 at most.'],
    ['userId', 'me', 'userId must be a UUID.'],
    ['unityId', 'default', 'unityId must be a UUID.'],
    ['integrationId', 'openai', 'integrationId must be a UUID.'],
    ['integrationId', ['x'], 'integrationId must be a string.'],
    ['secretId', '../x', 'secretId must be a UUID.'],
    ['status', 'true', 'status must be a boolean.'],
    ['status', null, 'status must be a boolean.'],
  ])('%s: %j', async (key, value, message) => {
    const { send, make, update, create } = await start();
    const one = await make();
    expect(await errorOf(await send('PUT', one, { ...update, [key]: value }))).toEqual([400, message]);
    if (key === 'secretId') return;
    expect(await errorOf(await send('POST', ALL, { ...create, [key]: value }))).toEqual([400, message]);
  });

  test.each(['[]', 'null', '7', '"text"', '{', 'name=x', '{"name":"a","name":"b"}'])(
    'a body that is %s',
    async (body) => {
      const { send, make } = await start();
      const one = await make();
      for (const [method, path] of [
        ['PUT', one],
        ['POST', ALL],
      ] as const) {
        const [status, message] = await errorOf(await send(method, path, body));
        expect(status).toBe(400);
        expect(message).toMatch(/^The body must be (an object|JSON)\.$/);
      }
    },
  );

  test.each(['x', '1', 'unity', '..%2f..%2fetc', '%00', `${UNKNOWN_ID}0`, '🔑'])(
    'an id that is no UUID: %s',
    async (id) => {
      const { send, update } = await start();
      for (const answer of [
        await send('GET', `${ALL}/${id}`),
        await send('DELETE', `${ALL}/${id}`),
        await send('PUT', `${ALL}/${id}`, update),
        await send('GET', `/api/v1/integration/${id}/icon`),
      ])
        expect(await errorOf(answer)).toEqual([400, 'id must be a UUID.']);
      expect(await errorOf(await send('GET', `${ALL}/unity/${id}`))).toEqual([
        400,
        'unityId must be a UUID.',
      ]);
    },
  );

  test('a type that there is not', async () => {
    const { owner, send } = await start();
    expect(await errorOf(await send('GET', `${ALL}/unity/${owner.unit_id}/type/nonesuch`))).toEqual([
      400,
      'type must be one of: llm, voice, monetization, dataset, analytics, phone.',
    ]);
  });

  test('another integration, a secret that is not its own, or values, in an update', async () => {
    const { server, send, make, update } = await start();
    const one = await make();
    const before = await readCredentialRows(server.home);
    const other = server.vault.services.get('anthropic').id;
    for (const integrationId of [other, UNKNOWN_ID]) {
      expect(await errorOf(await send('PUT', one, { ...update, integrationId }))).toEqual([
        400,
        'A credential stays with its service. Make a new one for another service.',
      ]);
    }
    expect(await errorOf(await send('PUT', one, { ...update, secretId: UNKNOWN_ID }))).toEqual([
      400,
      'secretId must be that of this credential.',
    ]);
    for (const credentials of [[{ api_key: 'sk-2' }], { api_key: 'sk-2' }, 'sk-2', null]) {
      expect(await errorOf(await send('PUT', one, { ...update, credentials }))).toEqual([
        400,
        'credentials cannot be changed here: create a new credential with the new values.',
      ]);
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
  });

  test.each([
    ['no list', { api_key: 'x' }, 'credentials must be an array.'],
    ['an empty list', [], 'credentials must not be empty.'],
    ['a list of texts', ['x'], 'credentials must be a list of objects.'],
    ['a list of lists', [['x']], 'credentials must be a list of objects.'],
    ['nothing', [{}], 'credentials must also have: openai_api_key.'],
    ['null', [{ api_key: null }], 'credentials must also have: openai_api_key.'],
    ['only what is optional', [{ openai_project_id: 'p' }], 'credentials must also have: openai_api_key.'],
    [
      'one field twice',
      [{ api_key: 'x' }, { openai_api_key: 'y' }],
      'credentials gives openai_api_key twice.',
    ],
    [
      'an unknown field',
      [{ api_key: 'x' }, { token: 'y' }],
      'credentials names a field that OpenAI does not have. Its fields: openai_api_key, openai_organization_id, openai_project_id.',
    ],
    ['an empty object', [{ api_key: {} }], 'credentials: openai_api_key must be a string.'],
    ['an empty list as a value', [{ api_key: [] }], 'credentials: openai_api_key must be a string.'],
    ['a truth value', [{ api_key: true }], 'credentials: openai_api_key must be a string.'],
    ['a number', [{ openai_api_key: 0 }], 'credentials: openai_api_key must be a string.'],
    [
      'a list beside a text',
      [{ api_key: 'x', openai_project_id: ['p'] }],
      'credentials: openai_project_id must be a string.',
    ],
    ['an empty text', [{ api_key: '' }], expect.stringMatching(/^The value of openai_api_key is empty/)],
  ])('credentials that are %s', async (_, credentials, message) => {
    const { server, send, create } = await start();
    expect(await errorOf(await send('POST', ALL, { ...create, credentials }))).toEqual([400, message]);
    expect(await readCredentialRows(server.home)).toEqual([]);
  });
});

describe('the other errors', () => {
  test('401: no key, and one that is wrong', async () => {
    const { server, owner } = await start();
    const needed = 'A valid API key is needed: exactly one, as Authorization: Bearer KEY or X-API-Key: KEY.';
    for (const path of [ALL, `${ALL}/${UNKNOWN_ID}`, '/api/v1/integration/status', '/api/v1/nothing']) {
      expect(await errorOf(await fetch(`${server.url}${path}`))).toEqual([401, needed]);
      const wrong = await server.request(path, { key: `${owner.key}x` });
      expect(await errorOf(wrong)).toEqual([401, 'A valid API key is needed.']);
    }
  });

  test('404: a credential, a user, a unit, an integration, a route that there is not', async () => {
    const { owner, send, make, update, create } = await start();
    const one = await make();
    const unknown = `${ALL}/${UNKNOWN_ID}`;
    const unit = `${ALL}/unity/${UNKNOWN_ID}`;
    const own = `${ALL}/unity/${owner.unit_id}`;
    for (const [message, request, body] of [
      ['No such credential.', `GET ${unknown}`],
      ['No such credential.', `DELETE ${unknown}`],
      ['No such credential.', `PUT ${unknown}`, update],
      ['No such user.', `PUT ${one}`, { ...update, userId: UNKNOWN_ID }],
      ['No such user.', `POST ${ALL}`, { ...create, name: 'x', userId: UNKNOWN_ID }],
      [NO_UNIT, `PUT ${one}`, { ...update, unityId: UNKNOWN_ID }],
      [NO_UNIT, `POST ${ALL}`, { ...create, name: 'x', unityId: UNKNOWN_ID }],
      [NO_UNIT, `GET ${unit}`],
      [NO_UNIT, `GET ${unit}/type/llm`],
      [NO_UNIT, `GET ${unit}/integration/${update.integrationId}`],
      ['No such integration.', `POST ${ALL}`, { ...create, name: 'x', integrationId: UNKNOWN_ID }],
      ['No such integration.', `GET ${own}/integration/${UNKNOWN_ID}`],
      ['No such integration.', `GET /api/v1/integration/${UNKNOWN_ID}/icon`],
      ['There is no such route. GET /openapi.json lists what there is.', 'GET /api/v1/nothing'],
    ] as const) {
      const [method = '', path = ''] = request.split(' ');
      expect([request, ...(await errorOf(await send(method, path, body)))]).toEqual([request, 404, message]);
    }
  });

  test('405, 413, 415 and 409', async () => {
    const { server, send, make, update, create } = await start();
    const one = await make();
    await make({ name: 'Other' });
    expect(await errorOf(await send('PATCH', one, update))).toEqual([
      405,
      'This route takes GET and PUT and DELETE.',
    ]);
    expect(await errorOf(await send('PUT', one, 'x'.repeat(1024 * 1024 + 1)))).toEqual([
      413,
      'The request is too large: a body has at most 1048576 bytes.',
    ]);
    const form = { method: 'PUT', body: 'a=b', headers: { 'content-type': 'text/plain' } };
    expect(await errorOf(await server.request(one, form))).toEqual([
      415,
      'A body must be application/json in UTF-8, not compressed.',
    ]);
    expect(await errorOf(await send('POST', ALL, create))).toEqual([409, TAKEN]);
    expect(await errorOf(await send('PUT', one, { ...update, name: 'Other' }))).toEqual([409, TAKEN]);
  });

  test('409: a move to a user who has one of that name', async () => {
    const { people, send, make, update } = await start();
    const { colleague, admin } = people;
    const one = await make();
    await make({ userId: colleague.user_id }, colleague.key);
    const move = { ...update, userId: colleague.user_id };
    expect(await errorOf(await send('PUT', one, move, admin.key))).toEqual([409, TAKEN]);
    expect((await send('GET', one)).status).toBe(200);
  });

  test('429: too many requests', async () => {
    const limits = { requests_per_minute: 1, auth_failures_per_minute: 0 };
    const server = await startHttpServer({ dialects: [toolzz], settings: { limits } });
    await server.request('/api/v1/integration/status');
    expect(await errorOf(await server.request('/api/v1/integration/status'))).toEqual([
      429,
      expect.stringMatching(/^Too many requests with this API key\. Try again in \d+ seconds?\.$/),
    ]);
  });

  test('500: something that fails inside, which is not said', async () => {
    const { server, send } = await start();
    await server.vault.close();
    const [status, message] = await errorOf(await send('GET', `${ALL}/${UNKNOWN_ID}`));
    expect(status).toBeGreaterThanOrEqual(500);
    expect(message).not.toMatch(/sqlite|database|\.ts/i);
  });
});

describe('403, for want of a scope', () => {
  test.each([
    ['credentials:write', 'POST', 201],
    ['credentials:write', 'PUT', 200],
    ['credentials:write', 'DELETE', 200],
    ['credentials:read', 'GET', 200],
    ['credentials:read', 'GET unity', 200],
    ['credentials:read', 'GET unity type', 200],
    ['credentials:read', 'GET unity integration', 200],
  ] as const)('%s: %s', async (scope, request, status) => {
    const { server, owner, send, make, update, create } = await start();
    const one = await make();
    const unity = `${ALL}/unity/${owner.unit_id}`;
    const [method = '', ...part] = request.split(' ');
    const path = {
      '': method === 'POST' ? ALL : one,
      unity,
      'unity type': `${unity}/type/llm`,
      'unity integration': `${unity}/integration/${update.integrationId}`,
    }[part.join(' ')];
    const body = method === 'POST' ? { ...create, name: 'New' } : method === 'PUT' ? update : undefined;
    const { only, without } = await keysAround(server, 'owner', scope);
    const before = await readCredentialRows(server.home);
    expect((await errorOf(await send(method, path ?? '', body, without)))[0]).toBe(403);
    expect(await readCredentialRows(server.home)).toEqual(before);
    expect((await send(method, path ?? '', body, only)).status).toBe(status);
  });
});

describe('an id of somebody else', () => {
  test.each(['GET', 'DELETE', 'PUT', 'PUT of another integration'])(
    'answers %s exactly as one that there is not',
    async (request) => {
      const { server, people, send, make, update } = await start();
      const { owner, colleague, admin, stranger } = people;
      const theirs = await make();
      const across = await make({ userId: stranger.user_id, unityId: stranger.unit_id }, stranger.key);
      const [method = '', other] = request.split(' of ');
      const integrationId =
        other === undefined ? update.integrationId : server.vault.services.get('linear').id;
      const before = await readCredentialRows(server.home);
      for (const [caller, path] of [
        [colleague, theirs],
        [stranger, theirs],
        [owner, across],
        [admin, across],
      ] as const) {
        const { user_id: userId, unit_id: unityId, key } = caller;
        const body = method === 'PUT' ? { ...update, integrationId, userId, unityId } : undefined;
        const expected = await comparable(await send(method, `${ALL}/${UNKNOWN_ID}`, body, key));
        expect(expected).toMatchObject({ status: 404 });
        for (const id of [path, `${ALL}/${owner.id}`, `${ALL}/${owner.user_id}`, `${ALL}/${owner.unit_id}`])
          expect(await comparable(await send(method, id, body, key))).toEqual(expected);
      }
      expect(await readCredentialRows(server.home)).toEqual(before);
    },
  );

  test('user and unit: nothing is moved there, and it is as if there were none', async () => {
    const { server, people, send, make, update, create } = await start();
    const { colleague, stranger, owner } = people;
    const one = await make();
    const before = await readCredentialRows(server.home);
    for (const [method, path, body] of [
      ['PUT', one, update],
      ['POST', ALL, { ...create, name: 'New' }],
    ] as const) {
      const users = [colleague.user_id, stranger.user_id, owner.unit_id];
      const unknown_user = await comparable(await send(method, path, { ...body, userId: UNKNOWN_ID }));
      for (const userId of users)
        expect(await comparable(await send(method, path, { ...body, userId }))).toEqual(unknown_user);
      const unknown_unit = await comparable(await send(method, path, { ...body, unityId: UNKNOWN_ID }));
      for (const unityId of [stranger.unit_id, owner.user_id])
        expect(await comparable(await send(method, path, { ...body, unityId }))).toEqual(unknown_unit);
    }
    const unknown_list = await comparable(await send('GET', `${ALL}/unity/${UNKNOWN_ID}`));
    expect(await comparable(await send('GET', `${ALL}/unity/${stranger.unit_id}`))).toEqual(unknown_list);
    expect(await readCredentialRows(server.home)).toEqual(before);
  });

  test('is in no list', async () => {
    const { owner, people, send, make } = await start();
    await make();
    for (const part of ['', '/type/llm']) {
      const answer = await send(
        'GET',
        `${ALL}/unity/${owner.unit_id}${part}`,
        undefined,
        people.colleague.key,
      );
      expect(await answer.text()).toMatch(/^(\{"items":\[\]\}|\[\])$/);
    }
  });
});

describe('bad input', () => {
  const canary = 'canary-VALUE-that-must-not-come-back';
  test.each([
    ['a value over 64 KiB', { credentials: [{ api_key: canary.padEnd(VALUE_MAX_BYTES + 1, 'x') }] }],
    ['a value that is nested', { credentials: [{ api_key: { [canary]: [canary] } }] }],
    ['a value that is a list', { credentials: [{ api_key: [canary] }] }],
    ['a field that there is not', { credentials: [{ api_key: canary, [canary]: canary }] }],
    ['a field whose name is a path', { credentials: [{ api_key: canary, [`../${canary}`]: canary }] }],
    ['half a surrogate pair', { credentials: [{ api_key: `${canary}\ud800` }] }],
    ['a sealed value that does not open', { credentials: [{ api_key: `sealed:${canary}` }] }],
    ['a value of the wrong form', { credentials: [{ api_key: `${canary} ${canary}` }] }],
    ['a name with a line break', { name: `${canary}\n` }],
    ['a name that is a list', { name: [canary] }],
    ['ids that are values', { userId: canary, unityId: canary, integrationId: canary, secretId: canary }],
    ['a status that is a value', { status: canary }],
    ['credentials that are a text', { credentials: canary }],
  ])('changes nothing and is not repeated: %s', async (_, change) => {
    const { server, send, make, update, create } = await start();
    const one = await make();
    const before = await readCredentialRows(server.home);
    const answers = [
      await send('POST', ALL, { ...create, name: 'New', ...change }),
      await send('PUT', one, { ...update, ...change }),
    ];
    for (const answer of answers) {
      const [status, message] = await errorOf(answer);
      expect(status).toBe(400);
      expect(message).not.toContain('canary');
    }
    expect(await readCredentialRows(server.home)).toEqual(before);
    expect(JSON.stringify(server.log)).not.toContain('canary');
  });

  test('__proto__ is no field and no way into one', async () => {
    const { server, send, make, create, update } = await start();
    const one = await make();
    const before = await readCredentialRows(server.home);
    const text = JSON.stringify({ ...create, name: 'New' }).replace('"api_key"', '"__proto__"');
    expect((await errorOf(await send('POST', ALL, text)))[0]).toBe(400);
    const put = JSON.stringify({ ...update, name: undefined }).replace('{', '{"__proto__":{"name":"x"},');
    expect((await errorOf(await send('PUT', one, put)))[0]).toBe(400);
    expect(await readCredentialRows(server.home)).toEqual(before);
  });
});
