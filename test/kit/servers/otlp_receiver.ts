/** A collector of OpenTelemetry: receives traces and metrics over OTLP/HTTP, and can misbehave. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { onTestFinished, vi } from 'vitest';
import { decodePoints, decodeSpans, type ReceivedPoint, type ReceivedSpan } from './otlp_messages.ts';

export interface OtlpReceiver {
  readonly url: string;
  /** The headers of each request. */
  readonly headers: readonly IncomingHttpHeaders[];
  /** All bodies, decompressed. */
  bytes(): Buffer;
  spans(): readonly ReceivedSpan[];
  /** Of the last export. */
  points(): readonly ReceivedPoint[];
  /** Waits until a span with the name was received, and returns the last one. */
  spanNamed(name: string): Promise<ReceivedSpan>;
}

/** Responds to each export. By default accepts it. */
export type Respond = (response: ServerResponse) => void;

const WAIT_MS = 15_000;

export async function startOtlpReceiver(
  respond: Respond = (response) => response.end(),
): Promise<OtlpReceiver> {
  const headers: IncomingHttpHeaders[] = [];
  const bodies: { readonly path: string; readonly body: Buffer }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      headers.push(request.headers);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      bodies.push({ path: request.url ?? '', body });
      respond(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the receiver has no port');
  const at = (path: string) => bodies.filter((one) => one.path === path).map(({ body }) => body);
  const spans = () => at('/v1/traces').flatMap(decodeSpans);
  return {
    url: `http://127.0.0.1:${address.port}`,
    headers,
    bytes: () => Buffer.concat(bodies.map(({ body }) => body)),
    spans,
    points: () => decodePoints(at('/v1/metrics').at(-1) ?? Buffer.alloc(0)),
    spanNamed: (name) =>
      vi.waitFor(
        () => {
          const found = spans().findLast((span) => span.name === name);
          if (found === undefined)
            throw new Error(
              `no span ${name} in ${spans()
                .map((span) => span.name)
                .join(', ')}`,
            );
          return found;
        },
        { timeout: WAIT_MS, interval: 50 },
      ),
  };
}
