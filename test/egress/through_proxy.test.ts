/** Requests through the forward proxy: which hosts are checked, what the proxy sees, and how it can fail. */
import { createServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { startForwardProxy } from '../kit/http/forward_proxy.ts';
import { issueCertificate } from '../kit/upstream/certificates.ts';
import { listen, listenRaw, openEgress, send } from './servers.ts';

const NAME = 'api.example.com';
const PUBLIC = async () => ['93.184.215.14'];
const UNRESOLVED = async () => Promise.reject(new Error('ENOTFOUND'));

async function startUpstream(certificate = issueCertificate([NAME])) {
  const received: string[] = [];
  const port = await listen(
    createServer(certificate, (request, response) => {
      received.push(
        `${request.headers.host} ${request.headers.authorization} ${request.headers['proxy-authorization']}`,
      );
      response.end('ok');
    }),
  );
  return { origin: `https://${NAME}:${port}`, host: `${NAME}:${port}`, received };
}

const through = (url: string, lookup = PUBLIC, allow = '') =>
  openEgress(allow, { proxy: { url, bypass: ['direct.example.com'] }, lookup });

describe('a request through the proxy', () => {
  test.each(['10.0.0.1', '127.0.0.1', '169.254.169.254', '::1'])(
    'to a host that resolves to %s is refused before the proxy is used',
    async (address) => {
      const proxy = await startForwardProxy();
      const egress = through(proxy.url, async () => ['93.184.215.14', address]);
      await expect(egress.resolve(`https://${NAME}`)).rejects.toMatchObject({ code: 'FORBIDDEN' });
      expect(proxy.requested).toEqual([]);
    },
  );

  test.each([
    'https://10.0.0.1',
    'https://169.254.169.254',
    'https://[fd00::1]',
    'https://[::ffff:a00:1]',
    'https://metadata',
    'https://metadata.google.internal',
    'https://printer.local',
    'https://git.corp',
    'https://nas.home.arpa',
  ])('to %s is refused where only the proxy can resolve names', async (origin) => {
    const egress = through('http://127.0.0.1:1', UNRESOLVED);
    await expect(egress.resolve(origin)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('to a private name that the operator allows goes to the proxy', async () => {
    const egress = through('http://127.0.0.1:1', UNRESOLVED, 'git.corp:8443,*.internal');
    for (const origin of ['https://git.corp:8443', 'https://a.b.internal'])
      expect(await egress.resolve(origin)).toMatchObject({ addresses: [] });
    await expect(egress.resolve('https://git.corp')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('to a host in NO_PROXY that does not resolve is an error', async () => {
    const egress = through('http://127.0.0.1:1', UNRESOLVED);
    await expect(egress.resolve('https://direct.example.com')).rejects.toMatchObject({ code: 'UPSTREAM' });
    await expect(egress.resolve('http://api.example.com')).rejects.toMatchObject({ code: 'UPSTREAM' });
  });

  test.each([
    ['resolves', PUBLIC],
    ['is resolved by the proxy only', UNRESOLVED],
  ])('to a host that %s names the host, and the credentials of the two stay apart', async (_what, lookup) => {
    const proxy = await startForwardProxy();
    const { origin, host, received } = await startUpstream();
    const egress = through(proxy.url.replace('//', '//ana:p%40ss@'), lookup);
    const headers = { authorization: 'Bearer credential-of-the-service' };
    for (let at = 0; at < 2; at++) expect((await send(egress, origin, { headers })).text).toBe('ok');
    const line = `${host} Bearer credential-of-the-service undefined`;
    expect(received).toEqual([line, line]);
    expect(proxy.requested.every(([target, user]) => target === host && user === 'ana:p@ss')).toBe(true);
  });

  test('verifies TLS for the name from end to end', async () => {
    const proxy = await startForwardProxy();
    for (const certificate of [
      issueCertificate(['other.example.com']),
      issueCertificate([NAME], [-20, -10]),
    ]) {
      const { origin, received } = await startUpstream(certificate);
      await expect(send(through(proxy.url), origin)).rejects.toMatchObject({
        code: 'UPSTREAM',
        message: expect.stringMatching(/for another host|has expired/),
      });
      expect(received).toEqual([]);
    }
  });

  test('goes through a proxy with https, whose certificate is verified too', async () => {
    const { origin } = await startUpstream();
    const proxy = await startForwardProxy();
    const inner = Number(new URL(proxy.url).port);
    // TLS in front of the proxy.
    const { connect } = await import('node:net');
    const { createServer: createTlsServer } = await import('node:tls');
    const start = (names: readonly string[]) =>
      listen(
        createTlsServer(issueCertificate(names), (socket) => {
          const target = connect(inner, '127.0.0.1');
          target.on('error', () => socket.destroy());
          socket
            .on('error', () => target.destroy())
            .pipe(target)
            .pipe(socket);
        }),
      );
    const good = await start(['localhost']);
    expect((await send(through(`https://localhost:${good}`), origin)).text).toBe('ok');
    const bad = await start(['other.example.com']);
    await expect(send(through(`https://localhost:${bad}`), origin)).rejects.toMatchObject({
      message: 'The proxy cannot be reached. Check HTTPS_PROXY.',
    });
  });

  test.each([
    [407, /refused/],
    [502, /refused/],
    [302, /refused/],
  ])('that the proxy refuses with %s is an error that names the settings', async (status, message) => {
    const proxy = await startForwardProxy(status);
    const { origin, received } = await startUpstream();
    await expect(send(through(proxy.url), origin)).rejects.toMatchObject({
      code: 'UPSTREAM',
      message: expect.stringMatching(message),
    });
    expect(received).toEqual([]);
  });

  test('is an error if the proxy cannot be reached, closes the connection or sends garbage', async () => {
    const { origin } = await startUpstream();
    const closing = await listen(createTcpServer((socket) => socket.destroy()));
    const garbage = await listenRaw((socket) => void socket.end('garbage\r\n\r\n'));
    for (const port of [1, closing, new URL(garbage.origin).port])
      await expect(send(through(`http://127.0.0.1:${port}`), origin)).rejects.toMatchObject({
        code: 'UPSTREAM',
        message: 'The proxy cannot be reached. Check HTTPS_PROXY.',
      });
  });
});
