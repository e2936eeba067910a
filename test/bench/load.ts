/**
 * The load generator: each connection sends its next request after the response to the last. Uses HTTP/1.1 over raw
 * sockets, to keep the cost of the client low. Runs in a separate process and reads the plan from standard input.
 */
import { connect, type Socket } from 'node:net';

export interface LoadPlan {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** One per connection, repeated if there are fewer. */
  readonly requests: readonly LoadRequest[];
}

export interface LoadRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface LoadResult {
  readonly per_second: number;
  readonly p50_us: number;
  readonly p99_us: number;
  /** Responses that were not 2xx, and broken connections. */
  readonly failed: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

function bytesOf({ method, path, headers, body = '' }: LoadRequest): Buffer {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** The number of bytes of the first response in `received`; 0 while it is incomplete. */
function responseBytes(received: Buffer): number {
  const end = received.indexOf(HEAD_END);
  if (end < 0) return 0;
  const head = received.toString('latin1', 0, end).toLowerCase();
  const body = end + HEAD_END.length;
  const length = /\r\ncontent-length: (\d+)/.exec(head);
  if (length !== null) {
    const whole = body + Number(length[1]);
    return received.length >= whole ? whole : 0;
  }
  if (!head.includes('transfer-encoding: chunked')) return body;
  const last = received.indexOf('\r\n0\r\n\r\n', body - 2, 'latin1');
  return last < 0 ? 0 : last + 7;
}

export async function runLoad({ port, connections, seconds, requests }: LoadPlan): Promise<LoadResult> {
  const times: number[] = [];
  let failed = 0;
  const until = performance.now() + seconds * 1000;
  const one = (at: number) =>
    new Promise<void>((resolve) => {
      const bytes = bytesOf(requests[at % requests.length] as LoadRequest);
      const socket: Socket = connect(port, '127.0.0.1').setNoDelay(true);
      let received = Buffer.alloc(0);
      let began = 0;
      const send = () => {
        began = performance.now();
        socket.write(bytes);
      };
      socket.once('connect', send);
      socket.on('data', (data) => {
        received = received.length === 0 ? data : Buffer.concat([received, data]);
        const size = responseBytes(received);
        if (size === 0) return;
        times.push((performance.now() - began) * 1000);
        if (received[9] !== 0x32) failed += 1;
        received = received.subarray(size);
        if (performance.now() < until) send();
        else socket.end();
      });
      socket.once('error', () => {
        failed += 1;
      });
      socket.once('close', () => resolve());
    });
  const start = performance.now();
  await Promise.all(Array.from({ length: connections }, (_, at) => one(at)));
  const elapsed = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  const quantile = (share: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return {
    per_second: times.length / elapsed,
    p50_us: quantile(0.5),
    p99_us: quantile(0.99),
    failed,
  };
}
