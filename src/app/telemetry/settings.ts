/**
 * Parses the settings of OpenTelemetry: the variables of its specification. The SDK reads others itself, such as OTEL_TRACES_SAMPLER
 * with OTEL_TRACES_SAMPLER_ARG, OTEL_BSP_MAX_QUEUE_SIZE, timeouts and certificates. Everything is off without an endpoint.
 */
import * as z from 'zod';
import { invalidSetting, parseEnvironment } from '../../settings/environment.ts';

export interface TelemetrySettings {
  readonly traces: boolean;
  readonly metrics: boolean;
  readonly metrics_interval_ms: number;
}

const DEFAULT_INTERVAL_MS = 60_000;
const INTERVAL_MIN_MS = 100;
const INTERVAL_MAX_MS = 3_600_000;

const endpoint = z
  .string()
  .refine(isEndpoint, 'must be an http or https URL without user and password')
  .optional();
const protocol = z
  .literal('http/protobuf', 'must be http/protobuf, which every collector accepts at port 4318')
  .optional();
const exporter = z.enum(['otlp', 'none'], 'must be otlp or none').optional();

const Environment = z.object({
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol,
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: protocol,
  OTEL_TRACES_EXPORTER: exporter,
  OTEL_METRICS_EXPORTER: exporter,
  OTEL_METRIC_EXPORT_INTERVAL: z.string().regex(/^\d+$/, 'must be a number of milliseconds').optional(),
});

/** `undefined`: nothing is exported. Throws INVALID_INPUT, reason `setting_invalid`. An empty variable counts as unset. */
export function parseTelemetrySettings(environment: NodeJS.ProcessEnv): TelemetrySettings | undefined {
  const given = Object.entries(environment).filter(([, text]) => text?.trim() !== '');
  const env = parseEnvironment(Environment, Object.fromEntries(given));
  const isOn = (signal: 'TRACES' | 'METRICS') =>
    env[`OTEL_${signal}_EXPORTER`] !== 'none' &&
    (env.OTEL_EXPORTER_OTLP_ENDPOINT ?? env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`]) !== undefined;
  const interval_ms = Number(env.OTEL_METRIC_EXPORT_INTERVAL ?? DEFAULT_INTERVAL_MS);
  if (interval_ms < INTERVAL_MIN_MS || interval_ms > INTERVAL_MAX_MS)
    throw invalidSetting(
      `OTEL_METRIC_EXPORT_INTERVAL must be from ${INTERVAL_MIN_MS} to ${INTERVAL_MAX_MS} milliseconds`,
    );
  const settings = { traces: isOn('TRACES'), metrics: isOn('METRICS'), metrics_interval_ms: interval_ms };
  return settings.traces || settings.metrics ? settings : undefined;
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol: scheme, username, password } = new URL(text);
  return ['http:', 'https:'].includes(scheme) && username === '' && password === '';
}
