/** Servers of another protocol than that of the test: each ends within its limits, and nothing stays open. */
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { TEST_TIMEOUT_MS } from '../../src/contract/limits.ts';
import { Secret } from '../../src/contract/secret.ts';
import { CONNECTION_PROTOCOLS, type ConnectionProtocol } from '../../src/contract/service/connection.ts';
import { AllowList } from '../../src/egress/allow_list.ts';
import { Egress } from '../../src/egress/egress.ts';
import { testConnection } from '../../src/probe/connections.ts';
import { resultOf } from '../../src/probe/reasons.ts';
import { runSize } from '../kit/run_size.ts';

const PASSWORD = 'hostile-canary-2b6f';
const TESTS = runSize({ quick: 1_000, ci: 4_000, slow: 10_000 });
const AT_A_TIME = 50;
const MEMORY_MAX_BYTES = 64 * 1024 * 1024;

const allow = AllowList.parse('127.0.0.0/8');
if (allow === undefined) throw new Error('not a list');
const egress = new Egress({ allow });
const servers: Server[] = [];

afterAll(async () => {
  for (const server of servers) server.close();
  await egress.close();
});

/** The port of a server that does the same with every connection. */
async function serve(act: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    // Only a socket that is read sees that the client has closed it.
    socket.on('error', () => undefined).resume();
    act(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const silent = () => undefined;
const garbage = (socket: Socket) => socket.end(Buffer.alloc(3_000, '\u0000\u00ffno protocol\r\n'));
/** Sends as much as the client takes. */
const flood = (socket: Socket) => {
  const part = Buffer.alloc(64 * 1024, 'x\r\n');
  const send = () => {
    while (socket.writable && socket.write(part)) {}
  };
  socket.on('drain', send);
  send();
};

function testAt(protocol: ConnectionProtocol, port: number) {
  const values = new Map(
    Object.entries({
      host: '127.0.0.1',
      port: String(port),
      username: 'app',
      password: PASSWORD,
      database: 'app',
      url: `${protocol}://app:${PASSWORD}@127.0.0.1:${port}/app`,
    }).map(([id, text]) => [id, new Secret(text)] as const),
  );
  const single = {
    host: 'host',
    port: 'port',
    username: 'username',
    password: 'password',
    database: 'database',
  };
  const fields = protocol === 'mongodb' ? { url: 'url' } : single;
  const rule = { protocol, fields };
  const timeout_ms = TEST_TIMEOUT_MS;
  return testConnection({ rule, values, bound: {}, egress, principal: 'local/me', timeout_ms });
}

const openFiles = () => readdirSync('/proc/self/fd').length;

test('a server that accepts and is silent, or sends anything else, ends every test within its limit', async () => {
  const ports = { silent: await serve(silent), garbage: await serve(garbage) };
  const cases = CONNECTION_PROTOCOLS.flatMap((protocol) =>
    Object.values(ports).map(async (port) => {
      const started = performance.now();
      const { finding } = await testAt(protocol, port);
      return { protocol, port, finding, duration_ms: performance.now() - started };
    }),
  );
  for (const { protocol, port, finding, duration_ms } of await Promise.all(cases)) {
    expect(resultOf(finding.reason), `${protocol} ${finding.reason}`).toBe('unknown');
    expect(duration_ms).toBeLessThan(TEST_TIMEOUT_MS + 2_000);
    if (port === ports.silent) expect(finding.reason, protocol).toBe('timed_out');
    expect(JSON.stringify(finding)).not.toContain(PASSWORD);
  }
}, 60_000);

test('a server that sends without end is cut off, and its data is not kept in memory', async () => {
  const port = await serve(flood);
  for (const protocol of CONNECTION_PROTOCOLS) {
    const before = process.memoryUsage().rss;
    const { finding } = await testAt(protocol, port);
    expect(resultOf(finding.reason), protocol).toBe('unknown');
    expect(process.memoryUsage().rss - before, protocol).toBeLessThan(2 * MEMORY_MAX_BYTES);
  }
}, 60_000);

test.runIf(process.platform === 'linux')(
  `${TESTS} tests leave no socket, file or process, and no memory`,
  async () => {
    const port = await serve(garbage);
    const run = async (count: number) => {
      let next = 0;
      const worker = async () => {
        while (next < count) {
          const protocol = CONNECTION_PROTOCOLS[next++ % CONNECTION_PROTOCOLS.length];
          if (protocol !== undefined) await testAt(protocol, port);
        }
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, worker));
    };
    // Loads the drivers.
    await run(200);
    const files = openFiles();
    const resources = process.getActiveResourcesInfo().length;
    const before = process.memoryUsage().heapUsed;
    await run(TESTS);
    await expect.poll(openFiles, { timeout: 10_000 }).toBeLessThanOrEqual(files);
    await expect
      .poll(() => process.getActiveResourcesInfo().length, { timeout: 10_000 })
      .toBeLessThanOrEqual(resources);
    globalThis.gc?.();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(MEMORY_MAX_BYTES);
  },
  120_000,
);
