/** Limits the time of a connection and what it may receive. */
import type { Socket } from 'node:net';
import { EGRESS_IDLE_TIMEOUT_MS, EGRESS_TOTAL_TIMEOUT_MS } from '../contract/limits.ts';
import { TOO_LARGE_CODE } from './errors.ts';

export interface SocketLimits {
  /** For the whole connection, if less than that of a request. */
  readonly timeout_ms?: number;
  /** Default: no limit. */
  readonly received_max_bytes?: number;
}

const RECEIVED_CHECK_MS = 20;

/**
 * Closes the socket after its time, when nothing was received or sent for the idle time, and when it has received too much.
 * Reads the counter of the socket, since a TLS layer above it takes the data without an event of the socket.
 */
export function limitSocket(
  socket: Socket,
  { timeout_ms = EGRESS_TOTAL_TIMEOUT_MS, received_max_bytes = Number.POSITIVE_INFINITY }: SocketLimits,
): void {
  const end = (code: string) => socket.destroy(Object.assign(new Error(code), { code }));
  const timer = setTimeout(() => end('ETIMEDOUT'), Math.min(timeout_ms, EGRESS_TOTAL_TIMEOUT_MS)).unref();
  const counter = setInterval(() => {
    if (socket.bytesRead > received_max_bytes) end(TOO_LARGE_CODE);
  }, RECEIVED_CHECK_MS).unref();
  socket.setTimeout(EGRESS_IDLE_TIMEOUT_MS, () => end('ETIMEDOUT'));
  socket.once('close', () => {
    clearTimeout(timer);
    clearInterval(counter);
  });
}
