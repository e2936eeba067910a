/** A server that is stopped or killed under load keeps every write that it acknowledged. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startServeProcess } from '../kit/http/http_server.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { type LoadReport, lostWrites, runWriter } from './load/load.ts';
import { inVault, prepareWriters, type Writer } from './load/targets.ts';

const WRITERS = 32;
const LOAD_MS = 1_500;
const KILLS = 4;
const TIMEOUT_MS = 120_000;

async function load(url: string, writers: readonly Writer[]) {
  const report: LoadReport = { requests: 0, faults: [], connections: 0, refused: 0 };
  const ended = Promise.all(writers.map((writer) => runWriter(url, writer, report, () => false)));
  const enough = Date.now() + 20_000;
  await sleep(LOAD_MS);
  while (report.requests < 10 * WRITERS && Date.now() < enough) await sleep(20);
  return { report, ended };
}

describe('a server under load', () => {
  test(
    'a server under load responds to every request that was sent before SIGTERM, keeps every write and exits with 0',
    async () => {
      const home = temporaryFolder();
      const writers = await prepareWriters(home, WRITERS);
      const server = await startServeProcess({ home, env: { KEYHOLD_LOG: 'warn' } });
      const { report, ended } = await load(server.url, writers);
      expect(report.refused).toBe(0);
      expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
      await ended;
      expect(report.faults).toEqual([]);
      // A connection that is opened while the server stops accepting would be reset, together with the request on it.
      expect(report.connections).toBe(WRITERS);
      expect(report.refused).toBe(WRITERS);
      await inVault(home, async (tenants) => {
        expect(await lostWrites(tenants, writers)).toEqual([]);
        expect(await tenants.vault.verifyAudit(tenants.operator())).toMatchObject({ ok: true });
      });
      for (const { targets } of writers)
        for (const { sent, acknowledged } of targets) expect(acknowledged).toBeGreaterThanOrEqual(sent - 1);
      console.log(`${report.requests} requests before SIGTERM`);
    },
    TIMEOUT_MS,
  );

  test(
    'a server under load responds to hundreds of clients that connect at the time of SIGTERM',
    async () => {
      const server = await startServeProcess({ env: { KEYHOLD_LOG: 'warn' } });
      const body = JSON.stringify({
        service_id: 'linear',
        credential_type: 'api_key',
        credential_value: 'v',
      });
      const head = `PUT /v1/credentials HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${server.admin_key}\r\n`;
      const put = `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const { port } = new URL(server.url);
      const sockets = Array.from({ length: 300 }, () => connect(Number(port), '127.0.0.1'));
      const responses = sockets.map(
        (socket) =>
          new Promise<string>((resolve) => {
            let text = '';
            socket.on('data', (bytes) => {
              text += String(bytes);
            });
            socket.once('connect', () => socket.write(put));
            socket.once('error', (error) => resolve(error.message));
            socket.once('close', () => resolve(text.slice(0, 15)));
          }),
      );
      await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
      expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
      expect(new Set(await Promise.all(responses))).toEqual(new Set(['HTTP/1.1 200 OK']));
    },
    TIMEOUT_MS,
  );

  test(
    'a server under load keeps every acknowledged write when it is killed repeatedly',
    async () => {
      const home = temporaryFolder();
      const writers = await prepareWriters(home, WRITERS);
      for (let round = 0; round < KILLS; round++) {
        const server = await startServeProcess({ home, env: { KEYHOLD_LOG: 'warn' } });
        const { report, ended } = await load(server.url, writers);
        expect(report.faults).toEqual([]);
        expect(await server.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
        await ended;
        await inVault(home, async (tenants) => {
          expect([round, await lostWrites(tenants, writers)]).toEqual([round, []]);
          expect(await tenants.vault.verifyAudit(tenants.operator())).toMatchObject({ ok: true });
          expect((await tenants.vault.health()).ok).toBe(true);
        });
        console.log(`${report.requests} requests before SIGKILL`);
      }
    },
    TIMEOUT_MS,
  );
});
