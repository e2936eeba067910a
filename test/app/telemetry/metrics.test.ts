/** The metrics that `keyhold serve` exports over OTLP: those of /metrics, with the same names, labels and values. */
import { expect, test, vi } from 'vitest';
import { startServeProcess } from '../../kit/http/http_server.ts';
import type { Attributes } from '../../kit/servers/otlp_messages.ts';
import { startOtlpReceiver } from '../../kit/servers/otlp_receiver.ts';

/** A line of /metrics. */
function lineOf(name: string, labels: Attributes, value: number): string {
  const text = Object.entries(labels).map(([label, of]) => `${label}="${of}"`);
  return `${name}${text.length === 0 ? '' : `{${text.join(',')}}`} ${value}`;
}

test('the exported metrics are those of /metrics, with the same values', async () => {
  const receiver = await startOtlpReceiver();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRIC_EXPORT_INTERVAL: '200' };
  const server = await startServeProcess({ env });
  const headers = { authorization: `Bearer ${server.admin_key}` };
  for (const path of [
    '/v1/servers',
    '/v1/servers',
    '/v1/stacks',
    '/v1/unknown',
    '/v1/stacks/missing/servers',
  ])
    await fetch(`${server.url}${path}`, { headers });
  const label = (name: string, route: string) => `${name}{area="toolrouter",route="${route}"`;
  await vi.waitFor(async () => {
    const points = receiver.points();
    expect(points.find(({ attributes }) => attributes.route === '/v1/servers')?.value).toBe(2);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toContain(label('keyhold_http_requests_total', '/v1/servers'));
    const lines = new Set(text.split('\n'));
    // Requests for the metrics themselves are counted too, and the process goes on.
    const own = points.filter(
      ({ metric, attributes }) => metric.startsWith('keyhold_') && attributes.area !== 'server',
    );
    const kinds = new Set(own.map(({ metric, kind }) => `${metric} ${kind}`));
    expect([...kinds].sort()).toStrictEqual([
      'keyhold_audit_findings gauge',
      'keyhold_audit_verified gauge',
      'keyhold_commit_writes histogram',
      'keyhold_errors_total sum',
      'keyhold_http_request_duration_seconds histogram',
      'keyhold_http_requests_total sum',
      'keyhold_log_lines_dropped_total sum',
      'keyhold_retests_total sum',
    ]);
    for (const { metric, kind, attributes, value, sum, bounds, counts } of own) {
      if (kind !== 'histogram') expect(lines).toContain(lineOf(metric, attributes, value));
      else {
        expect(lines).toContain(lineOf(`${metric}_count`, attributes, value));
        expect(lines).toContain(lineOf(`${metric}_sum`, attributes, sum ?? Number.NaN));
        let upto = 0;
        for (const [at, count] of counts.entries()) {
          upto += count;
          const le = String(bounds[at] ?? '+Inf');
          expect(lines).toContain(lineOf(`${metric}_bucket`, { le, ...attributes }, upto));
        }
        expect([upto, counts.length]).toStrictEqual([value, bounds.length + 1]);
      }
    }
  }, 20_000);
  expect(receiver.points().map(({ metric }) => metric)).toContain('process_cpu_seconds_total');
  await server.end();
  expect(receiver.spans().length).toBeGreaterThan(0);
});
