/** Tests of credentials over HTTP through the vault, against HTTPS servers on loopback. */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../src/contract/secret.ts';
import type { TestRequest } from '../../src/contract/service/authentication.ts';
import { CredentialTests } from '../../src/probe/credential_tests.ts';
import { prepareTest } from '../../src/probe/http/request.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { ValueProducer } from '../../src/use/values/value_producer.ts';
import type { UsableCredential } from '../../src/vault/uses/use.ts';
import { ReferenceList } from '../../src/vault/values/reference_list.ts';
import { issueCertificate, selfSignedCertificate } from '../kit/upstream/certificates.ts';
import { type Handler, openUpstreamEgress, startUpstream } from '../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { BEARER, definitionOf, HOST } from '../use/call/call_kit.ts';

const TOKEN = 'tok-canary&7f"3a91c2';
const ME = {
  method: 'GET',
  path: '/me',
  accept: [{ status: [200] }, { status: [403], json: [{ pointer: '/code', equals: 'scope' }] }],
  reject: [{ status: [401] }],
  identity: { name: '/name', id: '/id' },
};

interface Setup {
  readonly definition?: Record<string, unknown>;
  readonly values?: Readonly<Record<string, string>>;
  readonly timeout_ms?: number;
}

/** A vault with a credential of `acme`. Outputs, status and audit log must not contain the token. */
async function openTests({ definition = definitionOf(BEARER, { test: ME }), ...setup }: Setup = {}) {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definition));
  const { vault, caller } = await openTestVault(home);
  await vault.update(caller(), { service_id: 'acme', credentials: setup.values ?? { token: TOKEN } });
  const references = { list: ReferenceList.NONE, env: {} };
  const values = new ValueProducer({ references, env: {}, now: () => new Date() });
  const egress = openUpstreamEgress();
  const { timeout_ms } = setup;
  const tests = new CredentialTests({ vault, egress, values, now: () => new Date(), timeout_ms });
  const run = async () => {
    const output = await tests.test(caller(), { service_id: 'acme' });
    const status = await vault.status(caller(), { service_id: 'acme' });
    const audit = await vault.listAudit(caller());
    expect(JSON.stringify([output, status, audit])).not.toContain(JSON.stringify(TOKEN).slice(1, -1));
    return { output, status, audit };
  };
  return { run };
}

async function reasonOf(handler: Handler, setup?: Setup) {
  const upstream = await startUpstream([HOST], handler);
  const { run } = await openTests(setup);
  const { output } = await run();
  return { upstream, output, found: [output.result, output.reason] };
}

/** Leads the host of the credential to a server that is not an upstream. */
async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `${HOST}:${(server.address() as AddressInfo).port}`;
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

describe('a test over HTTP', () => {
  test('finds a reason for each response, and is invalid only if the service refuses the credential', async () => {
    const bearer = (text: string) => ({ 'www-authenticate': `Bearer realm="x", ${text}` });
    const expired = bearer('error="invalid_token", error_description="The token expired"');
    const cases: readonly (readonly [handler: Handler, result: string, reason: string])[] = [
      [json(401, {}), 'invalid', 'refused_credentials'],
      [json(401, {}, expired), 'invalid', 'expired'],
      [json(403, {}, bearer('error="insufficient_scope"')), 'valid', 'permission_missing'],
      [json(403, { code: 'scope' }), 'valid', 'permission_missing'],
      [json(403, {}), 'unknown', 'unexpected_response'],
      [json(302, {}, { location: `https://${HOST}/other` }), 'unknown', 'unexpected_response'],
      [json(404, {}), 'unknown', 'unexpected_response'],
      [json(429, {}, { 'retry-after': '30' }), 'unknown', 'rate_limited'],
      [json(503, {}), 'unknown', 'service_failed'],
      [(_, r) => r.setHeader('content-type', 'text/html').end('<html>'), 'unknown', 'unexpected_response'],
      [json(200, { name: 'Ann', id: 7 }), 'valid', 'accepted'],
    ];
    for (const [handler, ...expected] of cases) {
      const { output, found, upstream } = await reasonOf(handler);
      expect(found, output.message).toEqual(expected);
      expect(upstream.requests).toHaveLength(1);
      if (output.reason === 'accepted') expect(output.account).toBe('Ann (7)');
      if (output.reason === 'rate_limited') expect(output.message).toContain('30 seconds');
    }
  });

  test('ends within its limits for garbage, silence, slow bodies, endless bodies and bombs', async () => {
    const slow = (_: unknown, response: ServerResponse) => {
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    };
    const chunk = Buffer.alloc(65_536, ' ');
    let sent_bytes = 0;
    const endless = (_: unknown, response: ServerResponse) => {
      response.setHeader('content-type', 'application/json');
      const more = () => {
        while (!response.destroyed && sent_bytes < 2 ** 30) {
          sent_bytes += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', more);
        }
      };
      more();
    };
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const encoding = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
    const setup = { timeout_ms: 400 };
    expect((await reasonOf(() => undefined, setup)).found).toEqual(['unknown', 'timed_out']);
    expect((await reasonOf(slow, setup)).found).toEqual(['unknown', 'timed_out']);
    expect((await reasonOf(endless)).found).toEqual(['unknown', 'unexpected_response']);
    expect(sent_bytes).toBeLessThan(64 * 1024 * 1024);
    const bombed = await reasonOf((_, response) => response.writeHead(200, encoding).end(bomb));
    expect(bombed.found).toEqual(['unknown', 'unexpected_response']);
    const garbage: Handler = (_, response) => response.socket?.end('garbage\r\n\r\n');
    expect((await reasonOf(garbage)).output.result).toBe('unknown');
  });

  test('finds a reason for each fault of the server and sends nothing to it', async () => {
    let requests = 0;
    const servers = {
      certificate_expired: createServer(issueCertificate([HOST], [-10, -1]), () => (requests += 1)),
      certificate_untrusted: createServer(selfSignedCertificate([HOST]), () => (requests += 1)),
      certificate_wrong_host: createServer(issueCertificate(['other.test']), () => (requests += 1)),
      tls_unavailable: createTcpServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 200')),
    };
    await startUpstream([HOST], () => undefined);
    for (const [reason, server] of Object.entries(servers)) {
      const host = await listen(server);
      const more = { test: ME, hosts: [host], base_url: `https://${host}` };
      const { run } = await openTests({ definition: definitionOf(BEARER, more) });
      const { output } = await run();
      expect([output.result, output.reason]).toEqual(['unknown', reason]);
    }
    expect(requests).toBe(0);
    const server = createTcpServer();
    const closed = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const more = { test: ME, hosts: [closed], base_url: `https://${closed}` };
    const refused = await openTests({ definition: definitionOf(BEARER, more) });
    expect((await refused.run()).output.reason).toBe('connection_refused');
    const missing = { test: ME, hosts: ['missing.test'], base_url: 'https://missing.test' };
    const unknown = await openTests({ definition: definitionOf(BEARER, missing) });
    expect((await unknown.run()).output.reason).toBe('unknown_host');
  });

  test('encodes values for their position, and does not inject the credential if the request has it', async () => {
    const rules = { accept: [{ status: [200] }], reject: [], no_injection: true };
    const path = `https://${HOST}/v1/keys/{token}?key={token}`;
    const definition = definitionOf(BEARER, { test: { method: 'GET', path, ...rules } });
    const { found, upstream } = await reasonOf(json(200, {}), { definition });
    expect(found).toEqual(['valid', 'accepted']);
    const [sent] = upstream.requests;
    const encoded = encodeURIComponent(TOKEN);
    expect(sent?.path).toBe(`/v1/keys/${encoded}?key=${encoded}`);
    expect(sent?.headers.authorization).toBeUndefined();
  });

  test('escapes values in JSON bodies and percent-encodes them in URL-encoded bodies', async () => {
    const service = ServiceCatalogue.load()
      .list()
      .find(({ slug }) => slug === 'docker_hub');
    if (service === undefined) throw new Error('no such service');
    const credential: UsableCredential = {
      ...{
        service,
        user: 'me',
        credential_id: 'c',
        stack: 'default',
        name: null,
        revision: 1,
        stable_revision: 1,
        is_rejected: false,
      },
      ...{
        policy: {},
        fields: ['docker_hub_pat'],
        destination: { origins: [`https://${HOST}`], fields: {} },
      },
    };
    const values = new Map([['docker_hub_pat', new Secret(TOKEN)]]);
    const accept = [{ status: [200] }];
    const rules = { method: 'POST' as const, path: `https://${HOST}/`, accept, reject: [] };
    const bodyOf = (test: Pick<TestRequest, 'headers' | 'body'>) => {
      const withoutInjection = { ...service, injection: { in: 'header' as const, headers: {} }, modes: [] };
      const http_test = { credential: { ...credential, service: withoutInjection } };
      const request = { ...rules, ...test };
      return String(prepareTest({ ...http_test, test: request }, values, true).request.body.bytes);
    };
    const in_json = bodyOf({ body: '{"key":"{docker_hub_pat}","query":"{ me }"}' });
    expect(JSON.parse(in_json)).toEqual({ key: TOKEN, query: '{ me }' });
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    expect(bodyOf({ headers, body: 'key={docker_hub_pat}' })).toBe(`key=${encodeURIComponent(TOKEN)}`);
    expect(() => bodyOf({ body: '{docker_hub_username}' })).toThrow('needs docker_hub_username');
  });

  test('reads error codes of AWS in JSON, in XML and in a header', async () => {
    const parameters = { access_key_id: '{id}', secret_access_key: '{token}', service: 's3' };
    const list = { method: 'GET', path: '/', accept: [{ status: [200], content: 'xml' }], reject: [] };
    const definition = definitionOf(
      { in: 'signer', signer: 'aws_sigv4', parameters },
      { plain: ['id'], test: list },
    );
    const xml =
      (status: number, body: string): Handler =>
      (_, response) =>
        response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${body}`);
    const error = (code: string) => xml(403, `<Error><Code>${code}</Code></Error>`);
    const type = { 'x-amzn-errortype': 'AccessDeniedException:http://internal/' };
    const cases: readonly (readonly [handler: Handler, reason: string])[] = [
      [error('InvalidAccessKeyId'), 'refused_credentials'],
      [error('ExpiredToken'), 'expired'],
      [error('Odd'), 'unexpected_response'],
      [json(403, { Error: { Code: 'SignatureDoesNotMatch' } }), 'refused_credentials'],
      [json(403, {}, type), 'permission_missing'],
      [json(200, {}), 'unexpected_response'],
      [xml(200, '<ListAllMyBucketsResult/>'), 'accepted'],
    ];
    for (const [handler, reason] of cases) {
      const { output } = await reasonOf(handler, { definition, values: { token: TOKEN, id: 'AKIA1' } });
      expect(output.reason, output.message).toBe(reason);
    }
  });

  test('of an access token uses introspection if the client is stored, else user-info', async () => {
    const oauth = {
      token_url: `https://${HOST}/token`,
      introspection_url: `https://${HOST}/introspect`,
      userinfo_url: `https://${HOST}/userinfo`,
      ...{ scopes: [], pkce: false, grants: ['client_credentials'] },
      ...{ client_id_field: 'id', client_secret_field: 'secret', access_token_field: 'token' },
    };
    const definition = definitionOf(BEARER, { fields: ['token', 'secret'], plain: ['id'], oauth });
    const token = 'token-7f3a91c2';
    const values = { token, id: 'app', secret: 's3cret-81' };
    const inactive = await reasonOf(json(200, { active: false }), { definition, values });
    expect(inactive.found).toEqual(['invalid', 'refused_credentials']);
    const active = await reasonOf(json(200, { active: true, username: 'ann' }), { definition, values });
    expect([...active.found, active.output.account]).toEqual(['valid', 'accepted', 'ann']);
    const [sent] = active.upstream.requests;
    expect([sent?.path, String(sent?.body)]).toEqual(['/introspect', `token=${token}`]);
    expect(sent?.headers.authorization).toBe(`Basic ${btoa('app:s3cret-81')}`);
    const user = await reasonOf(json(200, { sub: '7' }), { definition, values: { token } });
    expect([...user.found, user.output.account]).toEqual(['valid', 'accepted', '7']);
    expect(user.upstream.requests[0]?.headers.authorization).toBe(`Bearer ${token}`);
  });

  test('returns not_testable without a test in the definition, and names the documentation', async () => {
    const { found, output, upstream } = await reasonOf(json(200, {}), { definition: definitionOf(BEARER) });
    expect(found).toEqual(['unknown', 'not_testable']);
    expect(output.next).toContain('docs/definitions.md');
    expect(upstream.requests).toEqual([]);
  });

  test('keeps the result, marks a refused credential, and accepts it again, with audit entries', async () => {
    let status = 401;
    await startUpstream([HOST], (_, response) => json(status, { name: 'Ann' })({} as never, response));
    const { run } = await openTests();
    const refused = await run();
    expect(refused.status).toMatchObject({ status: 'rejected', last_test: { result: 'invalid' } });
    status = 429;
    expect((await run()).status).toMatchObject({ status: 'rejected', last_test: { result: 'unknown' } });
    status = 200;
    const accepted = await run();
    expect(accepted.status.status).not.toBe('rejected');
    expect(accepted.status.last_test).toMatchObject({ result: 'valid', account: 'Ann' });
    expect(JSON.stringify(accepted.audit)).toMatch(/"kind":"test"/);
  });
});
