/** The listener on loopback for the handles of an agent without a server: which requests it serves, and when it is closed. */
import { expect, onTestFinished, test } from 'vitest';
import { LocalPages } from '../../src/app/pages/local_pages.ts';
import { localCaller } from '../../src/contract/caller.ts';
import { createWebApp } from '../../src/web/app.ts';
import { collectingLog } from '../kit/http/http_server.ts';
import { sendLines, statuses } from '../kit/http/raw_request.ts';
import { freePort } from '../kit/servers/ports.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

const SERVED = /^\/dashboard\/(?:enter|oauth|assets)\//;
const LINEAR = { service_id: 'linear', credential_type: 'bearer' } as const;

async function start(check_every_ms?: number) {
  const { pages: _, ...opened } = await openTestVault();
  const ports: (readonly number[])[] = [];
  const parts = { ...opened, log: collectingLog([]), version: '1.2.3-test', now: () => new Date() };
  const pages = new LocalPages({
    ...parts,
    caller: (request_id) => localCaller('web', request_id),
    callback_port: await freePort(),
    onPorts: (now) => ports.push(now),
    check_every_ms,
  });
  onTestFinished(() => pages.close());
  const agent = { ...opened.caller(), edge: 'mcp' as const };
  const { handle } = await opened.vault.handles.create(agent, LINEAR);
  const url = await pages.baseUrl();
  const path = `/dashboard/enter/${handle}`;
  return { ...opened, parts, pages, ports, url, path, agent, handle };
}

test('every other page of a server is not found, and a page of a handle is, for other Host headers', async () => {
  const { parts, url, path } = await start();
  const limits = { requests_per_minute: 0, auth_failures_per_minute: 0 };
  const { app } = await createWebApp({ ...parts, public_url: url }, limits);
  const concrete = app.routes.map(({ path }) => path.replaceAll(/:\w+(?:\{[^}]*\})?/g, 'linear'));
  const others = [...new Set(concrete)].filter((one) => !SERVED.test(one) && !one.includes('*'));
  expect(others.length).toBeGreaterThan(20);
  for (const other of [...others, '/', '/mcp', '/v1/credentials', '/health', '/metrics', '/dashboard/enter'])
    for (const method of ['GET', 'POST'])
      expect([method, other, (await fetch(url + other, { method })).status]).toEqual([method, other, 404]);
  expect((await fetch(url + path)).status).toBe(200);
  const { port } = new URL(url);
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    `127.0.0.1:1${port}`,
  ]) {
    const response = await sendLines(url, [`GET ${path} HTTP/1.1`, `Host: ${host}`]);
    expect([host, statuses(response).map((status) => status >= 400)]).toEqual([host, [true]]);
    expect(response).not.toContain('Linear');
  }
});

test('the listener stays while a handle waits, and is closed when none does; the next handle opens another', async () => {
  const { vault, pages, ports, url, path, agent } = await start(50);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect((await fetch(url + path)).status).toBe(200);
  await vault.handles.decline({ ...agent, edge: 'web', is_person: true }, path.slice(-22));
  await expect.poll(() => ports.at(-1), { timeout: 5_000 }).toEqual([]);
  // Requests in flight may finish.
  await expect
    .poll(
      () =>
        fetch(url + path).then(
          () => 'open',
          () => 'closed',
        ),
      { timeout: 5_000 },
    )
    .toBe('closed');
  expect((await fetch(`${await pages.baseUrl()}${path}`)).status).toBe(410);
});
