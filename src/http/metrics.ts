/**
 * What a monitoring system may know: how many requests, how fast, how they ended, how well writes share transactions,
 * and how the process is. No label names a tenant, a user, a service or anything else that a caller sent.
 */
import type { RequestContext } from './context.ts';

export interface Metrics {
  request(exchange: RequestContext, method: string, status: number, seconds: number): void;
  /** One transaction, with how many writes it carried. */
  commit(writes: number): void;
  /** In the text format of Prometheus. */
  text(): Promise<string>;
  readonly content_type: string;
}

/** Requests that have all labels in common. There are no more of them than routes, methods and classes of status. */
interface Kind {
  readonly labels: Readonly<Record<string, string>>;
  answered: number;
  readonly latencies: { observe(seconds: number): void };
}

const LATENCY_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COMMIT_BUCKETS_WRITES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** `of_process`: with the figures of the process, which one server in it is enough for. */
export async function createMetrics(of_process: boolean): Promise<Metrics> {
  const { default: prometheus } = await import('prom-client');
  const registry = new prometheus.Registry();
  const registers = [registry];
  if (of_process) prometheus.collectDefaultMetrics({ register: registry });
  const labelNames = ['area', 'route', 'method', 'status'];
  const kinds = new Map<string, Kind>();
  new prometheus.Counter({
    name: 'keyhold_http_requests_total',
    help: 'Requests answered, by the class of their status.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { labels, answered } of kinds.values()) this.inc(labels, answered);
    },
  });
  const latencies = new prometheus.Histogram({
    name: 'keyhold_http_request_duration_seconds',
    help: 'Time until an answer begins.',
    labelNames,
    buckets: LATENCY_BUCKETS_SECONDS,
    registers,
  });
  const errors = new prometheus.Counter({
    name: 'keyhold_errors_total',
    help: 'Answers that tell of an error, by its code.',
    labelNames: ['code'],
    registers,
  });
  const commits = new prometheus.Histogram({
    name: 'keyhold_commit_writes',
    help: 'Writes that shared one transaction.',
    buckets: COMMIT_BUCKETS_WRITES,
    registers,
  });
  return {
    request({ area, route, code }, method, status, seconds) {
      const name = `${method} ${Math.floor(status / 100)} ${area.name} ${route}`;
      let kind = kinds.get(name);
      if (kind === undefined) {
        const labels = { area: area.name, route, method, status: `${Math.floor(status / 100)}xx` };
        kind = { labels, answered: 0, latencies: latencies.labels(labels) };
        kinds.set(name, kind);
      }
      kind.answered += 1;
      kind.latencies.observe(seconds);
      if (code !== undefined) errors.inc({ code });
    },
    commit: (writes) => commits.observe(writes),
    text: () => registry.metrics(),
    content_type: registry.contentType,
  };
}
