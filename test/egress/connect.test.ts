/** Connections without HTTP: the same checks of the host, TLS for its name, and limits. */
import { createServer as createTcpServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { EGRESS_REQUESTS_PER_PRINCIPAL_MAX } from '../../src/contract/limits.ts';
import { startForwardProxy } from '../kit/http/forward_proxy.ts';
import { issueCertificate } from '../kit/upstream/certificates.ts';
import { listen, openEgress } from './servers.ts';

const NAME = 'db.example.com';
const listenEcho = () =>
  listen(createTcpServer((socket) => socket.on('error', () => undefined).pipe(socket)));

describe('a connection', () => {
  test.each(['', 'a b', 'user@host', 'host/path', 'host:1', '::1', 'a\0b', 'ä.example', 'host.', '[::1'])(
    'to the host %j is refused as invalid',
    async (host) => {
      await expect(openEgress('127.0.0.1').connect({ host, port: 5432, tls: false })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      });
    },
  );

  test.each([0, -1, 65_536, 1.5, Number.NaN])('to the port %s is refused as invalid', async (port) => {
    await expect(openEgress('127.0.0.1').connect({ host: NAME, port, tls: false })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  });

  test.each(['127.0.0.1', '0x7f.1', '2130706433', '[::1]', '[::ffff:127.0.0.1]', NAME])(
    'to %s is refused unless the operator allows its address',
    async (host) => {
      await expect(openEgress('').connect({ host, port: 5432, tls: false })).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
    },
  );

  test('to our own server is refused', async () => {
    const egress = openEgress('127.0.0.1', { own_ports: () => [8787] });
    await expect(egress.connect({ host: NAME, port: 8787, tls: false })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('goes to the checked address, past the proxy, and returns it', async () => {
    const proxy = await startForwardProxy();
    const egress = openEgress(NAME, { proxy: { url: proxy.url, bypass: [] } });
    const { socket, address } = await egress.connect({ host: NAME, port: await listenEcho(), tls: false });
    const received = new Promise((resolve) => socket.once('data', (chunk) => resolve(String(chunk))));
    socket.write('hello');
    expect([await received, address]).toEqual(['hello', '127.0.0.1']);
    expect(proxy.requested).toEqual([]);
    socket.destroy();
  });

  test('with TLS has the name of the host and no protocol of HTTP', async () => {
    let seen: unknown;
    const server = createTlsServer(issueCertificate([NAME]), (socket) => {
      seen = [Reflect.get(socket, 'servername'), socket.alpnProtocol];
      socket.on('error', () => undefined).end('ok');
    });
    const { socket } = await openEgress('127.0.0.1').connect({
      host: NAME,
      port: await listen(server),
      tls: true,
    });
    socket.resume();
    await new Promise((resolve) => socket.once('end', resolve));
    expect(seen).toEqual([NAME, false]);
    socket.destroy();
  });

  test('that is refused is an error with the reason', async () => {
    const port = await listenEcho();
    const free = port === 1 ? 2 : 1;
    await expect(
      openEgress('127.0.0.1').connect({ host: NAME, port: free, tls: false }),
    ).rejects.toMatchObject({ code: 'UPSTREAM', message: 'The service refused the connection.' });
  });

  test('is closed with the egress', async () => {
    const egress = openEgress('127.0.0.1');
    const { socket } = await egress.connect({ host: NAME, port: await listenEcho(), tls: false });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await egress.close();
    await closed;
    await expect(egress.connect({ host: NAME, port: await listenEcho(), tls: false })).rejects.toMatchObject({
      code: 'UPSTREAM',
      message: expect.stringContaining('shutting down'),
    });
  });

  test('without a listener for errors is closed when the service resets it', async () => {
    const port = await listen(createTcpServer((socket) => setImmediate(() => socket.resetAndDestroy())));
    const { socket } = await openEgress('127.0.0.1').connect({ host: NAME, port, tls: false });
    await new Promise((resolve) => socket.resume().once('close', resolve));
    expect(socket.errored).toMatchObject({ code: 'ECONNRESET' });
  });

  test('counts until it is closed, and one principal does not use the share of another', async () => {
    const port = await listenEcho();
    const egress = openEgress('127.0.0.1');
    const open = (principal: string) => egress.connect({ host: NAME, port, tls: false, principal });
    const opened = await Promise.all(
      Array.from({ length: EGRESS_REQUESTS_PER_PRINCIPAL_MAX }, () => open('acme/ana')),
    );
    await expect(open('acme/ana')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    const other = await open('acme/ben');
    const [first] = opened;
    const closed = new Promise((resolve) => first?.socket.once('close', resolve));
    first?.socket.destroy();
    await closed;
    const again = await open('acme/ana');
    for (const { socket } of [...opened, other, again]) socket.destroy();
  });
});
