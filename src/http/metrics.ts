/**
 * Prometheus metrics: requests, their duration and errors, writes per transaction, and the process. No label contains a
 * tenant, a user, a service or anything else that a client sent.
 */
import type Prometheus from 'prom-client';
import { ERROR_TABLE, type ErrorCode } from '../contract/errors.ts';
import { TEST_RESULTS } from '../contract/use/test_result.ts';
import type { RequestContext } from './context.ts';

export interface MetricSample {
  /** The name of the family; for a histogram, with `_bucket`, `_sum` or `_count`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** One metric with all its series. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  /** `counter`, `gauge`, `histogram` or `summary`. */
  readonly type: string;
  readonly samples: readonly MetricSample[];
}

export interface Metrics {
  request(context: RequestContext, method: string, status: number, seconds: number): void;
  /** Counts an error in a response that has no error status, such as that of a failed tool. */
  error(code: ErrorCode): void;
  /** Counts one transaction with `writes` writes. */
  commit(writes: number): void;
  /** Records the findings of the verification of the audit logs so far, and whether it has ended. */
  verified(findings: number, is_complete: boolean): void;
  /** Counts one scheduled test of a credential. */
  retested(result: string): void;
  /** In the Prometheus text format. */
  text(): Promise<string>;
  /** The same as `text`, for another format. */
  families(): Promise<readonly MetricFamily[]>;
  readonly content_type: string;
}

/** Requests with the same labels. Bounded: routes x methods x classes of status. */
interface Series {
  readonly labels: Readonly<Record<string, string>>;
  count: number;
  readonly durations: { observe(seconds: number): void };
}

const DURATION_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COMMIT_BUCKETS_WRITES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/**
 * `with_process`: includes the metrics of the process, which one server per process should report. `droppedLogLines` returns
 * how many lines the log has dropped.
 */
export async function createMetrics(
  with_process: boolean,
  droppedLogLines: () => number = () => 0,
): Promise<Metrics> {
  const { default: prometheus } = await import('prom-client');
  const registry = new prometheus.Registry();
  const registers = [registry];
  if (with_process) prometheus.collectDefaultMetrics({ register: registry });
  const labelNames = ['area', 'route', 'method', 'status'];
  const series = new Map<string, Series>();
  new prometheus.Counter({
    name: 'keyhold_http_requests_total',
    help: 'Requests, by the class of their response status.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { labels, count } of series.values()) this.inc(labels, count);
    },
  });
  const durations = new prometheus.Histogram({
    name: 'keyhold_http_request_duration_seconds',
    help: 'Time until the response begins.',
    labelNames,
    buckets: DURATION_BUCKETS_SECONDS,
    registers,
  });
  const countError = labeledCounter(prometheus, registry, ERRORS);
  const commits = new prometheus.Histogram({
    name: 'keyhold_commit_writes',
    help: 'Writes per transaction.',
    buckets: COMMIT_BUCKETS_WRITES,
    registers,
  });
  new prometheus.Counter({
    name: 'keyhold_log_lines_dropped_total',
    help: 'Log lines that were dropped because standard error was not read or could not be written.',
    registers,
    collect() {
      this.reset();
      this.inc(droppedLogLines());
    },
  });
  return {
    request({ group, route, code }, method, status, seconds) {
      const status_class = `${Math.floor(status / 100)}xx`;
      const key = `${method} ${status_class} ${group.name} ${route}`;
      let one = series.get(key);
      if (one === undefined) {
        const labels = { area: group.name, route, method, status: status_class };
        one = { labels, count: 0, durations: durations.labels(labels) };
        series.set(key, one);
      }
      one.count += 1;
      one.durations.observe(seconds);
      if (code !== undefined) countError(code);
    },
    error: countError,
    commit: (writes) => commits.observe(writes),
    retested: labeledCounter(prometheus, registry, RETESTS),
    verified: auditMetrics(prometheus, registry),
    text: () => registry.metrics(),
    families: () => familiesOf(registry),
    content_type: registry.contentType,
  };
}

interface LabeledCounter {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  readonly values: readonly string[];
}

const ERRORS: LabeledCounter = {
  name: 'keyhold_errors_total',
  help: 'Error responses and failed tool calls, by error code.',
  label: 'code',
  values: Object.keys(ERROR_TABLE),
};

const RETESTS: LabeledCounter = {
  name: 'keyhold_retests_total',
  help: 'Scheduled tests of credentials, by result.',
  label: 'result',
  values: TEST_RESULTS,
};

/** Returns a function that adds one to the counter of a value of its label. */
function labeledCounter(
  prometheus: typeof Prometheus,
  registry: Prometheus.Registry,
  { name, help, label, values }: LabeledCounter,
): (value: string) => void {
  const counter = new prometheus.Counter({ name, help, labelNames: [label], registers: [registry] });
  // A counter that appears with its first event has no increase.
  for (const value of values) counter.inc({ [label]: value }, 0);
  return (value) => counter.inc({ [label]: value });
}

function auditMetrics(prometheus: typeof Prometheus, registry: Prometheus.Registry): Metrics['verified'] {
  const registers = [registry];
  const is_verified = new prometheus.Gauge({
    name: 'keyhold_audit_verified',
    help: '1 once the audit logs of all organizations were verified after the start, else 0.',
    registers,
  });
  const findings_found = new prometheus.Gauge({
    name: 'keyhold_audit_findings',
    help: 'Problems that the verification of the audit logs found after the start. Alert if above 0.',
    registers,
  });
  return (findings, is_complete) => {
    findings_found.set(findings);
    if (is_complete) is_verified.set(1);
  };
}

async function familiesOf(registry: Prometheus.Registry): Promise<readonly MetricFamily[]> {
  const families = await registry.getMetricsAsJSON();
  return families.map(({ name, help, type, values }) => ({
    name,
    help,
    type: String(type),
    samples: (values as readonly NamedValue[]).map(({ metricName = name, labels, value }) => ({
      name: metricName,
      labels: Object.fromEntries(
        Object.entries(labels).flatMap(([label, text]) => (text === undefined ? [] : [[label, text]])),
      ),
      value,
    })),
  }));
}

/** The samples of a histogram have names; the types of prom-client leave them out. */
type NamedValue = Prometheus.MetricValue<string> & { readonly metricName?: string };
