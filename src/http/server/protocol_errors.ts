/**
 * Rejects input that never becomes a routable request: malformed HTTP, CONNECT, an unsupported `Expect`, an ambiguous
 * `Transfer-Encoding`. Sends one error response with a request id and closes the connection. If a response is in flight,
 * it destroys the connection instead: an error response would overtake that one (RFC 9112, section 9.3.2).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '../../contract/logger.ts';
import { newRequestId } from '../../crypto/request_id.ts';
import { withHeaders } from '../request/security_headers.ts';
import type { ConnectionTracker } from './connection_tracker.ts';

const LINGER_MS = 1_000;

const STATUS_BY_PARSER_ERROR: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

export class ProtocolErrors {
  readonly #connections: ConnectionTracker;
  readonly #log: Pick<Logger, 'info'> | undefined;

  constructor(connections: ConnectionTracker, log: Pick<Logger, 'info'> | undefined) {
    this.#connections = connections;
    this.#log = log;
  }

  reject(socket: Duplex, status: string): void {
    if (socket.writableEnded) return;
    // An `error` event without a listener would end the process.
    socket.on('error', () => undefined);
    if (!this.#connections.canSendError(socket)) {
      socket.destroy();
      return;
    }
    const headers = `X-Request-ID: ${this.#newLoggedId(status)}\r\nConnection: close\r\nContent-Length: 0`;
    sendAndLinger(socket, `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n`);
  }

  /** Rejects what Node's parser cannot read, and requests that take too long. `code`: of Node's error. */
  rejectMalformed(socket: Duplex, code = ''): void {
    // After a failed TLS handshake a write would never complete.
    if (socket.destroyed || code === 'ECONNRESET' || /^ERR_(?:TLS|SSL)_/.test(code)) socket.destroy();
    else this.reject(socket, STATUS_BY_PARSER_ERROR[code] ?? '400 Bad Request');
  }

  rejectExpect(response: ServerResponse): void {
    response.shouldKeepAlive = false;
    response.writeHead(417, { 'X-Request-ID': this.#newLoggedId('417 Expectation Failed') }).end();
  }

  /** The response to a request whose target and `Host` make no URL. */
  invalidTargetResponse(): Response {
    const request_id = this.#newLoggedId('400 Bad Request');
    const message = 'The target or the Host of the request cannot be read.';
    const error = { code: 'INVALID_INPUT', message, request_id };
    return withHeaders(Response.json({ error }, { status: 400 }), request_id, new Map(), false);
  }

  #newLoggedId(status: string): string {
    const request_id = newRequestId();
    this.#log?.info({ request_id, status: Number.parseInt(status, 10) }, 'rejected malformed request');
    return request_id;
  }
}

/**
 * Sends the response and keeps reading for a short time ("lingering close"). Closing a socket with unread input makes
 * the kernel send RST, and the client may lose the response (RFC 9112, section 9.6).
 */
function sendAndLinger(socket: Duplex, response: string): void {
  socket.end(response);
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/**
 * Whether two parsers may disagree on the end of the body. Codings other than `chunked` alone are in the grammar,
 * but proxies disagree on them, and the bytes behind such a body could be the request of another client.
 */
export function hasAmbiguousLength({ headers }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding'];
  return coding !== undefined && coding.toLowerCase() !== 'chunked';
}
