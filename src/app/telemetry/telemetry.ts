/** What telemetry needs and offers, and whether it is requested: `keyhold mcp` checks that before it loads the parser of settings. */
import type { Logger } from '../../contract/logger.ts';
import type { MetricFamily } from '../../http/metrics.ts';

export interface TelemetryOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
  readonly log: Logger;
  /** Absent: only traces are exported. */
  readonly metrics?: (() => Promise<readonly MetricFamily[]>) | undefined;
}

export interface Telemetry {
  /** Exports the queued spans and metrics, for a limited time. Never rejects. */
  close(): Promise<void>;
}

const OTLP_ENDPOINTS = [
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
] as const;

export function hasTelemetryEndpoint(env: NodeJS.ProcessEnv): boolean {
  if (env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true') return false;
  return OTLP_ENDPOINTS.some((name) => (env[name] ?? '').trim() !== '');
}
