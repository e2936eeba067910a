import { createServer as createHttpServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { EGRESS_CONNECTIONS_PER_HOST_MAX } from '../../src/contract/limits.ts';
import { TEST_CERT, TEST_CERT_KEY } from '../kit/http/certificate.ts';
import { GET, listen, listenTls, openEgress, send } from './servers.ts';

describe('a request', () => {
  test('goes to the checked address with the name of the host in TLS and in the header Host', async () => {
    let names: unknown;
    const port = await listenTls((request, response) => {
      names = [request.headers.host, Reflect.get(request.socket, 'servername')];
      response.setHeader('Set-Cookie', ['a=1', 'b=2']).end('hello');
    });
    const egress = openEgress('login.test');
    const response = await send(egress, `https://login.test:${port}`);
    expect([response.status, response.text]).toEqual([200, 'hello']);
    expect(names).toEqual([`login.test:${port}`, 'login.test']);
    expect(response.headers.filter(([name]) => name === 'set-cookie')).toEqual([
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ]);
  });

  test('has the method, path, headers and body that it was given, and no others', async () => {
    let received: unknown;
    const port = await listenTls(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { host: _, connection: __, ...headers } = request.headers;
      received = [request.method, request.url, headers, Buffer.concat(chunks).toString()];
      response.end();
    });
    const origin = `https://login.test:${port}`;
    await send(openEgress('login.test'), origin, {
      method: 'POST',
      path: '/a%2Fb?c=d',
      headers: { authorization: 'Bearer x', 'content-type': 'text/plain' },
      body: Buffer.from('the body'),
    });
    expect(received).toEqual([
      'POST',
      '/a%2Fb?c=d',
      { authorization: 'Bearer x', 'content-type': 'text/plain', 'content-length': '8' },
      'the body',
    ]);
  });

  test('returns a redirect and does not follow it', async () => {
    let requests = 0;
    const port = await listenTls((_request, response) => {
      requests += 1;
      response.writeHead(302, { location: 'https://evil.example/' }).end();
    });
    const response = await send(openEgress('login.test'), `https://login.test:${port}`);
    expect([response.status, requests]).toEqual([302, 1]);
    expect(Object.fromEntries(response.headers)).toMatchObject({ location: 'https://evil.example/' });
  });

  test.each(['CONNECT', 'TRACE', 'TRACK'])('with the method %s is not sent', async (method) => {
    const egress = openEgress('login.test');
    const target = { origin: 'https://login.test', addresses: ['127.0.0.1'] };
    await expect(egress.request(target, { ...GET, method })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  test.each([
    ['a path with a line end', { path: '/a\r\nX: y' }],
    ['a header with a line end', { headers: { a: 'b\r\nc: d' } }],
    ['a header name with a blank', { headers: { 'a b': 'c' } }],
    ['another host', { headers: { Host: 'evil.example' } }],
    ['a length of its own', { headers: { 'content-length': '5' } }],
    ['a coding of the transfer', { headers: { 'Transfer-Encoding': 'chunked' } }],
    ['a proxy header', { headers: { 'Proxy-Authorization': 'x' } }],
    ['the URL of another host as its path', { path: 'http://evil.example/' }],
    ['a path without a slash', { path: 'a' }],
  ])('with %s is not sent', async (_what, wrong) => {
    let requests = 0;
    const port = await listenTls((_request, response) => {
      requests += 1;
      response.end();
    });
    const sent = send(openEgress('login.test'), `https://login.test:${port}`, wrong);
    await expect(sent).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(requests).toBe(0);
  });

  test('can be cancelled', async () => {
    const port = await listenTls(() => undefined);
    const controller = new AbortController();
    const sent = send(openEgress('login.test'), `https://login.test:${port}`, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await expect(sent).rejects.toMatchObject({ code: 'UPSTREAM' });
  });
});

describe('the host of a request', () => {
  test.each([
    ['127.0.0.1'],
    ['10.0.0.1'],
    ['169.254.169.254'],
    ['::ffff:10.0.0.1'],
    ['fd00::1'],
    ['64:ff9b::7f00:1'],
    ['0.0.0.0'],
  ])('is refused if it resolves to %s', async (address) => {
    const lookup = async () => ['93.184.215.14', address];
    await expect(openEgress('', { lookup }).resolve('https://rebind.example')).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('KEYHOLD_EGRESS_ALLOW'),
    });
  });

  test.each([
    'https://127.1',
    'https://0x7f000001',
    'https://2130706433',
    'https://[::1]',
    'https://[::ffff:7f00:1]',
  ])('is refused in the spelling %s', async (spelling) => {
    await expect(openEgress('').resolve(new URL(spelling).origin)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('is resolved once: a second result of the name server is not used', async () => {
    let requests = 0;
    const port = await listenTls((_request, response) => {
      requests += 1;
      response.end();
    });
    const results = [['127.0.0.1'], ['127.0.0.2']];
    let lookups = 0;
    const egress = openEgress('127.0.0.1', { lookup: async () => results[lookups++] ?? [] });
    const target = await egress.resolve(`https://login.test:${port}`);
    for (let at = 0; at < 3; at++) (await egress.request(target, GET)).discard();
    expect(target.addresses).toEqual(['127.0.0.1']);
    expect([lookups, requests]).toEqual([1, 3]);
    await expect(egress.resolve(`https://login.test:${port}`)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('may not be our own server, even if the operator allows loopback', async () => {
    const egress = openEgress('127.0.0.0/8', { own_ports: () => [8787] });
    await expect(egress.resolve('http://login.test:8787')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await egress.resolve('http://login.test:8788')).toMatchObject({ addresses: ['127.0.0.1'] });
  });

  test.each([
    ['fails', async () => Promise.reject(new Error('ENOTFOUND'))],
    ['gives no address', async () => []],
  ])('is an error that names the cause if its resolution %s', async (_what, lookup) => {
    await expect(openEgress('', { lookup }).resolve('https://a.example')).rejects.toMatchObject({
      code: 'UPSTREAM',
      message: expect.stringContaining('has no address'),
    });
  });
});

describe('a service that', () => {
  const failing: readonly (readonly [what: string, start: () => Promise<string>, message: RegExp])[] = [
    [
      'has a self-signed certificate',
      async () =>
        `https://login.test:${await listenTls((_request, response) => response.end(), TEST_CERT, TEST_CERT_KEY)}`,
      /self-signed|another host/,
    ],
    [
      'has the certificate of another host',
      async () => `https://other.test:${await listenTls((_request, response) => response.end())}`,
      /for another host/,
    ],
    ['refuses connections', async () => 'https://login.test:1', /refused the connection/],
    [
      'speaks no TLS',
      async () =>
        `https://login.test:${await listen(createHttpServer((_request, response) => response.end()))}`,
      /TLS handshake/,
    ],
    [
      'sends garbage',
      async () =>
        `http://login.test:${await listen(createTcpServer((socket) => socket.end('garbage\r\n\r\n')))}`,
      /not valid HTTP/,
    ],
    [
      'closes the connection',
      async () => `http://login.test:${await listen(createTcpServer((socket) => socket.destroy()))}`,
      /closed the connection/,
    ],
    [
      'sends endless headers',
      async () =>
        `http://login.test:${await listen(
          createTcpServer((socket) => {
            socket.on('error', () => undefined);
            socket.write(`HTTP/1.1 200 OK\r\n${`x: ${'y'.repeat(1_000)}\r\n`.repeat(200)}`);
          }),
        )}`,
      /headers/,
    ],
  ];
  test.each(failing)('%s is an error that names the cause', async (_what, start, message) => {
    await expect(send(openEgress('127.0.0.1'), await start())).rejects.toMatchObject({
      code: 'UPSTREAM',
      message: expect.stringMatching(message),
    });
  });

  test('truncates its response is an error while the body is read', async () => {
    const port = await listen(
      createTcpServer((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')),
    );
    await expect(send(openEgress('127.0.0.1'), `http://login.test:${port}`)).rejects.toMatchObject({
      code: 'UPSTREAM',
    });
  });

  test('gets no more connections than the limit, and all requests get a response', async () => {
    const sockets = new Set<unknown>();
    const port = await listenTls((request, response) => {
      sockets.add(request.socket);
      setTimeout(() => response.end(), 5);
    });
    const egress = openEgress('127.0.0.1');
    const target = await egress.resolve(`https://login.test:${port}`);
    const one = async () => {
      const response = await egress.request(target, GET);
      for await (const _ of response.body);
      return response.status;
    };
    const statuses = await Promise.all(Array.from({ length: 300 }, one));
    expect(statuses.every((status) => status === 200)).toBe(true);
    expect(sockets.size).toBeLessThanOrEqual(EGRESS_CONNECTIONS_PER_HOST_MAX);
  });
});
