/** The client's transport: where the API key may be sent, and servers that misbehave. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../src/client/keyhold_client.ts';
import type { KeyholdError } from '../../src/client/keyhold_error.ts';
import { findText } from '../kit/canary.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { catchKeyholdError } from './failure_of.ts';
import { closedPort, httpServer, startServerResponding, tcpServer, tlsServer } from './misbehaving_server.ts';

const SECRET = 'Zm9vYmFyYmF6cXV1eGNvcmdlZ3JhdWx0Z2FycGx5d2E';
const KEY = `kh_0123456789abcdef0123456789abcdef_${SECRET}`;
const VALUE = 'lin_api_9f8e7d6c5b4a';
const PUBLIC_KEY = JSON.stringify({ public_key: 'x' });

const client = (url: string, timeout_ms = 5_000) => new KeyholdClient({ url, key: KEY, timeout_ms });

/** Fails if the error contains the key or the value, also in properties that are not enumerable. */
function expectNoSecret(error: KeyholdError): void {
  const shown = [inspect(error, { depth: 10, showHidden: true }), error.stack ?? '', JSON.stringify(error)];
  for (const secret of [SECRET, VALUE])
    expect(findText(Buffer.from(shown.join('\n')), secret)).toStrictEqual([]);
}

describe('the URL of the client', () => {
  test.each([
    ['uses plain http over the internet', 'http://keyhold.example.com', /https:\/\/: over plain http/],
    ['uses plain http in the local network', 'http://192.168.1.7:8787', /this machine only/],
    ['has a loopback address as the start of its host', 'http://127.0.0.1.example.com', /this machine only/],
    ['has localhost as the start of its host', 'http://localhost.example.com', /this machine only/],
    ['is a subdomain of localhost', 'http://keyhold.localhost', /this machine only/],
    ['is the unspecified address', 'http://0.0.0.0:8787', /this machine only/],
    ['has a user', 'https://user@keyhold.example.com', /without a user/],
    ['has a password', 'https://user:secret@keyhold.example.com', /without a user/],
    ['has a query', 'https://keyhold.example.com/?key=secret', /"\?"/],
    ['has a fragment', 'https://keyhold.example.com/#secret', /"#"/],
    ['is the MCP endpoint', 'http://127.0.0.1:8787/mcp', /without \/mcp at its end/],
    ['is the REST prefix', 'https://keyhold.example.com/keyhold/v1//', /without \/v1 at its end/],
    ['is a file', 'file:///etc/passwd', /must begin with https/],
    ['is a script', 'javascript:alert(1)', /must begin with https/],
    ['has another protocol', 'ftp://keyhold.example.com', /must begin with https/],
    ['has no protocol', 'keyhold.example.com', /such as https/],
    ['is empty', '', /such as https/],
  ])('the client rejects a URL that %s', async (_what, url, expected) => {
    const refused = await catchKeyholdError(() => client(url));
    expect(refused).toMatchObject({ code: 'INVALID_INPUT', reason: 'setting_invalid' });
    expect(refused.message).toMatch(expected);
    expect(inspect(refused)).not.toContain('secret');
  });

  test.each([
    'https://keyhold.example.com',
    'https://keyhold.example.com:8443/keyhold/',
    'https://keyhold.example.com/mcp/keyhold',
    'http://localhost:8787',
    'http://127.1.2.3',
    'http://[::1]:8787/',
  ])('the client accepts the URL %s', (url) => {
    expect(client(url)).toBeInstanceOf(KeyholdClient);
    expect(new KeyholdClient({ url: new URL(url), key: KEY })).toBeInstanceOf(KeyholdClient);
  });

  test('the client does not follow a redirect, so that only the first server receives the key', async () => {
    const target = await startServerResponding(200, PUBLIC_KEY);
    for (const status of [301, 302, 303, 307, 308]) {
      const server = await startServerResponding(status, '{}', { Location: `${target.url}/v1/public-key` });
      const refused = await catchKeyholdError(() => client(server.url).getPublicKey());
      expect(refused).toMatchObject({ code: 'UPSTREAM', status });
      expect(refused.message).toContain('redirect');
      expect(server.keys).toEqual([`Bearer ${KEY}`]);
    }
    expect(target.keys).toEqual([]);
  });

  test('the client throws UNAVAILABLE for a server with an untrusted certificate', async () => {
    const openssl = spawnSync('openssl', ['version']);
    if (openssl.status !== 0) return;
    const folder = temporaryFolder();
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const request = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    execFileSync('openssl', [...request, ...curve, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const url = await tlsServer(readFileSync(cert, 'utf8'), readFileSync(key, 'utf8'));
    const refused = await catchKeyholdError(() => client(url).getPublicKey());
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', status: null });
    expect(refused.message).toContain('certificate is not trusted');
    expectNoSecret(refused);
  });
});

describe('the constructor of KeyholdClient', () => {
  test.each([
    '',
    'two words',
    'line\nend',
    'umlaut-ä',
    ` ${KEY}`,
    `${KEY}\r\nX-Evil: 1`,
    'x'.repeat(1025),
    undefined,
    7,
    null,
  ])('KeyholdClient rejects the key %j without repeating it', async (key) => {
    const url = 'https://keyhold.example.com';
    const refused = await catchKeyholdError(() => new KeyholdClient({ url, key: key as string }));
    expect(refused.code).toBe('INVALID_INPUT');
    expectNoSecret(refused);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 31])(
    'KeyholdClient rejects a timeout of %d',
    async (timeout_ms) => {
      const options = { url: 'https://keyhold.example.com', key: KEY, timeout_ms };
      expect((await catchKeyholdError(() => new KeyholdClient(options))).code).toBe('INVALID_INPUT');
    },
  );
});

describe('the key of the client', () => {
  test('the client does not contain its key when it is printed', () => {
    const shown = [
      inspect(client('https://keyhold.example.com'), { depth: 10, showHidden: true }),
      JSON.stringify(client('https://keyhold.example.com')),
      String(client('https://keyhold.example.com')),
    ];
    expect(findText(Buffer.from(shown.join('\n')), SECRET)).toStrictEqual([]);
  });

  test('the client sends the key in one header below the path of its URL, and no key with the health check', async () => {
    const server = await httpServer((request, response) => {
      paths.push(`${request.method} ${request.url}`);
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(PUBLIC_KEY);
    });
    const paths: string[] = [];
    await client(`${server.url}/keyhold/`).getPublicKey();
    await client(`${server.url}/keyhold/`).checkHealth();
    expect(paths).toEqual(['GET /keyhold/v1/public-key', 'GET /keyhold/readyz']);
    expect(server.keys).toEqual([`Bearer ${KEY}`, undefined]);
  });
});

describe('responses and failures of the server', () => {
  const store = (url: string, timeout_ms?: number) =>
    catchKeyholdError(() =>
      client(url, timeout_ms).storeCredential({
        service_id: 'linear',
        credential_type: 'api_key',
        credential_value: VALUE,
      }),
    );

  test('a write with verify waits for the service longer than the timeout of the client', async () => {
    const { url } = await httpServer((_request, response) => {
      setTimeout(() => response.end('{"credential_id":"1","updated_fields":[]}'), 300);
    });
    const slow = client(url, 100);
    const value = { service_id: 'linear', credential_type: 'api_key', credential_value: VALUE } as const;
    const fields = { service_id: 'linear', credentials: { linear_api_key: VALUE } };
    for (const write of [() => slow.storeCredential(value), () => slow.updateCredentials(fields)])
      expect(await catchKeyholdError(write)).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await slow.storeCredential({ ...value, verify: true })).toMatchObject({ credential_id: '1' });
    expect(await slow.updateCredentials({ ...fields, verify: true })).toMatchObject({ updated_fields: [] });
  });

  test.each([
    ['an HTML page', 200, '<!doctype html><p>Welcome', 'UPSTREAM'],
    ['an HTML page with 404', 404, '<!doctype html><p>Not found', 'UPSTREAM'],
    ['an empty body', 200, '', 'UPSTREAM'],
    ['truncated JSON', 200, '{"credential_id":"01', 'UPSTREAM'],
    ['a number', 200, '7', 'UPSTREAM'],
    ['unexpected JSON', 200, '{"ok":true}', 'UPSTREAM'],
    ['another error format', 400, '{"errors":[]}', 'UPSTREAM'],
    ['an HTML page with 502', 502, '<html>Bad gateway', 'UPSTREAM'],
    ['503', 503, '<html>Unavailable', 'UNAVAILABLE'],
    ['429', 429, 'Slow down', 'RATE_LIMITED'],
    ['401', 401, 'Unauthorized', 'UNAUTHENTICATED'],
    ['no content', 204, '', 'UPSTREAM'],
  ])('the client throws KeyholdError if the server responds with %s', async (_what, status, body, code) => {
    const { url } = await startServerResponding(status, body);
    const refused = await store(url);
    expect(refused).toMatchObject({ code, status });
    expect(refused.message).not.toMatch(/<|Slow down|Unauthorized|credential_id/);
    expectNoSecret(refused);
  });

  test('every method of the client throws UPSTREAM for unexpected JSON', async () => {
    const { url } = await startServerResponding(200, '{"detail":"fine"}');
    const vault = client(url);
    for (const act of [
      () => vault.getPublicKey(),
      () => vault.listCredentials(),
      () => vault.listServices(),
      () => vault.listServiceDefinitions(),
      () => vault.listAudit(),
      () => vault.verifyAudit(),
      () => vault.listKeys(),
      () => vault.createKey(),
      () => vault.listUnits(),
      () => vault.createUnit('x'),
      () => vault.whoAmI(),
    ]) {
      expect(await catchKeyholdError(act)).toMatchObject({ code: 'UPSTREAM', status: 200 });
    }
  });

  test('the client truncates a long error message, and replaces control characters and unknown codes', async () => {
    const long = await startServerResponding(
      400,
      JSON.stringify({ detail: `a\u001b[2J\u202e${'b'.repeat(5_000)}`, code: 'INVALID_INPUT' }),
    );
    const refused = await store(long.url);
    expect(refused.message).toHaveLength(1_000);
    expect(refused.message).toMatch(/^a\?\[2J\?b/);
    const unknown_code = await startServerResponding(
      418,
      JSON.stringify({ detail: 'x', code: 'NO_SUCH_CODE', reason: 'A B' }),
    );
    expect(await store(unknown_code.url)).toMatchObject({ code: 'INVALID_INPUT', reason: undefined });
    const proto = await startServerResponding(400, JSON.stringify({ detail: 'x', code: '__proto__' }));
    expect((await store(proto.url)).code).toBe('INVALID_INPUT');
  });

  test('the client throws UNAVAILABLE if the server never responds', async () => {
    const { url } = await httpServer(() => undefined);
    const refused = await store(url, 200);
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', status: null });
    expect(refused.message).toContain('0.2 seconds');
    expectNoSecret(refused);
  });

  test('the client throws UNAVAILABLE if the server never ends its response', async () => {
    const { url } = await httpServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    });
    expect(await store(url, 300)).toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('the client throws UPSTREAM if the server sends an endless body', async () => {
    const chunk = ' '.repeat(1024 * 1024);
    const { url } = await httpServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      const more = () => {
        while (response.write(chunk));
        response.once('drain', more);
      };
      more();
    });
    expect(await store(url, 30_000)).toMatchObject({ code: 'UPSTREAM' });
  });

  test('the client throws UNAVAILABLE if the server closes the connection', async () => {
    const { url } = await httpServer((request) => request.socket.destroy());
    const refused = await store(url);
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', status: null });
    expect(refused.message).toContain('check it before you try again');
    expectNoSecret(refused);
  });

  test('the client throws UNAVAILABLE if the server closes the connection during the body', async () => {
    const { url } = await httpServer((request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
      response.write('{');
      setTimeout(() => request.socket.destroy(), 50);
    });
    expect(await store(url)).toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('the client throws UNAVAILABLE if the server uses another protocol', async () => {
    const refused = await store(await tcpServer('SSH-2.0-OpenSSH_9.6\r\n'));
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', status: null });
    expectNoSecret(refused);
    const plain = await startServerResponding(200, '{}');
    expect((await store(plain.url.replace('http:', 'https:'))).message).toContain('https');
  });

  test('the client throws UNAVAILABLE if the server is unreachable or its host unknown', async () => {
    const refused = await store(`http://127.0.0.1:${await closedPort()}`);
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', status: null });
    expect(refused.message).toContain('Is it running');
    const no_host = await store('https://keyhold.invalid');
    expect(no_host).toMatchObject({ code: 'UNAVAILABLE' });
    expect(no_host.message).toMatch(/Unknown host|looked up/);
  });
});
