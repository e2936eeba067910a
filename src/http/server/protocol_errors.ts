/**
 * What comes on a connection and is no request that could be routed: it gets one last word, with a request id like any
 * other answer, and the connection ends. What came before it is answered first, since a client takes answers in the
 * order of its requests.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from '../../contract/logger.ts';
import { newRequestId } from '../../crypto/request_id.ts';
import { withHeaders } from '../request/security_headers.ts';
import type { ConnectionTracker } from './connection_tracker.ts';

const LAST_WORD_MS = 1_000;

const STATUS_OF_PARSER: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

export class ProtocolErrors {
  readonly #connections: ConnectionTracker;
  readonly #log: Pick<Logger, 'info'> | undefined;
  /** What follows on these was read already, and is nobody's. */
  readonly #ended = new WeakSet<Duplex>();

  constructor(connections: ConnectionTracker, log: Pick<Logger, 'info'> | undefined) {
    this.#connections = connections;
    this.#log = log;
  }

  /** Whether the connection ends here, whatever else came on it. */
  hasEnded(socket: Duplex): boolean {
    return this.#ended.has(socket);
  }

  /** To a request whose body may end in two places. */
  toAmbiguous({ socket }: IncomingMessage): void {
    this.#end(socket, '400 Bad Request');
  }

  /**
   * To what asks for a tunnel. The HTTP server has taken its listeners off such a socket, those that answers under way
   * need to get on and to be given up: behind them nobody asks for a tunnel, so the connection is cut.
   */
  toConnect(socket: Duplex): void {
    // What nobody hears ends the process.
    socket.on('error', () => socket.destroy());
    if (this.#connections.answering(socket as Socket).length > 0) socket.destroy();
    else this.#end(socket, '405 Method Not Allowed');
  }

  /** To what is not HTTP, or too slow. `code`: what the HTTP server says is wrong with it. */
  toUnreadable(socket: Duplex, code: string | undefined): void {
    // Where the handshake failed, a word would wait for one for ever.
    if (!socket.writable || code === 'ECONNRESET' || /^ERR_(?:TLS|SSL)_/.test(code ?? '')) socket.destroy();
    else this.#end(socket, STATUS_OF_PARSER[code ?? ''] ?? '400 Bad Request');
  }

  /** To a request that expects what there is not; the connection need not end for us, but it does. */
  toExpectation(response: ServerResponse): void {
    this.#ended.add(response.req.socket);
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

  #end(socket: Duplex, status: string): void {
    if (this.#ended.has(socket)) return;
    this.#ended.add(socket);
    socket.on('error', () => socket.destroy());
    // The word is for the request that broke off, if it is one, unless that has an answer of its own.
    const broken = this.#connections.ofIncomplete(socket as Socket);
    const before = this.#connections
      .answering(socket as Socket)
      .filter(({ req }) => req.complete)
      .at(-1);
    const end = () => {
      if (broken?.headersSent !== true) say(socket, this.#word(status));
      else if (broken.closed) say(socket, '');
      else broken.once('close', () => say(socket, ''));
    };
    if (before === undefined) end();
    else before.once('close', end);
  }

  #word(status: string): string {
    const headers = `X-Request-ID: ${this.#newId(status)}\r\nConnection: close\r\nContent-Length: 0`;
    return `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n`;
  }

  /** A request id that the log knows. */
  #newId(status: string): string {
    const request_id = newRequestId();
    this.#log?.info({ request_id, status: Number.parseInt(status, 10) }, 'refused what is no request');
    return request_id;
  }
}

/**
 * Says it and hears the client out for a moment: bytes of its that nobody has read by the end of a connection make the
 * system throw away what the client has not read.
 */
function say(socket: Duplex, word: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(word);
  socket.resume();
  setTimeout(() => socket.destroy(), LAST_WORD_MS).unref();
}

/**
 * Codings other than `chunked` alone are in the grammar, but proxies do not agree on where such a body ends: what comes
 * after it on the connection could be a request of somebody else.
 */
export function isAmbiguous({ headers }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding'];
  return coding !== undefined && coding.toLowerCase() !== 'chunked';
}
