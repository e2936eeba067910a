/** Host and Origin checks, against pages in a browser (DNS rebinding, cross-origin requests). */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import { HostAllowList } from '../../../src/http/request/host_check.ts';
import { isLoopbackHost } from '../../../src/io/server_url.ts';
import { startHttpServer, type TestHttpServer } from '../../kit/http/http_server.ts';
import { headerOf, sendLines, statuses } from '../../kit/http/raw_request.ts';
import { testDialect } from '../test_dialect.ts';

async function get(
  server: TestHttpServer,
  lines: readonly string[],
  target = '/toy/items/1',
): Promise<string> {
  const key = `X-API-Key: ${await server.key()}`;
  return sendLines(server.url, [`GET ${target} HTTP/1.1`, ...lines, key, 'Connection: close']);
}

describe('a Host that is not allowed', () => {
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
  ])('Host %j is rejected, with a valid key or without', async (host) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await get(server, [`Host: ${host}`]);
    expect([400, 403]).toContain(statuses(response)[0]);
    expect(headerOf(response, 'X-Request-ID')).toMatch(/^[0-9A-Z]{26}$/);
    expect(response).not.toContain('attacker');
    const metrics = await get(server, [`Host: ${host}`], '/metrics');
    expect([400, 403]).toContain(statuses(metrics)[0]);
  });

  test('a Host that is not allowed is 403 in the format of the dialect', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const response = await get(server, ['Host: attacker.example']);
    expect(statuses(response)).toEqual([403]);
    expect(response).toContain('"toy":"FORBIDDEN"');
    expect(server.log.at(-1)?.fields).toMatchObject({ status: 403, code: 'FORBIDDEN' });
  });

  test('a missing Host, two Hosts, and another host in the target are rejected', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect(statuses(await get(server, []))).toEqual([400]);
    expect(statuses(await get(server, ['Host:']))).toEqual([403]);
    expect(statuses(await get(server, ['Host: localhost', 'Host: localhost']))).toEqual([403]);
    expect(statuses(await get(server, ['Host: localhost', 'Host: attacker.example']))).toEqual([403]);
    const absolute = 'http://attacker.example/toy/items/1';
    expect(statuses(await get(server, ['Host: localhost'], absolute))).toEqual([403]);
    expect(statuses(await get(server, ['Host: attacker.example'], 'http://localhost/toy/items/1'))).toEqual([
      403,
    ]);
  });

  test('forwarding headers do not make a Host allowed', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: { behind_proxy: true } });
    const lines = ['Host: attacker.example', 'X-Forwarded-Host: localhost', 'Forwarded: host=localhost'];
    expect(statuses(await get(server, lines))).toEqual([403]);
  });
});

describe('an allowed Host', () => {
  test.each([
    'localhost',
    'LOCALHOST:1',
    '127.0.0.1:65535',
    '[::1]',
    '[0:0:0:0:0:0:0:1]:80',
    '127.1',
    '[::ffff:127.0.0.1]',
  ])('the loopback Host %s is allowed', async (host) => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect(statuses(await get(server, [`Host: ${host}`]))).toEqual([200]);
  });

  test('the Host of the public URL and of the setting are allowed', async () => {
    const server = await startHttpServer({
      dialects: [testDialect],
      public_url: 'https://vault.example.com/keyhold',
      settings: { allowed_hosts: ['vault.internal', 'FD00::1', 'fe80::1%eth0', '::ffff:10.0.0.5'] },
    });
    const spelled = ['[fd00:0::1]:80', '[fe80::1%25eth0]:8787', '[fe80::1]', '10.0.0.5:8787'];
    for (const host of ['vault.example.com', 'vault.internal:8787', '[fd00::1]', ...spelled])
      expect([host, statuses(await get(server, [`Host: ${host}`]))]).toEqual([host, [200]]);
    expect(statuses(await get(server, ['Host: x.vault.example.com']))).toEqual([403]);
  });

  test('an allowed host in the target is accepted', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    expect(statuses(await get(server, ['Host: localhost'], 'http://localhost/toy/items/1'))).toEqual([200]);
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
  ])('Origin %j is rejected', async (origin) => {
    const server = await startHttpServer({
      dialects: [testDialect],
      public_url: 'https://vault.example.com',
    });
    const response = await get(server, ['Host: localhost:8787', `Origin: ${origin}`]);
    expect(statuses(response)).toEqual([403]);
    expect(headerOf(response, 'Access-Control-Allow-Origin')).toBeUndefined();
  });

  test('the public Origin and the Origin that equals Host are allowed', async () => {
    const server = await startHttpServer({
      dialects: [testDialect],
      public_url: 'https://vault.example.com',
    });
    for (const origin of ['https://vault.example.com', 'http://localhost:8787', 'https://localhost:8787'])
      expect(statuses(await get(server, ['Host: localhost:8787', `Origin: ${origin}`]))).toEqual([200]);
  });

  test('a foreign Origin is rejected before authentication, for a preflight too', async () => {
    const server = await startHttpServer({ dialects: [testDialect] });
    const lines = ['OPTIONS /toy/items/1 HTTP/1.1', 'Host: localhost', 'Origin: https://attacker.example'];
    const response = await sendLines(server.url, [
      ...lines,
      'Access-Control-Request-Method: PUT',
      'Connection: close',
    ]);
    expect(statuses(response)).toEqual([403]);
    expect(response.toLowerCase()).not.toContain('access-control');
  });
});

describe('a cross-site request without an Origin', () => {
  test('a cross-site request to a route with a key is rejected and does not count as a failure', async () => {
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
      expect(statuses(await get(server, ['Host: localhost', `Sec-Fetch-Site: ${site}`]))).toEqual([200]);
  });

  test('a cross-site request to an open page is allowed, as for a link', async () => {
    const server = await startHttpServer();
    const lines = ['Host: localhost', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate'];
    expect(statuses(await get(server, lines, '/healthz'))).toEqual([200]);
  });
});

describe('isLoopbackHost', () => {
  test.each([
    'localhost',
    'LocalHost',
    '127.0.0.1',
    '127.1.2.3',
    '::1',
    '[::1]',
    '127.1',
    '::ffff:127.0.0.1',
    '0:0:0:0:0:0:0:1',
  ])('isLoopbackHost returns true for %s', (host) => {
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
  ])('isLoopbackHost returns false for %j', (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});

test('HostAllowList throws a VaultError for another Host', () => {
  const hosts = new HostAllowList([], 'http://127.0.0.1:8787');
  expect(() => hosts.assertAllowed('attacker.example', undefined, '/')).toThrow(VaultError);
  expect(() => hosts.assertAllowed('127.0.0.1:8787', undefined, '/')).not.toThrow();
});
