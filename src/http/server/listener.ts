/**
 * The listening server: binds first, so that a port that is taken is known before anything else happens, serves later,
 * and stops without breaking off what it is doing. Never listens to other machines without TLS unless told that a
 * proxy does that part.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, isIPv6, Server as NetServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { VaultError } from '../../contract/errors.ts';
import {
  KEEP_ALIVE_TIMEOUT_MS,
  REQUEST_HEADERS_MAX_BYTES,
  REQUEST_HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SHUTDOWN_TIMEOUT_MS,
  UNREAD_ANSWER_TIMEOUT_MS,
} from '../../contract/limits.ts';
import type { Logger } from '../../contract/logger.ts';
import { isLoopback } from '../request/host_check.ts';
import { ConnectionTracker, maxConnections } from './connection_tracker.ts';
import { isAmbiguous, ProtocolErrors } from './protocol_errors.ts';
import { batchPerTick } from './tick_batch.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly behind_proxy: boolean;
  /** PEM. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  readonly connections_max?: number;
  /** Told of what gets no further than here. */
  readonly log?: Pick<Logger, 'info'>;
  /** How long a client may take. */
  readonly timeouts?: Partial<typeof TIMEOUTS_MS>;
}

const TIMEOUTS_MS = {
  headers: REQUEST_HEADERS_TIMEOUT_MS,
  request: REQUEST_TIMEOUT_MS,
  keep_alive: KEEP_ALIVE_TIMEOUT_MS,
  unread: UNREAD_ANSWER_TIMEOUT_MS,
};

interface Connected {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}
type Fetch = (request: Request, env: Connected) => Promise<Response>;

export interface Listener {
  /** Where it listens, such as `http://127.0.0.1:8787`. */
  readonly url: string;
  /** Requests that came before are answered now. */
  serve(fetch: Fetch): void;
  /** Accepts nothing more, lets requests in flight finish, and cuts off what takes too long. */
  close(limit_ms?: number): Promise<void>;
}

/** Requests that are already on their way on an open connection get this long to arrive when the server stops. */
const ARRIVAL_MS = 500;
/** Waiting connections are accepted for so long at most, and until none has come for so long and so many turns. */
const ACCEPT_MS = 3_000;
const QUIET_MS = 20;
const QUIET_TURNS = 3;
const CHECK_TIMEOUTS_EVERY_MS = 1_000;

/** Rejects with INVALID_INPUT for a place where it must not listen, UNAVAILABLE where it cannot. */
export async function openListener(options: ListenOptions): Promise<Listener> {
  const { host, port, tls, behind_proxy } = options;
  if (tls === undefined && !behind_proxy && !isLoopback(host)) throw exposed();
  let served: Fetch | undefined;
  let serve: (fetch: Fetch) => void = () => undefined;
  const fetch = new Promise<Fetch>((given) => {
    serve = (fetch) => {
      served = fetch;
      given(fetch);
    };
  });
  const server = newServer(options);
  const { unread } = { ...TIMEOUTS_MS, ...options.timeouts };
  const connections = new ConnectionTracker(server, options.connections_max ?? maxConnections(), unread);
  const last_words = new ProtocolErrors(connections, options.log);
  const answer = getRequestListener(
    // HTTP/2 is what else the adapter knows; this server is none.
    async (request, env) => (served ?? (await fetch))(request, env as Connected),
    { hostname: 'unnamed.invalid', errorHandler: () => last_words.toUnaddressed() },
  );
  const answerSoon = batchPerTick(({ incoming, outgoing }: Connected) => {
    // Who is gone by now would not be missed: the adapter listens for that only from here on. What broke off in this
    // very turn has its last word.
    const is_over = outgoing.destroyed || (last_words.hasEnded(incoming.socket) && !incoming.complete);
    if (!is_over) void answer(incoming, outgoing);
  });
  server.on('request', (incoming, outgoing) => {
    if (last_words.hasEnded(incoming.socket) || !connections.isAnswering(outgoing)) return;
    if (isAmbiguous(incoming)) last_words.toAmbiguous(incoming);
    else answerSoon({ incoming, outgoing });
  });
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) =>
    last_words.toUnreadable(socket, code),
  );
  server.on('connect', (_request, socket) => last_words.toConnect(socket));
  server.on('checkExpectation', (_request, response) => last_words.toExpectation(response));
  await bind(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${isIPv6(host) ? `[${host}]` : host}:${bound}`,
    serve,
    close: (limit_ms = SHUTDOWN_TIMEOUT_MS) => close(server, connections, limit_ms),
  };
}

function newServer({ tls, timeouts }: ListenOptions): Server {
  const { headers, request, keep_alive } = { ...TIMEOUTS_MS, ...timeouts };
  const limits = {
    headersTimeout: headers,
    requestTimeout: request,
    keepAliveTimeout: keep_alive,
    connectionsCheckingInterval: Math.min(CHECK_TIMEOUTS_EVERY_MS, headers),
    maxHeaderSize: REQUEST_HEADERS_MAX_BYTES,
    insecureHTTPParser: false,
    noDelay: true,
    // Answered here, with a request id, like everything else.
    requireHostHeader: false,
  };
  if (tls === undefined) return createServer(limits);
  try {
    return createTlsServer({
      ...limits,
      ...tls,
      minVersion: 'TLSv1.2',
      handshakeTimeout: headers,
    });
  } catch (cause) {
    throw new VaultError(
      'INVALID_INPUT',
      'The TLS certificate and key cannot be used. KEYHOLD_TLS_CERT and KEYHOLD_TLS_KEY must be PEM files that belong together.',
      { reason: 'setting_invalid', cause },
    );
  }
}

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(cannotListen(error));
    server.once('error', failed);
    server.listen({ host, port }, () => {
      server.off('error', failed);
      // From now on only a connection that could not be accepted: nobody is served by ending for it.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

async function close(server: Server, connections: ConnectionTracker, limit_ms: number): Promise<void> {
  const timer = setTimeout(() => connections.cutAll(), limit_ms);
  await acceptWaiting(connections);
  const closed = new Promise<void>((resolve) => {
    // The one of the HTTP server would cut off requests that are just arriving.
    NetServer.prototype.close.call(server, () => resolve());
  });
  // Not sooner: who is told to close its connection makes a new one, which must be refused and not left waiting.
  connections.drain(ARRIVAL_MS);
  await closed;
  clearTimeout(timer);
}

/**
 * Connections that clients have made and that wait to be accepted would be cut off together with what was sent on them.
 * Each turn of the event loop accepts one; when none has come for a while, none is waiting.
 */
async function acceptWaiting(connections: ConnectionTracker): Promise<void> {
  const until_ms = performance.now() + ACCEPT_MS;
  let last_ms = performance.now();
  let quiet_turns = 0;
  while (
    performance.now() < until_ms &&
    (quiet_turns < QUIET_TURNS || performance.now() < last_ms + QUIET_MS)
  ) {
    const { opened } = connections;
    await turn();
    quiet_turns++;
    if (connections.opened === opened) continue;
    quiet_turns = 0;
    last_ms = performance.now();
  }
}

function exposed(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'Other machines can reach this address, so it needs TLS: set KEYHOLD_TLS_CERT and KEYHOLD_TLS_KEY, or pass --behind-proxy where a proxy does TLS; or listen on 127.0.0.1.',
    { reason: 'setting_invalid' },
  );
}

function cannotListen(cause: NodeJS.ErrnoException): VaultError {
  switch (cause.code) {
    case 'EADDRINUSE':
      return new VaultError(
        'UNAVAILABLE',
        'Another program listens on this port already. Stop it, or choose another with --port or KEYHOLD_PORT.',
        { cause },
      );
    case 'EACCES':
      return new VaultError(
        'UNAVAILABLE',
        'This port is not for ordinary users. Choose one above 1023 with --port or KEYHOLD_PORT.',
        { cause },
      );
    default:
      return new VaultError(
        'INVALID_INPUT',
        'This machine has no such address to listen on. Set --host or KEYHOLD_HOST to one that it has.',
        { reason: 'setting_invalid', cause },
      );
  }
}
