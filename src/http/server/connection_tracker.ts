/**
 * The connections of a server, with a limit to them: when it is reached, the one that we have waited for the longest
 * makes room, so that whoever holds thousands of them keeps nobody else out. Knows nothing of what is said on them.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CONNECTIONS_MAX } from '../../contract/limits.ts';

/** The limit, or less where this process may not have so many files open: the rest it needs for itself. */
export function maxConnections(): number {
  try {
    const [, files] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return Math.min(CONNECTIONS_MAX, Math.floor(Number(files ?? Number.POSITIVE_INFINITY) / 2));
  } catch {
    // Only Linux tells.
    return CONNECTIONS_MAX;
  }
}

interface Connection {
  readonly socket: Socket;
  /** Answers that are under way. */
  readonly answering: Set<ServerResponse>;
  /** That of the newest request; when it is done, only if the request still is coming. */
  newest: ServerResponse | undefined;
  /** When it became idle, or busy. */
  since_ms: number;
}

export class ConnectionTracker {
  readonly #max: number;
  readonly #unread_ms: number;
  readonly #by_name = new Map<string, Connection>();
  /** Spares those that ask again and again being looked for by name. */
  readonly #by_socket = new WeakMap<Socket, Connection>();
  #arrival_ms: number | undefined;
  #opened_so_far = 0;

  /** `unread_ms`: how long an answer that is ready may wait for its client to take any of it. */
  constructor(server: Server, max: number, unread_ms: number) {
    this.#max = max;
    this.#unread_ms = unread_ms;
    server.on('connection', (socket: Socket) => this.#opened(socket));
    server.on('request', (request, response) => this.#asked(request, response));
  }

  /** How many there were in all. */
  get opened(): number {
    return this.#opened_so_far;
  }

  get size(): number {
    return this.#by_name.size;
  }

  /** Answers under way on the connection of this socket. */
  answering(socket: Socket): readonly ServerResponse[] {
    return [...(this.#of(socket)?.answering ?? [])];
  }

  /** The answer, given or not, to the request on this socket's connection that has not come to its end. */
  ofIncomplete(socket: Socket): ServerResponse | undefined {
    const newest = this.#of(socket)?.newest;
    return newest?.req.complete === false ? newest : undefined;
  }

  /**
   * Whether this answer is one of those under way. It is none where one before it has said that it is the last: what
   * follows that one must not be carried out (RFC 9112, section 9.6).
   */
  isAnswering(response: ServerResponse): boolean {
    const { socket } = response.req;
    return this.#of(socket)?.answering.has(response) ?? true;
  }

  /**
   * From now on the last answer that is under way on a connection is its last, and says so. Where none is, the next
   * request may be on its way: the connection is cut when nothing has come for so long.
   */
  drain(arrival_ms: number): void {
    this.#arrival_ms = arrival_ms;
    for (const connection of this.#by_name.values()) {
      if (connection.answering.size === 0) cutUnlessAsked(connection, arrival_ms);
      else endWithLast(connection);
    }
  }

  cutAll(): void {
    for (const { socket } of this.#by_name.values()) socket.destroy();
  }

  #opened(socket: Socket): void {
    this.#opened_so_far++;
    if (this.size >= this.#max && !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    const name = nameOf(socket);
    const answering = new Set<ServerResponse>();
    const connection: Connection = { socket, answering, newest: undefined, since_ms: performance.now() };
    this.#by_name.set(name, connection);
    this.#by_socket.set(socket, connection);
    socket.once('close', () => {
      if (this.#by_name.get(name) === connection) this.#by_name.delete(name);
    });
  }

  /** Cuts the one that we have waited for the longest. Returns false where the server itself is what all wait for. */
  #makeRoom(): boolean {
    const now_ms = performance.now();
    let longest: readonly [name: string, connection: Connection] | undefined;
    for (const [name, connection] of this.#by_name) {
      const is_longer = longest === undefined || connection.since_ms < longest[1].since_ms;
      if (is_longer && isWaitingForClient(connection, now_ms)) longest = [name, connection];
    }
    if (longest === undefined) return false;
    const [name, { socket }] = longest;
    this.#by_name.delete(name);
    socket.destroy();
    return true;
  }

  #of(socket: Socket): Connection | undefined {
    const known = this.#by_socket.get(socket);
    if (known !== undefined) return known;
    const connection = this.#by_name.get(nameOf(socket));
    if (connection !== undefined) this.#by_socket.set(socket, connection);
    return connection;
  }

  #asked({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = this.#of(socket);
    if (connection === undefined) return;
    if (connection.answering.size === 0) connection.since_ms = performance.now();
    else if (hasSaidLast(connection)) return;
    connection.answering.add(response);
    connection.newest = response;
    // Cut, unless some of what is left is taken in time; the server sets a time of its own after the last answer.
    response.on('prefinish', () => {
      if (socket.writableLength > 0) socket.setTimeout(this.#unread_ms);
    });
    if (this.#arrival_ms !== undefined) endWithLast(connection);
    response.on('close', () => this.#answered(connection, socket, response));
  }

  #answered(connection: Connection, socket: Socket, response: ServerResponse): void {
    connection.answering.delete(response);
    if (connection.newest === response && response.req.complete) connection.newest = undefined;
    if (connection.answering.size > 0) {
      // The next answer may take its time to be made.
      if (socket.writableLength === 0) socket.setTimeout(0);
      return;
    }
    connection.since_ms = performance.now();
    if (this.#arrival_ms !== undefined) cutUnlessAsked(connection, this.#arrival_ms);
  }
}

/** Of several answers under way, one after the other, only the last ends the connection: it would cut off the others. */
function endWithLast({ answering }: Connection): void {
  const last = [...answering].at(-1);
  for (const one of answering) if (!one.headersSent) one.shouldKeepAlive = one !== last;
}

function hasSaidLast({ answering }: Connection): boolean {
  for (const one of answering) if (one.headersSent && !one.shouldKeepAlive) return true;
  return false;
}

function cutUnlessAsked(connection: Connection, wait_ms: number): void {
  const { socket, since_ms } = connection;
  const cut = () => {
    if (connection.answering.size === 0 && connection.since_ms === since_ms) socket.destroy();
  };
  // What came while the process was busy has yet to be read when the time is over.
  setTimeout(() => setImmediate(cut), wait_ms).unref();
}

/** An answer that is ready is on its way for a moment; what is still here after this is not being read. */
const UNREAD_AFTER_MS = 1_000;

/** For a request, for the rest of one, or for somebody to take the answers. */
function isWaitingForClient({ answering, since_ms }: Connection, now_ms: number): boolean {
  const is_old = now_ms - since_ms > UNREAD_AFTER_MS;
  for (const { req, writableEnded } of answering) {
    if (req.complete && !(is_old && writableEnded)) return false;
  }
  return true;
}

/** Of the connections at one moment no two have the same; with TLS, the two sockets of one connection have. */
function nameOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
