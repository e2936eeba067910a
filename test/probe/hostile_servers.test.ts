/** Servers that send nothing, garbage, or without end: every test of a mail server or database ends within its limits. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { TEST_TIMEOUT_MS } from '../../src/contract/limits.ts';
import { HOST, listenScripted, testCredential } from './connection_kit.ts';

const MAIL = { username: 'ana', password: 'x' };
const CREDENTIALS: readonly [string, boolean, (port: number) => Record<string, string>][] = [
  ['smtp', false, (port) => ({ smtp_host: HOST, smtp_port: String(port), ...MAIL })],
  ['smtp', true, (port) => ({ imap_host: HOST, imap_port: String(port), ...MAIL })],
  ['redis', false, (port) => ({ redis_connection_string: `redis://:x@${HOST}:${port}` })],
  ['mongodb', false, (port) => ({ mongodb_connection_string: `mongodb://a:x@${HOST}:${port}` })],
];

const testAll = (script: (socket: Socket) => void) =>
  Promise.all(
    CREDENTIALS.map(async ([service, tls, fields]) => {
      const { port } = await listenScripted(script, tls);
      return testCredential(service, fields(port), []);
    }),
  );

test(
  'a server that accepts the connection and sends nothing ends the test with timed_out',
  async () => {
    const started = performance.now();
    for (const output of await testAll(() => undefined))
      expect(output).toMatchObject({ result: 'unknown', reason: 'timed_out' });
    expect(performance.now() - started).toBeLessThan(TEST_TIMEOUT_MS + 10_000);
  },
  TEST_TIMEOUT_MS + 15_000,
);

test('a server that sends garbage ends the test with an unknown result', async () => {
  const garbage = Buffer.concat([randomBytes(200), Buffer.from('\n\r\n'.repeat(50))]);
  for (const output of await testAll((socket) => socket.end(garbage)))
    expect(output).toMatchObject({ result: 'unknown' });
});

test.each([Buffer.alloc(64 * 1024, 'a'), Buffer.alloc(64 * 1024, '250-a\r\n')])(
  'a server that sends without end does not keep the test running (%#)',
  async (chunk) => {
    let sent = 0;
    const flood = (socket: Socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write(chunk)) sent += chunk.length;
      };
      socket.on('drain', more);
      more();
    };
    for (const output of await testAll(flood)) expect(output.result).toBe('unknown');
    expect(sent).toBeLessThan(256 * 1024 * 1024);
  },
  TEST_TIMEOUT_MS + 15_000,
);
