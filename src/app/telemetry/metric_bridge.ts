/**
 * Exports the metrics of `/metrics` over OTLP: reads them from their one definition, under the same names, with the same labels.
 */
import { type HrTime, ValueType } from '@opentelemetry/api';
import { hrTime } from '@opentelemetry/core';
import { defaultResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type CollectionResult,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { MetricFamily, MetricSample } from '../../http/metrics.ts';

export class MetricBridge implements MetricProducer {
  readonly #read: () => Promise<readonly MetricFamily[]>;
  readonly #version: string;
  readonly #started: HrTime = hrTime();

  constructor(read: () => Promise<readonly MetricFamily[]>, version: string) {
    this.#read = read;
    this.#version = version;
  }

  async collect(): Promise<CollectionResult> {
    const times = { startTime: this.#started, endTime: hrTime() };
    const metrics = (await this.#read()).flatMap((family) => toMetricData(family, times) ?? []);
    const scope = { name: 'keyhold', version: this.#version };
    return {
      resourceMetrics: { resource: defaultResource(), scopeMetrics: [{ scope, metrics }] },
      errors: [],
    };
  }
}

interface Times {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

/** `undefined` for a summary: Keyhold has none. */
function toMetricData({ name, help, type, samples }: MetricFamily, times: Times): MetricData | undefined {
  const shared = {
    descriptor: { name, description: help, unit: '', valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const points = samples.map(({ labels, value }) => ({ ...times, attributes: labels, value }));
  switch (type) {
    case 'counter':
      return { ...shared, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: points };
    case 'gauge':
      return { ...shared, dataPointType: DataPointType.GAUGE, dataPoints: points };
    case 'histogram':
      return {
        ...shared,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: histograms(name, samples, times),
      };
    default:
      return undefined;
  }
}

interface Series {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly boundaries: number[];
  /** Prometheus counts each observation in its bucket and all above it. */
  readonly cumulative: number[];
  sum: number;
  count: number;
}

/** Joins the samples NAME_bucket, NAME_sum and NAME_count of each set of labels. */
function histograms(name: string, samples: readonly MetricSample[], times: Times): DataPoint<Histogram>[] {
  const series = new Map<string, Series>();
  for (const { name: sample, labels: all, value } of samples) {
    const { le, ...labels } = all;
    const key = JSON.stringify(Object.entries(labels).sort());
    const one = series.get(key) ?? { labels, boundaries: [], cumulative: [], sum: 0, count: 0 };
    series.set(key, one);
    if (sample === `${name}_sum`) one.sum = value;
    else if (sample === `${name}_count`) one.count = value;
    else if (le !== '+Inf') {
      one.boundaries.push(Number(le));
      one.cumulative.push(value);
    }
  }
  return [...series.values()].map(({ labels, boundaries, cumulative, sum, count }) => {
    const counts = [...cumulative, count].map((upto, at) => upto - (cumulative[at - 1] ?? 0));
    return { ...times, attributes: labels, value: { buckets: { boundaries, counts }, sum, count } };
  });
}
