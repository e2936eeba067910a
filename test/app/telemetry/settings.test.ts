/** The settings of OpenTelemetry: the variables of its specification, and a refusal of unsupported ones. */
import { describe, expect, test } from 'vitest';
import { parseTelemetrySettings } from '../../../src/app/telemetry/settings.ts';
import { hasTelemetryEndpoint } from '../../../src/app/telemetry/telemetry.ts';
import { VaultError } from '../../../src/contract/errors.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example:4318' };
const PASSWORD = 'a-password-that-no-message-repeats';

describe('parseTelemetrySettings', () => {
  test.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'file:///tmp/collector'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', `https://user:${PASSWORD}@collector.example`],
    ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'collector'],
    ['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', '%PASSWORD%'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'http/json'],
    ['OTEL_TRACES_EXPORTER', 'zipkin'],
    ['OTEL_METRICS_EXPORTER', 'prometheus'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '0'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '1e3'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '-1'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '99999999'],
  ])('%s=%s is refused by an error that names the setting and does not repeat it', (name, text) => {
    let refused: unknown;
    try {
      parseTelemetrySettings({ ...ENDPOINT, [name]: text });
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(VaultError);
    expect(refused).toMatchObject({ code: 'INVALID_INPUT', reason: 'setting_invalid' });
    const { message } = refused as VaultError;
    expect(message).toContain(name);
    expect(message).not.toContain(PASSWORD);
  });

  test('without an endpoint nothing is exported', () => {
    expect(parseTelemetrySettings({})).toBeUndefined();
    expect(parseTelemetrySettings({ OTEL_SERVICE_NAME: 'a', OTEL_TRACES_EXPORTER: 'otlp' })).toBeUndefined();
    expect(
      parseTelemetrySettings({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' }),
    ).toBeUndefined();
  });

  test('an endpoint for one signal exports that signal only', () => {
    const both = { traces: true, metrics: true, metrics_interval_ms: 60_000 };
    expect(parseTelemetrySettings(ENDPOINT)).toStrictEqual(both);
    expect(parseTelemetrySettings({ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: ' ' })).toStrictEqual(both);
    const url = 'https://collector.example/custom/path';
    expect(parseTelemetrySettings({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url })).toStrictEqual({
      ...both,
      metrics: false,
    });
    expect(
      parseTelemetrySettings({
        ...ENDPOINT,
        OTEL_TRACES_EXPORTER: 'none',
        OTEL_METRIC_EXPORT_INTERVAL: '500',
      }),
    ).toStrictEqual({ traces: false, metrics: true, metrics_interval_ms: 500 });
  });
});

describe('hasTelemetryEndpoint', () => {
  test('is true for an endpoint, unless OTEL_SDK_DISABLED is true', () => {
    expect(hasTelemetryEndpoint({})).toBe(false);
    expect(hasTelemetryEndpoint({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' })).toBe(false);
    expect(hasTelemetryEndpoint(ENDPOINT)).toBe(true);
    expect(hasTelemetryEndpoint({ ...ENDPOINT, OTEL_SDK_DISABLED: ' True' })).toBe(false);
    expect(hasTelemetryEndpoint({ ...ENDPOINT, OTEL_SDK_DISABLED: 'false' })).toBe(true);
  });
});
