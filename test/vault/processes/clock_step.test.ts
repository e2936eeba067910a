/** The system clock of a serving process is set back by an hour: every wait in it still ends in its time. */
import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { STORE_BUSY_TIMEOUT_MS } from '../../../src/contract/limits.ts';
import { startAuthorizationServer } from '../../kit/http/authorization_server.ts';
import { startServeProcess } from '../../kit/http/http_server.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const HOUR_MS = 3_600_000;

/** Loaded into the process before the program: adds the milliseconds in a file to the system clock. */
const CLOCK = `
  import { readFileSync } from 'node:fs';
  const SystemDate = Date;
  let offset_ms = 0;
  setInterval(() => {
    try { offset_ms = Number(readFileSync(process.env.CLOCK_FILE, 'utf8')); } catch {}
  }, 10).unref();
  globalThis.Date = class extends SystemDate {
    constructor(...given) { given.length > 0 ? super(...given) : super(SystemDate.now() + offset_ms); }
    static now() { return SystemDate.now() + offset_ms; }
  };
`;

async function startWithClock() {
  const home = temporaryFolder();
  const file = path.join(temporaryFolder(), 'offset');
  const issuer = await startAuthorizationServer({
    audience: 'https://keyhold.test',
    user: 'ann',
    scope: 'credentials:read',
  });
  onTestFinished(() => issuer.close());
  const server = await startServeProcess({
    home,
    env: {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(CLOCK)}`,
      CLOCK_FILE: file,
      KEYHOLD_OAUTH_ISSUER: issuer.issuer,
      KEYHOLD_OAUTH_AUDIENCE: 'https://keyhold.test',
      KEYHOLD_OAUTH_ORGANIZATION: 'acme',
      KEYHOLD_AUTH_FAILURE_LIMIT: '0',
    },
  });
  const send = (method: string, route: string, body?: object, key = server.admin_key) =>
    fetch(`${server.url}${route}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const store = async (value: string, service_id = 'linear') =>
    (await send('PUT', '/v1/credentials', { service_id, credential_type: 'bearer', credential_value: value }))
      .status;
  const timeOfStore = async () => {
    expect(await store('probe', 'notion')).toBe(200);
    const response = await send('GET', '/v1/credentials?service_id=notion');
    const { updated_at } = (await response.json()) as { updated_at: string };
    return Date.parse(updated_at);
  };
  let offset_ms = 0;
  return {
    home,
    url: server.url,
    issuer,
    send,
    store,
    /** Sets the clock of the process back by another hour. Resolves when the process has seen it. */
    async setClockBack(isSeen = async () => (await timeOfStore()) < Date.now() + offset_ms + HOUR_MS / 2) {
      offset_ms -= HOUR_MS;
      fs.writeFileSync(`${file}.new`, String(offset_ms));
      fs.renameSync(`${file}.new`, file);
      await expect.poll(isSeen, { timeout: 10_000 }).toBe(true);
    },
  };
}

test('after the clock of a server was set back, a replaced value leaves the write-ahead log, and writes starve no request', {
  timeout: 60_000,
}, async () => {
  const { home, url, store, setClockBack } = await startWithClock();
  expect(await store('first')).toBe(200);
  await setClockBack();
  expect(await store('second')).toBe(200);
  await expect.poll(() => test_engine.open(home).pendingBytes(), { timeout: 10_000 }).toBe(0);
  let writing = true;
  const writers = Array.from({ length: 8 }, async () => {
    while (writing) expect(await store('loop')).toBe(200);
  });
  const waits_ms: number[] = [];
  for (let at = 0; at < 20; at++) {
    const began_ms = performance.now();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    waits_ms.push(performance.now() - began_ms);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  writing = false;
  await Promise.all(writers);
  expect(Math.max(...waits_ms)).toBeLessThan(10_000);
});

test('a write that waits for a locked vault ends with 503 in its time although the clock is set back meanwhile', {
  timeout: 90_000,
}, async () => {
  const { home, store, setClockBack } = await startWithClock();
  expect(await store('first')).toBe(200);
  const unlock = await test_engine.open(home).lockForWriting();
  const began_ms = performance.now();
  const waiting = store('second');
  await new Promise((resolve) => setTimeout(resolve, 500));
  // No write is possible that would show the time.
  await setClockBack(async () => true);
  expect(await waiting).toBe(503);
  expect(performance.now() - began_ms).toBeLessThan(2 * STORE_BUSY_TIMEOUT_MS);
  await unlock();
  expect(await store('second')).toBe(200);
});

test('an issuer that failed before the clock was set back is tried again soon', {
  timeout: 60_000,
}, async () => {
  const { issuer, send, setClockBack } = await startWithClock();
  // Issued before the time that the process is set back to.
  expect((await send('POST', '/v1/api-keys', { organization: 'acme', user: 'ben' })).ok).toBe(true);
  const token = await issuer.token({ iat: Math.floor((Date.now() - 2 * HOUR_MS) / 1000) });
  const statusOf = async () => (await send('GET', '/v1/credentials', undefined, token)).status;
  issuer.setSilent(true);
  expect(await statusOf()).toBe(503);
  await setClockBack();
  issuer.setSilent(false);
  await expect.poll(statusOf, { timeout: 20_000, interval: 500 }).toBe(200);
});
