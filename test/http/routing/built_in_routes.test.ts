/** Health, readiness and metrics: who may read them, and that neither contains data of a tenant. */
import { describe, expect, test } from 'vitest';
import { createMetrics } from '../../../src/http/metrics.ts';
import { startHttpServer } from '../../kit/http/http_server.ts';
import { sendLines, statuses } from '../../kit/http/raw_request.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { testDialect } from '../test_dialect.ts';

describe.each([
  ['/healthz', 'ok'],
  ['/readyz', 'ready'],
])('%s', (path, status) => {
  test(`${path} needs no key and returns ${status}`, async () => {
    const server = await startHttpServer();
    const response = await fetch(`${server.url}${path}`);
    expect([response.status, await response.json()]).toEqual([200, { status }]);
    expect((await fetch(`${server.url}${path}`, { method: 'HEAD' })).status).toBe(200);
  });

  test(`${path} responds under any Host, as probes by the address of a pod need, and nothing else does`, async () => {
    const server = await startHttpServer();
    for (const host of [
      'Host: 10.1.2.3:8787',
      'Host: [fd00::7]:8787',
      'Host: keyhold.svc.cluster.local',
      'X: y',
    ]) {
      const send = (target: string) =>
        sendLines(server.url, [`GET ${target} HTTP/1.1`, host, 'Connection: close']);
      const health = await send(path);
      expect(statuses(health), host).toEqual([200]);
      expect(health).toMatch(new RegExp(`\r\n\r\n\\{"status":"${status}"\\}$`));
      for (const other of ['/metrics', `${path}/`, `${path}/x`, '/v1/me'])
        expect([400, 403], `${host} ${other}`).toContain(statuses(await send(other))[0]);
    }
  });

  test(`${path} takes only GET`, async () => {
    const server = await startHttpServer();
    const response = await fetch(`${server.url}${path}`, { method: 'DELETE' });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET']);
  });
});

test('/readyz is 503 if the vault is closed, and /healthz is still 200', async () => {
  const server = await startHttpServer();
  await server.vault.close();
  const response = await fetch(`${server.url}/readyz`);
  expect([response.status, await response.json()]).toEqual([503, { status: 'unavailable' }]);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

test('/readyz is 503 if the vault file is deleted, and /healthz is still 200: a restart would not help', async () => {
  const server = await startHttpServer();
  await openTestDatabase(server.home).deleteAll();
  expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

describe('/metrics', () => {
  test('/metrics needs a key of the operator', async () => {
    const server = await startHttpServer();
    const status = async (key: string) => (await server.request('/metrics', { key })).status;
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
    expect(await status('wrong')).toBe(401);
    expect(await status(await server.key())).toBe(403);
    const elsewhere = await server.key({ organization: 'acme', user: 'ana', scopes: ['org:admin'] });
    expect(await status(elsewhere)).toBe(403);
    expect(await status(await server.key({ scopes: ['org:admin'] }))).toBe(200);
  });

  test('requests to /metrics count against the rate limits', async () => {
    const settings = { limits: { requests_per_minute: 1, auth_failures_per_minute: 1 } };
    const server = await startHttpServer({ settings });
    const key = await server.key({ scopes: ['org:admin'] });
    expect((await server.request('/metrics', { key })).status).toBe(200);
    expect((await server.request('/metrics', { key })).status).toBe(429);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(429);
  });

  test('/metrics needs no key with metrics_open', async () => {
    const server = await startHttpServer({ settings: { metrics_open: true } });
    const response = await fetch(`${server.url}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  });

  test('/metrics counts requests by route and errors by code, without user data', async () => {
    const server = await startHttpServer({ dialects: [testDialect], settings: { metrics_open: true } });
    const key = await server.key({ organization: 'hunter2-org', user: 'hunter2-user', name: 'hunter2-key' });
    await server.request('/toy/items/hunter2-a', { key });
    await server.request('/toy/items/hunter2-b?x=hunter2', { key });
    await server.request('/toy/items/1', { key, method: 'PUT', body: '{}' });
    await server.request('/toy/fail/CONFLICT', { key });
    await server.request('/toy/hunter2', { key });
    await fetch(`${server.url}/hunter2`);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const at = '{area="toy",route="/toy/items/:item_id",method="GET",status="2xx"}';
    expect(text).toContain(`keyhold_http_requests_total${at} 2\n`);
    expect(text).toContain(`keyhold_http_request_duration_seconds_count${at} 2\n`);
    expect(text).toContain(
      'keyhold_http_requests_total{area="toy",route="none",method="GET",status="4xx"} 1\n',
    );
    expect(text).toContain(
      'keyhold_http_requests_total{area="server",route="none",method="GET",status="4xx"} 1\n',
    );
    expect(text).toContain('keyhold_errors_total{code="CONFLICT"} 1\n');
    expect(text).toContain('keyhold_errors_total{code="INVALID_INPUT"} 1\n');
    expect(text).toContain('keyhold_errors_total{code="NOT_FOUND"} 2\n');
    expect(text).not.toContain('hunter2');
  });

  test('/metrics contains writes per transaction and process metrics', async () => {
    const metrics = await createMetrics(true);
    metrics.commit(1);
    metrics.commit(5);
    const text = await metrics.text();
    expect(text).toContain('keyhold_commit_writes_bucket{le="4"} 1\n');
    expect(text).toContain('keyhold_commit_writes_bucket{le="8"} 2\n');
    expect(text).toContain('keyhold_commit_writes_sum 6\n');
    expect(text).toContain('process_resident_memory_bytes');
  });
});
