/** Hosts that an attacker chooses: spellings of private addresses, names that change, and paths that look like hosts. */

import { createServer } from 'node:https';
import { describe, expect, test } from 'vitest';
import { AllowList } from '../../src/egress/allow_list.ts';
import { issueCertificate } from '../kit/upstream/certificates.ts';
import { GET, listen, listenTls, openEgress, send } from './servers.ts';

describe('an origin', () => {
  test.each([
    'https://127.0.0.1',
    'https://127.1',
    'https://0177.0.0.1',
    'https://0x7f.1',
    'https://0x7f000001',
    'https://2130706433',
    'https://017700000001',
    'https://127.0.0.1.',
    'https://127。0。0。1',
    'https://①②⑦.0.0.1',
    'https://0',
    'https://[::1]',
    'https://[0:0:0:0:0:0:0:1]',
    'https://[::ffff:127.0.0.1]',
    'https://[::ffff:7f00:1]',
    'https://[::127.0.0.1]',
    'https://[64:ff9b::127.0.0.1]',
    'https://[64:ff9b::a9fe:a9fe]',
    'https://[2002:7f00:1::]',
    'https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
    'https://[fd00:ec2::254]',
    'https://[fe80::1]',
    'https://169.254.169.254',
    'https://0xa9fea9fe',
    'https://100.100.100.200',
  ])('with the address %s is refused in its canonical form', async (spelling) => {
    await expect(openEgress('').resolve(new URL(spelling).origin)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test.each([
    'https://127.1',
    'https://0x7f000001',
    'https://API.example.com',
    'https://bücher.example',
    'https://api.example.com/',
    'https://api.example.com:443',
    'https://user@api.example.com',
    'https://user:password@api.example.com',
    'https://api.example.com#x',
    'https://api.example.com.',
    'https://api.example.com\\@evil.example',
    'https:api.example.com',
    '//api.example.com',
    'ftp://api.example.com',
    'file:///etc/passwd',
    'unix:/run/docker.sock',
    'javascript:alert(1)',
    'null',
    '',
  ])('that is not canonical is refused without a resolution: %s', async (origin) => {
    let lookups = 0;
    const egress = openEgress('0.0.0.0/0', {
      lookup: async () => {
        lookups += 1;
        return ['127.0.0.1'];
      },
    });
    await expect(egress.resolve(origin)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(lookups).toBe(0);
  });

  test('with an internationalized name is in ASCII in TLS and in the header Host', async () => {
    const name = 'xn--bcher-kva.example';
    let host: unknown;
    const port = await listen(
      createServer(issueCertificate([name]), (request, response) => {
        host = request.headers.host;
        response.end();
      }),
    );
    await send(openEgress('127.0.0.1'), new URL(`https://bücher.example:${port}`).origin);
    expect(host).toBe(`${name}:${port}`);
  });

  test('of an allowed host permits no other name that resolves to a private address', async () => {
    const egress = openEgress('git.corp.example, *.lan.example');
    for (const origin of [
      'https://git.corp.example.evil.example',
      'https://evilgit.corp.example',
      'https://lan.example',
      'https://evillan.example',
    ])
      await expect(egress.resolve(origin)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await egress.resolve('https://a.lan.example')).toMatchObject({ addresses: ['127.0.0.1'] });
  });

  test('that resolves to a public address first and a private one later stays at the first', async () => {
    const results = [['127.0.0.1'], ['127.0.0.2'], ['10.0.0.1']];
    let lookups = 0;
    let connections = 0;
    const port = await listenTls((_request, response) => {
      connections += 1;
      response.setHeader('connection', 'close').end();
    });
    // 127.0.0.1 has the part of the public address.
    const egress = openEgress('127.0.0.1', { lookup: async () => results[lookups++] ?? [] });
    const target = await egress.resolve(`https://login.test:${port}`);
    for (let at = 0; at < 5; at++) {
      const { body } = await egress.request(target, GET);
      for await (const _ of body);
    }
    expect([lookups, connections]).toEqual([1, 5]);
    for (let at = 0; at < 2; at++)
      await expect(egress.resolve(`https://login.test:${port}`)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('of which one of many addresses is private is refused', async () => {
    const lookup = async () => [...Array(50).fill('93.184.215.14'), '192.168.1.1'];
    await expect(openEgress('', { lookup }).resolve('https://a.example')).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    for (const wrong of ['', 'localhost', '1.2.3', '::ffff:127.0.0.1%eth0'])
      await expect(
        openEgress('', { lookup: async () => [wrong] }).resolve('https://a.example'),
      ).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('a path', () => {
  test.each([
    '//evil.example/x',
    '/\\evil.example',
    '/@evil.example',
    '/https://evil.example/',
    '/..//evil.example',
    '/x?url=https://evil.example&b=\\c',
    '/%0d%0aX:%20y',
  ])('%s leads to no other host', async (path) => {
    let received: unknown;
    const port = await listenTls((request, response) => {
      received = [request.headers.host, request.url, Object.keys(request.headers)];
      response.end();
    });
    const sent = send(openEgress('127.0.0.1'), `https://login.test:${port}`, { path });
    if (path.startsWith('/\\')) await expect(sent).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    else {
      await sent;
      expect(received).toEqual([`login.test:${port}`, path, ['host', 'connection']]);
    }
  });

  test.each([
    '',
    '*',
    'evil.example:443',
    '/a b',
    '/a\tb',
    '/a\0b',
    '/a\nb',
    '/ä',
    '/a#b',
    '/\u010d\u010a',
    '@evil.example/',
  ])('%j cannot be sent', async (path) => {
    const egress = openEgress('127.0.0.1');
    const target = { origin: 'https://login.test', addresses: ['127.0.0.1'] };
    await expect(egress.request(target, { ...GET, path })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});

describe('a header', () => {
  test.each([
    ['X', 'a\r\nHost: evil.example'],
    ['X', 'a\nb'],
    ['X', 'a\rb'],
    ['X', 'a\0b'],
    ['X', '\u010d\u010aHost: evil'],
    ['X\r\nY', 'a'],
    ['X:', 'a'],
    ['', 'a'],
    ['hOsT', 'evil.example'],
    ['Content-Length', '0'],
    ['transfer-encoding', 'chunked'],
    ['Connection', 'close'],
    ['Connection', 'X-Secret'],
    ['Keep-Alive', 'timeout=1'],
    ['Upgrade', 'h2c'],
    ['TE', 'trailers'],
    ['Trailer', 'X'],
    ['Expect', '100-continue'],
    ['Proxy-Connection', 'keep-alive'],
  ])('%j: %j cannot be sent', async (name, value) => {
    let requests = 0;
    const port = await listenTls((_request, response) => {
      requests += 1;
      response.end();
    });
    const sent = send(openEgress('127.0.0.1'), `https://login.test:${port}`, { headers: { [name]: value } });
    await expect(sent).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(requests).toBe(0);
  });
});

test('an allow list for the operator permits every host and address', () => {
  for (const address of ['127.0.0.1', '::1', '10.0.0.1', '2606:4700::1111'])
    expect(AllowList.all().allows('a.example', 443, address)).toBe(true);
  expect(AllowList.none().allows('a.example', 443, '10.0.0.1')).toBe(false);
});
