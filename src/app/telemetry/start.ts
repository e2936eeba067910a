/**
 * Starts OpenTelemetry if the settings have an endpoint. Loads none of its packages otherwise. A collector that is slow or
 * not available neither delays nor fails a request: what does not fit into the queue is dropped.
 */
import { parseTelemetrySettings } from './settings.ts';
import { hasTelemetryEndpoint, type Telemetry, type TelemetryOptions } from './telemetry.ts';

const OFF: Telemetry = { close: async () => undefined };

/** Rejects with INVALID_INPUT for an invalid setting. */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const settings = hasTelemetryEndpoint(options.env) ? parseTelemetrySettings(options.env) : undefined;
  if (settings === undefined) return OFF;
  const { openTelemetry } = await import('./open_telemetry.ts');
  return openTelemetry(settings, options);
}
