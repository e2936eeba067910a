/**
 * The connections of a server, with a limit to them: when it is reached, the one that we have waited for the longest
 * makes room, so that whoever holds thousands of them keeps nobody else out. Knows nothing of what is said on them.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CONNECTIONS_MAX, UNREAD_ANSWER_TIMEOUT_MS } from '../contract/limits.ts';

/** The limit, or less where this process may not have so many files open: the rest it needs for itself. */
export function connectionsAllowed(): number {
  try {
    const [, files] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return Math.min(CONNECTIONS_MAX, Math.floor(Number(files ?? Number.POSITIVE_INFINITY) / 2));
  } catch {
    // Only Linux tells.
    return CONNECTIONS_MAX;
  }
}

interface Connection {
  readonly name: string;
  readonly socket: Socket;
  /** Answers that are under way. */
  readonly answering: Set<ServerResponse>;
  /** When it became idle, or busy. */
  since_ms: number;
}

export class Connections {
  readonly #max: number;
  /** Those without an answer under way, the longest idle first; in `#busy`, the longest busy first. */
  readonly #idle = new Map<string, Connection>();
  readonly #busy = new Map<string, Connection>();
  #arrival_ms: number | undefined;
  #opened_so_far = 0;

  constructor(server: Server, max: number) {
    this.#max = max;
    server.on('connection', (socket: Socket) => this.#opened(socket));
    server.on('request', (request, response) => this.#asked(request, response));
  }

  /** How many there were in all. */
  get opened(): number {
    return this.#opened_so_far;
  }

  get size(): number {
    return this.#idle.size + this.#busy.size;
  }

  /** Answers under way on the connection of this socket. */
  answering(socket: Socket): readonly ServerResponse[] {
    return [...(this.#busy.get(nameOf(socket))?.answering ?? [])];
  }

  /**
   * From now on every answer is the last one of its connection, and says so. Where the one before did not, the next
   * request may be on its way: the connection is cut when nothing has come for so long.
   */
  drain(arrival_ms: number): void {
    this.#arrival_ms = arrival_ms;
    for (const { answering } of this.#busy.values()) for (const one of answering) one.shouldKeepAlive = false;
    for (const connection of this.#idle.values()) this.#cutUnlessAsked(connection, arrival_ms);
  }

  cutAll(): void {
    for (const { socket } of this.#idle.values()) socket.destroy();
    for (const { socket } of this.#busy.values()) socket.destroy();
  }

  #cutUnlessAsked(connection: Connection, wait_ms: number): void {
    const { name, socket, since_ms } = connection;
    const cut = () => {
      if (this.#idle.get(name)?.since_ms === since_ms) socket.destroy();
    };
    // What came while the process was busy has yet to be read when the time is over.
    setTimeout(() => setImmediate(cut), wait_ms).unref();
  }

  #opened(socket: Socket): void {
    this.#opened_so_far++;
    if (this.size >= this.#max) {
      const longest = this.#longestWaitedFor();
      if (longest === undefined) {
        socket.destroy();
        return;
      }
      longest.socket.destroy();
      this.#idle.delete(longest.name);
      this.#busy.delete(longest.name);
    }
    const name = nameOf(socket);
    const connection = { name, socket, answering: new Set<ServerResponse>(), since_ms: performance.now() };
    this.#idle.set(name, connection);
    socket.once('close', () => {
      if (this.#idle.get(name) === connection) this.#idle.delete(name);
      if (this.#busy.get(name) === connection) this.#busy.delete(name);
    });
  }

  /** Among those without a request, those whose request has not all come, and those who do not take their answers. */
  #longestWaitedFor(): Connection | undefined {
    const [idle] = this.#idle.values();
    let slow: Connection | undefined;
    for (const connection of this.#busy.values()) {
      if (!isWaitingForClient(connection)) continue;
      slow = connection;
      break;
    }
    if (idle === undefined || slow === undefined) return idle ?? slow;
    return slow.since_ms < idle.since_ms ? slow : idle;
  }

  #asked(request: IncomingMessage, response: ServerResponse): void {
    const name = nameOf(request.socket);
    const connection = this.#idle.get(name) ?? this.#busy.get(name);
    if (connection === undefined) return;
    if (this.#idle.delete(name)) connection.since_ms = performance.now();
    this.#busy.set(name, connection);
    connection.answering.add(response);
    // Cut, unless some of it is taken within that time; the server sets its own again when the answer is gone.
    response.once('prefinish', () => connection.socket.setTimeout(UNREAD_ANSWER_TIMEOUT_MS));
    if (this.#arrival_ms !== undefined) response.shouldKeepAlive = false;
    response.once('close', () => {
      connection.answering.delete(response);
      if (connection.answering.size > 0 || this.#busy.get(name) !== connection) return;
      this.#busy.delete(name);
      if (connection.socket.destroyed) return;
      connection.since_ms = performance.now();
      this.#idle.set(name, connection);
      if (this.#arrival_ms !== undefined) this.#cutUnlessAsked(connection, this.#arrival_ms);
    });
  }
}

/** An answer that is ready is on its way for a moment; what is still here after this is not being read. */
const UNREAD_AFTER_MS = 1_000;

function isWaitingForClient({ answering, since_ms }: Connection): boolean {
  const is_old = performance.now() - since_ms > UNREAD_AFTER_MS;
  return [...answering].every(({ req, writableEnded }) => !req.complete || (is_old && writableEnded));
}

const names = new WeakMap<Socket, string>();

/** Of the connections at one moment no two have the same; with TLS, the two sockets of one connection have. */
function nameOf(socket: Socket): string {
  const known = names.get(socket);
  if (known !== undefined) return known;
  const { remoteAddress, remotePort, localPort } = socket;
  const name = `${remoteAddress} ${remotePort} ${localPort}`;
  names.set(socket, name);
  return name;
}
