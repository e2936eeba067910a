/**
 * Exports traces and metrics over OTLP/HTTP with the SDK of OpenTelemetry, which reads the variables of its specification from
 * the environment. No resource detector runs: one of them would export the arguments of the process.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { parseKeyPairsIntoRecord, setGlobalErrorHandler } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { TELEMETRY_SHUTDOWN_MAX_MS } from '../../contract/limits.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import { setTracer } from '../../io/tracing/span.ts';
import { MetricBridge } from './metric_bridge.ts';
import type { TelemetrySettings } from './settings.ts';
import type { Telemetry, TelemetryOptions } from './telemetry.ts';
import { createTracer } from './tracer.ts';

const SERVICE_NAME = 'keyhold';
const WARNING_INTERVAL_MS = 60_000;

export function openTelemetry(settings: TelemetrySettings, options: TelemetryOptions): Telemetry {
  const { env, version, log, metrics } = options;
  setGlobalErrorHandler(warnSometimes(log));
  const resource = resourceOf(version);
  const closing: (() => Promise<unknown>)[] = [];
  if (settings.traces) {
    const exporter = new OTLPTraceExporter({ headers: headersOf(env, 'TRACES') });
    const provider = new BasicTracerProvider({
      resource,
      spanProcessors: [new BatchSpanProcessor(exporter)],
    });
    const contexts = new AsyncLocalStorageContextManager().enable();
    setTracer(createTracer(provider.getTracer(SERVICE_NAME, version), contexts));
    closing.push(() => provider.shutdown());
  }
  if (settings.metrics && metrics !== undefined) {
    const exporter = new OTLPMetricExporter({ headers: headersOf(env, 'METRICS') });
    const reader = new PeriodicExportingMetricReader({
      exporter,
      exportIntervalMillis: settings.metrics_interval_ms,
      metricProducers: [new MetricBridge(metrics, version)],
    });
    const provider = new MeterProvider({ resource, readers: [reader] });
    closing.push(() => provider.shutdown());
  }
  log.info(
    { traces: settings.traces, metrics: closing.length > (settings.traces ? 1 : 0) },
    'exporting telemetry',
  );
  return {
    async close() {
      setTracer(undefined);
      const closed = Promise.allSettled(closing.map((close) => close()));
      await Promise.race([closed, sleep(TELEMETRY_SHUTDOWN_MAX_MS, undefined, { ref: false })]);
    },
  };
}

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override the others. */
function resourceOf(version: string): Resource {
  const own = resourceFromAttributes({
    'service.name': SERVICE_NAME,
    'service.version': version,
    'service.instance.id': randomUUID(),
  });
  const given = detectResources({ detectors: [envDetector] });
  return defaultResource().merge(own).merge(given);
}

/** Read here, since the variables may hold a key and are not left in the environment of the process. */
function headersOf(env: NodeJS.ProcessEnv, signal: 'TRACES' | 'METRICS'): Record<string, string> {
  return {
    ...parseKeyPairsIntoRecord(env.OTEL_EXPORTER_OTLP_HEADERS),
    ...parseKeyPairsIntoRecord(env[`OTEL_EXPORTER_OTLP_${signal}_HEADERS`]),
  };
}

/** One line a minute at most. Errors of the exporter may quote the response of the collector, which is left out. */
function warnSometimes(log: Logger): (error: unknown) => void {
  let warned_ms = Number.NEGATIVE_INFINITY;
  return (error) => {
    const now_ms = performance.now();
    if (now_ms - warned_ms < WARNING_INTERVAL_MS) return;
    warned_ms = now_ms;
    log.warn(
      { failure: describeFailure(error) },
      'telemetry could not be exported; requests are not affected',
    );
  };
}
