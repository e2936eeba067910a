/**
 * What comes on a connection and is no request that could be routed: it gets one last answer, with a request id like
 * any other, and the connection ends.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { newRequestId } from '../crypto/request_id.ts';
import type { Connections } from './connections.ts';
import { withHeaders } from './response_headers.ts';

const LAST_WORD_MS = 1_000;

/**
 * Codings other than `chunked` alone are in the grammar, but proxies do not agree on where such a body ends: what comes
 * after it on the connection could be a request of somebody else.
 */
export function isAmbiguous({ headers }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding'];
  return coding !== undefined && coding.toLowerCase() !== 'chunked';
}

const STATUS_OF_PARSER: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** What is not HTTP, or too slow, gets a last word and is cut off. */
export function refuse(code: string | undefined, socket: Socket, connections: Connections): void {
  const under_way = connections.answering(socket).some((response) => response.headersSent);
  // Where the handshake failed, a word would wait for one for ever.
  if (!socket.writable || code === 'ECONNRESET' || /^ERR_(?:TLS|SSL)_/.test(code ?? '') || under_way) {
    socket.destroy();
    return;
  }
  const status = STATUS_OF_PARSER[code ?? ''] ?? '400 Bad Request';
  lastWord(socket, status);
}

/** Answers where no request could be made of what came, and cuts off. */
export function lastWord(socket: Duplex, status: string): void {
  const headers = `X-Request-ID: ${newRequestId()}\r\nConnection: close\r\nContent-Length: 0`;
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n`, () => socket.destroy());
  setTimeout(() => socket.destroy(), LAST_WORD_MS).unref();
}

/** A request that is HTTP but whose target or Host makes no URL. */
export function unreadable(): Response {
  const request_id = newRequestId();
  const message = 'The target or the Host of the request cannot be read.';
  const error = { code: 'INVALID_INPUT', message, request_id };
  return withHeaders(Response.json({ error }, { status: 400 }), request_id, new Map(), false);
}
