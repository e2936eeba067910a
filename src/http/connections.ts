/**
 * The connections of a server, with a limit to them: when it is reached, the one that we have waited for the longest
 * makes room, so that whoever holds thousands of them keeps nobody else out. Knows nothing of what is said on them.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CONNECTIONS_MAX } from '../contract/limits.ts';

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
  #draining = false;

  constructor(server: Server, max: number) {
    this.#max = max;
    server.on('connection', (socket: Socket) => this.#opened(socket));
    server.on('request', (request, response) => this.#asked(request, response));
  }

  get size(): number {
    return this.#idle.size + this.#busy.size;
  }

  /** Answers under way on the connection of this socket. */
  answering(socket: Socket): readonly ServerResponse[] {
    return [...(this.#busy.get(nameOf(socket))?.answering ?? [])];
  }

  /** From now on every answer is the last one of its connection. */
  drain(): void {
    this.#draining = true;
    for (const { answering } of this.#busy.values()) for (const one of answering) one.shouldKeepAlive = false;
  }

  cutIdle(): void {
    for (const { socket } of this.#idle.values()) socket.destroy();
  }

  cutAll(): void {
    this.cutIdle();
    for (const { socket } of this.#busy.values()) socket.destroy();
  }

  #opened(socket: Socket): void {
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

  /** Among those without a request and those whose request has not all come. */
  #longestWaitedFor(): Connection | undefined {
    const [idle] = this.#idle.values();
    let slow: Connection | undefined;
    for (const connection of this.#busy.values()) {
      if (![...connection.answering].every(({ req }) => !req.complete)) continue;
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
    if (this.#draining) response.shouldKeepAlive = false;
    response.once('close', () => {
      connection.answering.delete(response);
      if (connection.answering.size > 0 || this.#busy.get(name) !== connection) return;
      this.#busy.delete(name);
      if (connection.socket.destroyed) return;
      connection.since_ms = performance.now();
      this.#idle.set(name, connection);
      if (this.#draining) connection.socket.end();
    });
  }
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
