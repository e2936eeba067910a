/** Each kind of authentication, as an upstream verifies it, and callers that try to take its place. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import type { InjectionRule } from '../../../src/contract/service/authentication.ts';
import { authenticate } from '../../../src/use/call/request/authentication.ts';
import {
  type AuthenticationCheck,
  basic,
  bearer,
  headerEquals,
  pathBegins,
  queryEquals,
  requireAuthentication,
  sigV4,
} from '../../kit/upstream/authentication.ts';
import { respondJson } from '../../kit/upstream/handlers.ts';
import { definitionOf, HOST, openCalls } from './call_kit.ts';

const TOKEN = 'tok+en/=?&#%"\\:@ü 1234';
const VISIBLE = 'tok+en/=?&#%"\\:@ 1234';

interface Kind {
  readonly rule: InjectionRule;
  readonly check: AuthenticationCheck;
  readonly values: Readonly<Record<string, string>>;
  readonly described: readonly string[];
  readonly more?: Parameters<typeof definitionOf>[1];
}

const bodyEquals =
  (expected: string): AuthenticationCheck =>
  ({ body }) =>
    body.toString() === expected ? undefined : `wrong body ${body}`;

const KINDS: Readonly<Record<string, Kind>> = {
  'a header': {
    rule: { in: 'header', headers: { Authorization: 'Bearer {token}', 'X-Version': '1' } },
    check: bearer(VISIBLE),
    values: { token: VISIBLE },
    described: ['header authorization'],
  },
  'a header of its own': {
    rule: { in: 'header', headers: { 'X-Api-Key': '{token}', 'X-Account': '{account}' } },
    check: headerEquals('x-api-key', VISIBLE),
    values: { token: VISIBLE },
    described: ['header x-api-key', 'header x-account'],
    more: { fields: ['token', 'account'] },
  },
  'a query parameter': {
    rule: { in: 'query', query: { key: '{token}' } },
    check: queryEquals('key', TOKEN),
    values: { token: TOKEN },
    described: ['query parameter key'],
  },
  'HTTP Basic': {
    rule: { in: 'basic', username: '{email}/token', password: '{token}' },
    check: basic('me@example.com/token', TOKEN),
    values: { token: TOKEN, email: 'me@example.com' },
    described: ['header authorization'],
    more: { plain: ['email'] },
  },
  'a prefix of the path': {
    rule: { in: 'path', prefix: '/bot{token}' },
    check: pathBegins('/bot123:ab%2Fc%3F/items'),
    values: { token: '123:ab/c?' },
    described: ['prefix of the path'],
  },
  'fields of a JSON body': {
    rule: { in: 'body_fields', format: 'json', fields: { secret: '{token}', client: '{id}' } },
    check: bodyEquals(JSON.stringify({ a: '{token}', secret: TOKEN, client: 'c1' })),
    values: { token: TOKEN, id: 'c1' },
    described: ['body field secret', 'body field client'],
    more: { plain: ['id'] },
  },
  'fields of a form': {
    rule: { in: 'body_fields', format: 'form', fields: { secret: '{token}' } },
    check: bodyEquals(`a=%7Btoken%7D&secret=${encodeURIComponent(TOKEN)}`),
    values: { token: TOKEN },
    described: ['body field secret'],
  },
  'a signature of AWS': {
    rule: {
      in: 'signer',
      signer: 'aws_sigv4',
      parameters: {
        access_key_id: '{id}',
        secret_access_key: '{token}',
        region: '{region}',
        service: 'execute-api',
      },
    },
    check: sigV4({
      access_key_id: 'AKIDEXAMPLE',
      secret_access_key: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      scope: 'eu-central-1/execute-api',
    }),
    values: {
      token: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      id: 'AKIDEXAMPLE',
      region: 'eu-central-1',
    },
    described: ['header authorization'],
    more: { plain: ['id', 'region'] },
  },
};

describe.each(Object.entries(KINDS))('%s', (_kind, { rule, check, values, described, more }) => {
  const handler = requireAuthentication(check, respondJson({ done: true }));
  const is_post = rule.in === 'body_fields';
  const input = is_post
    ? { method: 'POST' as const, path: '/items', body: { a: '{token}' } }
    : { path: '/items/a b?x={token}', query: { y: ['1', '2'] } };

  test('is what the upstream requires, and text of the caller is not expanded', async () => {
    const { call, upstream } = await openCalls(handler, values, definitionOf(rule, more));
    expect(await call(input)).toMatchObject({ status: 200, ok: true, body: { done: true }, redacted: 0 });
    const [request] = upstream.requests;
    if (!is_post) expect(request?.path).toContain('x={token}&y=1&y=2');
    expect(request?.headers.host).toBe(HOST);
  });

  test('is announced by a dry run, which sends nothing', async () => {
    const { call, upstream } = await openCalls(handler, values, definitionOf(rule, more));
    const { dry_run, ok, status } = await call({ ...input, dry_run: true });
    expect(dry_run?.credential).toEqual(expect.arrayContaining([...described]));
    expect([ok, status, dry_run?.policy]).toEqual([true, undefined, 'allowed']);
    expect(JSON.stringify(dry_run)).not.toContain(values.token);
    expect([upstream.requests.length, upstream.connections()]).toEqual([0, 0]);
  });
});

describe('a caller cannot', () => {
  const cases: readonly (readonly [string, InjectionRule, object])[] = [
    [
      'send the header',
      { in: 'header', headers: { 'X-Api-Key': '{token}' } },
      { headers: { 'x-API-key': 'mine' } },
    ],
    ['send the parameter', { in: 'query', query: { key: '{token}' } }, { path: '/a?key=mine' }],
    [
      'send the field',
      { in: 'body_fields', format: 'json', fields: { key: '{token}' } },
      { body: { key: 'x' } },
    ],
    [
      'send a text in place of fields',
      { in: 'body_fields', format: 'json', fields: { key: '{token}' } },
      { body: '{' },
    ],
    [
      'send a body in place of the credential',
      { in: 'body', content_type: 'text/plain', body: '{token}' },
      { body: 'x' },
    ],
    [
      'send a header of the signature',
      { in: 'signer', signer: 'aws_sigv4', parameters: { access_key_id: 'a', secret_access_key: '{token}' } },
      { headers: { 'x-amz-date': 'x' } },
    ],
    ['leave the path', { in: 'path', prefix: '/bot{token}' }, { path: '/../x' }],
  ];
  test.each(cases)('%s of the credential', async (_what, rule, input) => {
    const { call, upstream } = await openCalls(
      respondJson({}),
      { token: TOKEN.replace('ü', 'u') },
      definitionOf(rule),
    );
    await expect(call({ path: '/a', method: 'POST', ...input })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
    expect(upstream.requests).toEqual([]);
  });
});

test('a JSON Web Token is made for each request and is not shown', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const rule: InjectionRule = {
    in: 'signer',
    signer: 'jwt',
    parameters: { algorithm: 'RS256', key: '{token}', claim_iss: '123' },
  };
  const definition = definitionOf(rule);
  const [field] = definition.fields as Record<string, unknown>[];
  const { call, upstream } = await openCalls(
    (request, response) => void response.end(request.headers.authorization),
    { token: key },
    { ...definition, fields: [{ ...field, multiline: true }] },
  );
  expect(await call({ path: '/a' })).toMatchObject({ body: 'Bearer [redacted]', redacted: 1 });
  expect(upstream.requests[0]?.headers.authorization).toMatch(/^Bearer ey/);
});

test('default headers are sent unless the caller sends its own, with fields of the credential', async () => {
  const definition = definitionOf(
    { in: 'header', headers: { Authorization: 'Bearer {token}' } },
    {
      plain: ['account', 'none'],
      default_headers: { 'X-Account': '{account}', 'X-None': '{none}', 'X-V': '1' },
    },
  );
  const { call, upstream } = await openCalls(
    respondJson({}),
    { token: 't'.repeat(20), account: 'acct' },
    definition,
  );
  await call({ path: '/a' });
  await call({ path: '/a', headers: { 'x-account': 'other', 'x-v': '2' } });
  const sent = upstream.requests.map(({ headers }) => [
    headers['x-account'],
    headers['x-v'],
    headers['x-none'],
  ]);
  expect(sent).toEqual([
    ['acct', '1', undefined],
    ['other', '2', undefined],
  ]);
});

test('the mode of the credential and rules of a host decide how the credential is sent', async () => {
  const definition = definitionOf(
    { in: 'header', headers: { 'X-Top': '{token}' } },
    {
      host_rules: [
        { host: HOST, path_prefix: '/upload', injection: { in: 'query', query: { key: '{token}' } } },
      ],
    },
  );
  const { call, upstream } = await openCalls(respondJson({}), { token: 'tttttttttt' }, definition);
  await call({ path: '/a' });
  await call({ path: '/upload/x' });
  expect(upstream.requests.map(({ path, headers }) => [path, headers['x-top']])).toEqual([
    ['/a', 'tttttttttt'],
    ['/upload/x?key=tttttttttt', undefined],
  ]);
});

test('a request is not sent without authentication, whatever fields the credential has beside it', async () => {
  const rules: readonly InjectionRule[] = [
    { in: 'header', headers: { Authorization: 'Bearer {token}', 'X-Version': '1' } },
    { in: 'query', query: { key: '{token}' } },
    { in: 'basic', username: 'me', password: '{token}' },
    { in: 'body_fields', fields: { key: '{token}' }, format: 'json' },
  ];
  for (const rule of rules) {
    const definition = definitionOf(rule, { fields: ['token', 'client_secret'] });
    const { call, upstream } = await openCalls(respondJson({}), { client_secret: 'ssssssssss' }, definition);
    for (const dry_run of [true, false]) {
      await expect(call({ path: '/a', dry_run })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringContaining(
          'has no token, which requests need. Add it with `keyhold update acme token`',
        ),
      });
    }
    expect(upstream.requests).toEqual([]);
  }
});

test.each([
  ['is redacted', '12345', 1],
  ['is not redacted', 'long-enough', 0],
])(
  'the whole pair of HTTP Basic %s if the password is %s, since only a long one is found within it',
  async (_what, password, count) => {
    const { sent, secrets } = await authenticate(
      {
        rule: { in: 'basic', username: 'me', password: '{token}' },
        default_headers: {},
        headers: [],
        parameters: [],
        described: [],
        body_fields: [],
      },
      new Map([['token', new Secret(password)]]),
      {
        method: 'GET',
        url: { origin: `https://${HOST}`, path: '/', query: '' },
        headers: new Map(),
        body: { bytes: undefined, content_type: undefined, json: undefined },
      },
    );
    expect(secrets).toHaveLength(count);
    for (const secret of secrets) expect(sent.headers.authorization).toBe(`Basic ${secret.reveal()}`);
  },
);
