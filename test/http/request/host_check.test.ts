/** Is the request meant for this server? Host and Origin, as a page in a browser could send them. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { HostAllowList } from '../../../src/http/request/host_check.ts';
import { isLoopbackHost } from '../../../src/io/server_url.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { headerOf, sendLines, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

async function ask(
  server: TestHttpServer,
  lines: readonly string[],
  target = '/toy/items/1',
): Promise<string> {
  const key = `X-API-Key: ${await server.key()}`;
  return sendLines(server.url, [`GET ${target} HTTP/1.1`, ...lines, key, 'Connection: close']);
}

describe('a Host that is not ours', () => {
  test.each([
    'rebind.attacker.example',
    'rebind.attacker.example:8787',
    '127.0.0.1.attacker.example',
    'localhost.attacker.example',
    'attacker.example#localhost',
    'localhost@attacker.example',
    '0.0.0.0',
    '0',
    '169.254.169.254',
    '[::ffff:10.0.0.1]',
    'localhost:8787:8787',
    'localhost, localhost',
    '[::1',
    'local\thost',
    'löcalhost',
    '.',
  ])('%j gets no further, with a good key or without', async (host) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const answer = await ask(server, [`Host: ${host}`]);
    expect([400, 403]).toContain(statuses(answer)[0]);
    expect(headerOf(answer, 'X-Request-ID')).toMatch(/^[0-9A-Z]{26}$/);
    expect(answer).not.toContain('attacker');
    const health = await ask(server, [`Host: ${host}`], '/healthz');
    expect([400, 403]).toContain(statuses(health)[0]);
  });

  test('is answered with 403, in the way of the dialect', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const answer = await ask(server, ['Host: attacker.example']);
    expect(statuses(answer)).toEqual([403]);
    expect(answer).toContain('"toy":"FORBIDDEN"');
    expect(server.log.at(-1)?.fields).toMatchObject({ status: 403, code: 'FORBIDDEN' });
  });

  test('does not get by beside one that is: none, two, or another one in the target', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect(statuses(await ask(server, []))).toEqual([400]);
    expect(statuses(await ask(server, ['Host:']))).toEqual([403]);
    expect(statuses(await ask(server, ['Host: localhost', 'Host: localhost']))).toEqual([403]);
    expect(statuses(await ask(server, ['Host: localhost', 'Host: attacker.example']))).toEqual([403]);
    const absolute = 'http://attacker.example/toy/items/1';
    expect(statuses(await ask(server, ['Host: localhost'], absolute))).toEqual([403]);
    expect(statuses(await ask(server, ['Host: attacker.example'], 'http://localhost/toy/items/1'))).toEqual([
      403,
    ]);
  });

  test('is not mended by what a proxy would say', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: { behind_proxy: true } });
    const lines = ['Host: attacker.example', 'X-Forwarded-Host: localhost', 'Forwarded: host=localhost'];
    expect(statuses(await ask(server, lines))).toEqual([403]);
  });
});

describe('a Host that is ours', () => {
  test.each(['localhost', 'LOCALHOST:1', '127.0.0.1:65535', '[::1]'])('%s is loopback', async (host) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect(statuses(await ask(server, [`Host: ${host}`]))).toEqual([200]);
  });

  test('is the one of the public URL, and those of the setting', async () => {
    const server = await startHttpServer({
      dialects: [testDialect],
      public_url: 'https://vault.example.com/keyhold',
      settings: { allowed_hosts: ['vault.internal', 'FD00::1'] },
    });
    for (const host of ['vault.example.com', 'vault.internal:8787', '[fd00::1]'])
      expect([host, statuses(await ask(server, [`Host: ${host}`]))]).toEqual([host, [200]]);
    expect(statuses(await ask(server, ['Host: x.vault.example.com']))).toEqual([403]);
  });

  test('may stand in the target too', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect(statuses(await ask(server, ['Host: localhost'], 'http://localhost/toy/items/1'))).toEqual([200]);
  });
});

describe('an Origin', () => {
  test.each([
    'null',
    'https://attacker.example',
    'http://localhost',
    'http://localhost:3000',
    'https://vault.example.com.attacker.example',
    'http://vault.example.com',
    'chrome-extension://abc',
    'file://',
    '',
    'http://localhost:8787 http://attacker.example',
  ])('%j is another site, and gets no further', async (origin) => {
    const server = await startHttpServer({
      dialects: [testDialect],
      public_url: 'https://vault.example.com',
    });
    const answer = await ask(server, ['Host: localhost:8787', `Origin: ${origin}`]);
    expect(statuses(answer)).toEqual([403]);
    expect(headerOf(answer, 'Access-Control-Allow-Origin')).toBeUndefined();
  });

  test('that is ours is let in: the public one, and the one that Host says', async () => {
    const server = await startHttpServer({
      dialects: [testDialect],
      public_url: 'https://vault.example.com',
    });
    for (const origin of ['https://vault.example.com', 'http://localhost:8787', 'https://localhost:8787'])
      expect(statuses(await ask(server, ['Host: localhost:8787', `Origin: ${origin}`]))).toEqual([200]);
  });

  test('of another site is refused before the key is looked at, for a preflight too', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const lines = ['OPTIONS /toy/items/1 HTTP/1.1', 'Host: localhost', 'Origin: https://attacker.example'];
    const answer = await sendLines(server.url, [
      ...lines,
      'Access-Control-Request-Method: PUT',
      'Connection: close',
    ]);
    expect(statuses(answer)).toEqual([403]);
    expect(answer.toLowerCase()).not.toContain('access-control');
  });
});

describe('what a page of another site makes a browser send without an Origin', () => {
  test('is refused where a key is needed, and does not count against the address', async () => {
    const limits = { requests_per_minute: 0, auth_failures_per_minute: 1 };
    const server = await startHttpServer({ dialects: [testDialect], settings: { limits } });
    for (const site of ['cross-site', 'same-site', 'cross-site']) {
      const lines = [
        'GET /toy/items/1 HTTP/1.1',
        'Host: localhost',
        `Sec-Fetch-Site: ${site}`,
        'Connection: close',
      ];
      expect(statuses(await sendLines(server.url, lines))).toEqual([403]);
    }
    for (const site of ['same-origin', 'none'])
      expect(statuses(await ask(server, ['Host: localhost', `Sec-Fetch-Site: ${site}`]))).toEqual([200]);
  });

  test('gets to see a page that is open to everybody, as when it follows a link', async () => {
    const server = await startHttpServer();
    const lines = ['Host: localhost', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate'];
    expect(statuses(await ask(server, lines, '/healthz'))).toEqual([200]);
  });
});

describe('isLoopbackHost', () => {
  test.each(['localhost', 'LocalHost', '127.0.0.1', '127.1.2.3', '::1', '[::1]'])('%s is', (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  });
  test.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '127.0.0.1.example.com',
    '1127.0.0.1',
    '127.0.0.1000',
    '::1%eth0',
    'localhost.example.com',
    '',
  ])('%j is not', (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});

test('KnownHosts throws FORBIDDEN with 403', () => {
  const hosts = new HostAllowList([], 'http://127.0.0.1:8787');
  expect(() => hosts.assertAllowed('attacker.example', undefined, '/')).toThrow(VaultError);
  expect(() => hosts.assertAllowed('127.0.0.1:8787', undefined, '/')).not.toThrow();
});
