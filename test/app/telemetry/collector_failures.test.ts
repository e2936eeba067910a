/** A collector that is not available, slow or sends nonsense: requests work, in the same time, and the process ends soon. */
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startServeProcess } from '../../kit/http/http_server.ts';
import { type Respond, startOtlpReceiver } from '../../kit/servers/otlp_receiver.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { RawServer } from '../../mcp/raw_server.ts';

const CANARY = 'kh-nonsense-of-the-collector';
/** Far below the time limits of an export, which are seconds. */
const RESPONSE_MAX_MS = 1_000;
const REQUESTS = 40;
/** Other processes of the machine may delay single requests. */
const SLOW_MAX = 3;
/** With the two seconds that an export may take at the end. */
const END_MAX_MS = 8_000;

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A listener that accepts connections and reads nothing. */
async function silentPort(): Promise<number> {
  const server = createServer((socket) => socket.pause().on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

const receiverPort = async (respond: Respond) => Number(new URL((await startOtlpReceiver(respond)).url).port);

const COLLECTORS: readonly (readonly [string, () => Promise<number>])[] = [
  ['is not available', closedPort],
  ['reads nothing', silentPort],
  ['never responds', () => receiverPort(() => undefined)],
  ['closes every connection', () => receiverPort((response) => response.destroy())],
  ['returns bytes that are no message', () => receiverPort((response) => response.end(`\xff\x00${CANARY}`))],
  [
    'returns 500 with a page',
    () => receiverPort((response) => response.writeHead(500).end(`<p>${CANARY}</p>`)),
  ],
  ['returns 400 with a text', () => receiverPort((response) => response.writeHead(400).end(CANARY))],
  [
    'redirects to another server',
    () =>
      receiverPort((response) => response.writeHead(307, { location: `http://127.0.0.1:1/${CANARY}` }).end()),
  ],
  [
    'throttles every export',
    () => receiverPort((response) => response.writeHead(429, { 'retry-after': '60' }).end()),
  ],
  [
    'sends a response without an end',
    () =>
      receiverPort((response) => {
        const timer = setInterval(() => response.write('x'.repeat(10_000)), 20);
        response.on('close', () => clearInterval(timer));
      }),
  ],
];

describe('a collector that', () => {
  test.each(COLLECTORS)(
    '%s neither delays nor fails a request, and the server ends in time',
    async (_, port) => {
      const env = {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await port()}`,
        OTEL_METRIC_EXPORT_INTERVAL: '100',
        OTEL_BSP_SCHEDULE_DELAY: '20',
        OTEL_BSP_MAX_QUEUE_SIZE: '16',
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '8',
      };
      const server = await startServeProcess({ env });
      const headers = { authorization: `Bearer ${server.admin_key}` };
      const times: number[] = [];
      for (let sent = 0; sent < REQUESTS; sent++) {
        const began_ms = performance.now();
        const response = await fetch(`${server.url}/v1/stacks`, { headers });
        expect(response.status).toBe(200);
        times.push(performance.now() - began_ms);
      }
      expect(times.filter((ms) => ms >= RESPONSE_MAX_MS).length).toBeLessThanOrEqual(SLOW_MAX);
      const began_ms = performance.now();
      expect(await server.end()).toEqual({ code: 0, signal: null });
      expect(performance.now() - began_ms).toBeLessThan(END_MAX_MS);
      const warnings = server.stderr().match(/telemetry could not be exported/g) ?? [];
      expect(warnings.length).toBeLessThanOrEqual(1);
      expect(server.stderr()).not.toContain(CANARY);
    },
  );

  test('never responds does not keep keyhold mcp from ending', async () => {
    const url = `http://127.0.0.1:${await silentPort()}`;
    const server = new RawServer(temporaryFolder(), '2025-11-25', { OTEL_EXPORTER_OTLP_ENDPOINT: url });
    await server.open();
    expect((await server.call('list_services', { query: 'github' })).error).toBeUndefined();
    const began_ms = performance.now();
    expect(await server.end()).toMatchObject({ code: 0 });
    expect(performance.now() - began_ms).toBeLessThan(END_MAX_MS);
    server.messages();
  });

  test('is not available is reported once in the log', async () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await closedPort()}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '300',
      OTEL_METRIC_EXPORT_INTERVAL: '100',
    };
    const server = await startServeProcess({ env });
    await expect
      .poll(() => server.stderr(), { timeout: 20_000 })
      .toContain('telemetry could not be exported; requests are not affected');
    await server.end();
    expect(server.stderr().match(/telemetry could not be exported/g)).toHaveLength(1);
  });
});
