/**
 * What comes on a connection and is no request that could be routed: it gets one last word, with a request id like any
 * other answer, and the connection ends. What came before it is answered first, since a client takes answers in the
 * order of its requests.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '../contract/log.ts';
import { newRequestId } from '../crypto/request_id.ts';
import type { Connections } from './connections.ts';
import { withHeaders } from './response_headers.ts';

const LAST_WORD_MS = 1_000;

const STATUS_OF_PARSER: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

export class LastWords {
  readonly #connections: Connections;
  readonly #log: Pick<Log, 'info'> | undefined;
  /** What follows on these was read already, and is nobody's. */
  readonly #ended = new WeakSet<Duplex>();

  constructor(connections: Connections, log: Pick<Log, 'info'> | undefined) {
    this.#connections = connections;
    this.#log = log;
  }

  /** Whether the connection ends here, whatever else came on it. */
  hasEnded(socket: Duplex): boolean {
    return this.#ended.has(socket);
  }

  /** To a request whose body may end in two places. */
  toAmbiguous(request: IncomingMessage): void {
    this.#end(request.socket, '400 Bad Request', request);
  }

  /** To what asks for a tunnel. */
  toConnect(socket: Duplex): void {
    this.#end(socket, '405 Method Not Allowed');
  }

  /** To what is not HTTP, or too slow. `code`: what the HTTP server says is wrong with it. */
  toUnreadable(socket: Duplex, code: string | undefined): void {
    // Where the handshake failed, a word would wait for one for ever.
    if (!socket.writable || code === 'ECONNRESET' || /^ERR_(?:TLS|SSL)_/.test(code ?? '')) socket.destroy();
    else this.#end(socket, STATUS_OF_PARSER[code ?? ''] ?? '400 Bad Request');
  }

  /** To a request that expects what there is not; the connection need not end for us, but it does. */
  toExpectation(response: ServerResponse): void {
    const request_id = this.#newId('417 Expectation Failed');
    response.writeHead(417, { 'X-Request-ID': request_id, Connection: 'close' }).end();
  }

  /** To a request that is HTTP but whose target or Host makes no URL. */
  toUnaddressed(): Response {
    const request_id = this.#newId('400 Bad Request');
    const message = 'The target or the Host of the request cannot be read.';
    const error = { code: 'INVALID_INPUT', message, request_id };
    return withHeaders(Response.json({ error }, { status: 400 }), request_id, new Map(), false);
  }

  #end(socket: Duplex, status: string, refused?: IncomingMessage): void {
    if (this.#ended.has(socket)) return;
    this.#ended.add(socket);
    // The HTTP server takes its own listener off a socket that it hands out, and what nobody hears ends the process.
    socket.on('error', () => socket.destroy());
    const before = this.#connections
      .answering(socket as Socket)
      .filter(({ req }) => req.complete && req !== refused)
      .at(-1);
    if (before === undefined) this.#say(socket, status);
    else before.once('close', () => this.#say(socket, status));
  }

  #say(socket: Duplex, status: string): void {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const headers = `X-Request-ID: ${this.#newId(status)}\r\nConnection: close\r\nContent-Length: 0`;
    socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n`, () => socket.destroy());
    setTimeout(() => socket.destroy(), LAST_WORD_MS).unref();
  }

  /** A request id that the log knows. */
  #newId(status: string): string {
    const request_id = newRequestId();
    this.#log?.info({ request_id, status: Number.parseInt(status, 10) }, 'refused what is no request');
    return request_id;
  }
}

/**
 * Codings other than `chunked` alone are in the grammar, but proxies do not agree on where such a body ends: what comes
 * after it on the connection could be a request of somebody else.
 */
export function isAmbiguous({ headers }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding'];
  return coding !== undefined && coding.toLowerCase() !== 'chunked';
}
