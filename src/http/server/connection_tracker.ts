/**
 * Tracks the open connections of a server and enforces a maximum. At the maximum it evicts the connection that has kept
 * the server waiting longest (slow request, unread response, idle keep-alive), so that one client with thousands of
 * connections cannot lock others out. Does not look at HTTP content.
 */
import { readFileSync } from 'node:fs';
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CONNECTIONS_MAX } from '../../contract/limits.ts';

/** A finished response that is still in the write buffer after this time means that the client is not reading. */
const STALLED_WRITE_MS = 1_000;

/** CONNECTIONS_MAX, or half of the process's limit of open files if that is less. Only Linux has the file. */
export function maxConnections(): number {
  try {
    const [, files] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return Math.min(CONNECTIONS_MAX, Math.floor(Number(files ?? Number.POSITIVE_INFINITY) / 2));
  } catch {
    return CONNECTIONS_MAX;
  }
}

interface Connection {
  readonly socket: Socket;
  /** Responses in flight, in the order of their requests. */
  readonly responses: Set<ServerResponse>;
  /** When the connection last became idle or busy. */
  since_ms: number;
  /** The last response ended before the body of its request, which may still arrive. */
  responded_early: boolean;
}

export class ConnectionTracker {
  readonly #max: number;
  readonly #unread_timeout_ms: number;
  readonly #connections = new Map<string, Connection>();
  readonly #by_socket = new WeakMap<Duplex, Connection>();
  #drain_grace_ms: number | undefined;
  #ends_keep_alive = false;
  #opened_count = 0;

  /** `unread_timeout_ms`: how long a finished response may wait for its client to read any of it. */
  constructor(server: Server, max: number, unread_timeout_ms: number) {
    this.#max = max;
    this.#unread_timeout_ms = unread_timeout_ms;
    server.on('connection', (socket: Socket) => this.#onConnection(socket));
    server.on('secureConnection', (socket: Socket) => {
      const connection = this.#connections.get(connectionKey(socket));
      if (connection !== undefined) this.#by_socket.set(socket, connection);
    });
  }

  /** How many connections were opened since the start. */
  get opened_count(): number {
    return this.#opened_count;
  }

  /**
   * Registers the response to a new request. Returns false if a response before it ends the connection: requests
   * pipelined after that one must not be processed (RFC 9112, section 9.6).
   */
  track(response: ServerResponse): boolean {
    const { socket } = response.req;
    const connection = this.#by_socket.get(socket);
    if (connection === undefined) return true;
    const { responses } = connection;
    for (const { shouldKeepAlive } of responses) if (!shouldKeepAlive) return false;
    if (responses.size === 0) connection.since_ms = performance.now();
    connection.responded_early = false;
    responses.add(response);
    if (this.#ends_keep_alive) response.shouldKeepAlive = false;
    // Destroys the connection unless the client reads in time. After the last response Node sets its own timeout.
    response.on('prefinish', () => {
      if (socket.writableLength > 0) socket.setTimeout(this.#unread_timeout_ms);
    });
    response.on('close', () => this.#onResponseClosed(connection, response));
    return true;
  }

  /** Whether an error response can be sent next: no response is pending before it, and none to the same request. */
  canSendError(socket: Duplex): boolean {
    const connection = this.#by_socket.get(socket);
    if (connection === undefined) return true;
    const is_free = ({ req, headersSent }: ServerResponse) => !req.complete && !headersSent;
    return !connection.responded_early && [...connection.responses].every(is_free);
  }

  /** From now on each response has `Connection: close`, so that clients open their next connection elsewhere. */
  endKeepAlive(): void {
    this.#ends_keep_alive = true;
    for (const { responses } of this.#connections.values()) {
      const last = [...responses].at(-1);
      if (last !== undefined && !last.headersSent) last.shouldKeepAlive = false;
    }
  }

  /**
   * From now on the last response on each connection has `Connection: close`. An idle connection is destroyed after
   * `grace_ms`, since a request may already be on its way.
   */
  drain(grace_ms: number): void {
    this.#drain_grace_ms = grace_ms;
    this.endKeepAlive();
    for (const connection of this.#connections.values()) destroyIfIdle(connection, grace_ms);
  }

  destroyAll(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    this.#opened_count++;
    if (this.#connections.size >= this.#max && !this.#evictLongestWaiting()) {
      socket.destroy();
      return;
    }
    const key = connectionKey(socket);
    const connection: Connection = {
      socket,
      responses: new Set(),
      since_ms: performance.now(),
      responded_early: false,
    };
    this.#connections.set(key, connection);
    this.#by_socket.set(socket, connection);
    socket.once('close', () => {
      if (this.#connections.get(key) === connection) this.#connections.delete(key);
    });
  }

  /** Returns false if every connection is waiting for the server. */
  #evictLongestWaiting(): boolean {
    const now_ms = performance.now();
    let longest: readonly [key: string, connection: Connection] | undefined;
    for (const [key, connection] of this.#connections) {
      const is_longer = longest === undefined || connection.since_ms < longest[1].since_ms;
      if (is_longer && isWaitingForClient(connection, now_ms)) longest = [key, connection];
    }
    if (longest === undefined) return false;
    const [key, { socket }] = longest;
    this.#connections.delete(key);
    socket.destroy();
    return true;
  }

  #onResponseClosed(connection: Connection, response: ServerResponse): void {
    const { responses } = connection;
    const { req } = response;
    responses.delete(response);
    connection.responded_early = !req.complete;
    if (responses.size > 0) {
      // The timeout was for the response that is read now; the next one may take longer to be made.
      if (req.socket.writableLength === 0) req.socket.setTimeout(0);
      return;
    }
    connection.since_ms = performance.now();
    if (this.#drain_grace_ms !== undefined) destroyIfIdle(connection, this.#drain_grace_ms);
  }
}

/** `setImmediate`: input that arrived while the process was busy is read before the connection counts as idle. */
function destroyIfIdle({ socket, responses }: Connection, grace_ms: number): void {
  const destroy = () => {
    if (responses.size === 0) socket.destroy();
  };
  setTimeout(() => setImmediate(destroy), grace_ms).unref();
}

/** For a request, for the rest of a request, or for the client to read the responses. */
function isWaitingForClient({ responses, since_ms }: Connection, now_ms: number): boolean {
  const is_stalled = now_ms - since_ms > STALLED_WRITE_MS;
  for (const { req, writableEnded } of responses) {
    if (req.complete && !(is_stalled && writableEnded)) return false;
  }
  return true;
}

/** Unique among open connections. With TLS the raw and the TLS socket of a connection share it. */
function connectionKey({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
