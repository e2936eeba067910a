/** Servers that lie about the length of a response, never end it, or send another protocol. */
import { describe, expect, test } from 'vitest';
import { decodeContent } from '../../src/egress/decoder.ts';
import { GET, listenRaw, openEgress, send } from './servers.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const egress = () => openEgress('127.0.0.1');
const upstreamError = (message: RegExp) => ({ code: 'UPSTREAM', message: expect.stringMatching(message) });

describe('a response', () => {
  test.each([
    [
      'is shorter than its Content-Length',
      `${OK}Content-Length: 10\r\n\r\nhalf`,
      /closed the connection|length/,
    ],
    [
      'has two different lengths',
      `${OK}Content-Length: 4\r\nContent-Length: 5\r\n\r\nhello`,
      /not valid HTTP|another length/,
    ],
    [
      'has a length and chunks',
      `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /not valid HTTP|another length/,
    ],
    ['has a negative length', `${OK}Content-Length: -1\r\n\r\nhello`, /not valid HTTP/],
    [
      'has a length that is no number',
      `${OK}Content-Length: 5x\r\n\r\nhello`,
      /not valid HTTP|another length/,
    ],
    [
      'has a huge length',
      `${OK}Content-Length: 99999999999999999999999\r\n\r\nhello`,
      /not valid HTTP|another length/,
    ],
    [
      'has a chunk with an invalid size',
      `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n`,
      /not valid HTTP/,
    ],
    ['ends within a chunk', `${OK}Transfer-Encoding: chunked\r\n\r\nff\r\nhello`, /closed the connection/],
    ['has a header with NUL', `${OK}X: a\0b\r\n\r\n`, /not valid HTTP/],
    ['has a header without a name', `${OK}: b\r\n\r\n`, /not valid HTTP/],
    ['is of another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', /not valid HTTP/],
    ['is TLS', '\x15\x03\x01\x00\x02\x02\x46', /not valid HTTP/],
    [
      'is a switch to another protocol',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      /failed|closed|not valid/,
    ],
  ])('that %s is an error', async (_what, bytes, message) => {
    const { origin } = await listenRaw((socket) => void socket.end(bytes, 'latin1'));
    await expect(send(egress(), origin)).rejects.toMatchObject(upstreamError(message));
  });

  test('that is longer than its Content-Length does not become the response of the next request', async () => {
    const forged = `${OK}Content-Length: 4\r\n\r\nevil`;
    const { origin, connections } = await listenRaw(
      (socket) => void socket.write(`${OK}Content-Length: 5\r\n\r\nhello${forged}`),
    );
    const opened = egress();
    for (let at = 0; at < 3; at++) expect((await send(opened, origin)).text).toBe('hello');
    expect(connections()).toBe(3);
  });

  test('whose headers never end is an error past the limit of bytes', async () => {
    const { origin } = await listenRaw((socket) => {
      socket.write(OK);
      const timer = setInterval(() => socket.write(`x: ${'y'.repeat(8_000)}\r\n`), 5);
      socket.once('close', () => clearInterval(timer));
    });
    await expect(send(egress(), origin)).rejects.toMatchObject(upstreamError(/headers .*larger/));
  });

  test.each([
    ['that sends no headers', (): string => ''],
    ['that sends its headers byte by byte', () => 'x'],
  ])('of a server %s is an error past the limit of time', async (_what, next) => {
    const { origin } = await listenRaw((socket) => {
      if (next() !== '') socket.write(OK);
      const timer = setInterval(() => socket.write(next()), 20);
      socket.once('close', () => clearInterval(timer));
    });
    const started = performance.now();
    await expect(send(egress(), origin, { timeout_ms: 400 })).rejects.toMatchObject(upstreamError(/in time/));
    expect(performance.now() - started).toBeLessThan(3_000);
  });

  test('that trickles without end is cut off at the limit of time', async () => {
    const { origin } = await listenRaw((socket) => {
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n`);
      const timer = setInterval(() => socket.write('1\r\nx\r\n'), 20);
      socket.once('close', () => clearInterval(timer));
    });
    await expect(send(egress(), origin, { timeout_ms: 400 })).rejects.toMatchObject(upstreamError(/in time/));
  });

  test('that floods without end is cut off at the limit of bytes, and its connection closed', async () => {
    let is_closed = false;
    const { origin } = await listenRaw((socket) => {
      socket.once('close', () => {
        is_closed = true;
      });
      const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
      const write = () => {
        while (!is_closed && socket.write(chunk));
      };
      socket.on('drain', write);
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n`);
      write();
    });
    const opened = egress();
    const response = await opened.request(await opened.resolve(origin), GET);
    const read = async () => {
      for await (const _ of decodeContent(response.body, undefined, {
        decoded_bytes: 1_000_000,
        ratio: 100,
      }));
    };
    await expect(read()).rejects.toMatchObject(upstreamError(/larger than the limit/));
    await expect.poll(() => is_closed, { timeout: 20_000 }).toBe(true);
  });

  test('after many interim responses is the final one', async () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(50);
    const { origin } = await listenRaw(
      (socket) => void socket.write(`${interim}${OK}Content-Length: 2\r\n\r\nok`),
    );
    const { status, text } = await send(egress(), origin);
    expect([status, text]).toEqual([200, 'ok']);
  });

  test('to HEAD has a Content-Length and no body', async () => {
    const { origin } = await listenRaw((socket) => void socket.write(`${OK}Content-Length: 100\r\n\r\n`));
    const { status, text } = await send(egress(), origin, { method: 'HEAD' });
    expect([status, text]).toEqual([200, '']);
  });
});
