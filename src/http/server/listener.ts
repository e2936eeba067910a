/**
 * The listening server: binds first, so that a port in use is known before anything else happens, and sets the handler
 * later. On shutdown it lets requests in flight finish. Never listens on a non-loopback address without TLS, unless a
 * proxy does TLS.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { setImmediate as nextIteration } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { VaultError } from '../../contract/errors.ts';
import {
  KEEP_ALIVE_TIMEOUT_MS,
  REQUEST_HEADERS_MAX_BYTES,
  REQUEST_HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SHUTDOWN_TIMEOUT_MS,
  UNREAD_RESPONSE_TIMEOUT_MS,
} from '../../contract/limits.ts';
import type { Logger } from '../../contract/logger.ts';
import { parseAddress } from '../../io/ip_address.ts';
import { isLoopbackHost } from '../../io/server_url.ts';
import type { NodeExchange } from '../context.ts';
import { ConnectionTracker, maxConnections } from './connection_tracker.ts';
import { hasAmbiguousLength, ProtocolErrors } from './protocol_errors.ts';
import { batchPerTick } from './tick_batch.ts';

/** PEM. */
export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly behind_proxy: boolean;
  readonly tls?: TlsPair | undefined;
  readonly connections_max?: number;
  /** Receives requests that are rejected here. */
  readonly log?: Pick<Logger, 'info'>;
  /** For tests. */
  readonly timeouts?: Partial<typeof TIMEOUTS_MS>;
}

const TIMEOUTS_MS = {
  headers: REQUEST_HEADERS_TIMEOUT_MS,
  request: REQUEST_TIMEOUT_MS,
  keep_alive: KEEP_ALIVE_TIMEOUT_MS,
  unread: UNREAD_RESPONSE_TIMEOUT_MS,
};

const IPV6_HOST_PATTERN = /^(\[[^\]]*\])(:\d{1,5})?$/;

type Handler = (request: Request, env: NodeExchange) => Promise<Response>;

export interface Listener {
  /** Such as `http://127.0.0.1:8787`. */
  readonly url: string;
  /** Sets the handler. Requests that arrived earlier are handled now. */
  serve(handler: Handler): void;
  /**
   * Replaces the pair for new connections of a server with TLS. Throws INVALID_INPUT, and keeps the former one, if certificate and
   * key cannot be used.
   */
  setTls(tls: TlsPair): void;
  /** Goes on serving, with `Connection: close` in each response. */
  endKeepAlive(): void;
  /** Stops accepting, lets requests in flight finish, and destroys the others after `limit_ms`. */
  close(limit_ms?: number): Promise<void>;
}

/** On shutdown, an idle connection gets this long for a request that is on its way. */
const DRAIN_GRACE_MS = 500;
/** The maximum length of the kernel's queue of connections that wait to be accepted; Node's default. */
const ACCEPT_QUEUE_MAX = 511;
/** Event-loop iterations without a new connection after which the queue is taken to be empty. */
const QUIET_ITERATIONS = 3;
const CHECK_TIMEOUTS_EVERY_MS = 1_000;

const NEEDS_TLS =
  'Other machines can reach this address, so it needs TLS: set KEYHOLD_TLS_CERT and KEYHOLD_TLS_KEY, or pass --behind-proxy where a proxy does TLS; or listen on 127.0.0.1.';

/** Rejects with INVALID_INPUT for an address that it must not or cannot listen on, UNAVAILABLE for a port in use. */
export async function openListener(options: ListenOptions): Promise<Listener> {
  const { host, port, tls, behind_proxy, log } = options;
  if (tls === undefined && !behind_proxy && !isLoopbackHost(host)) throw settingError(NEEDS_TLS);
  const server = newServer(options);
  const { unread } = { ...TIMEOUTS_MS, ...options.timeouts };
  const connections = new ConnectionTracker(server, options.connections_max ?? maxConnections(), unread);
  let accept_queue_drained: Promise<void> | undefined;
  const errors = new ProtocolErrors(connections, log);
  const setHandler = handleRequests(server, connections, errors, () => accept_queue_drained);
  server.listen({ host, port, backlog: ACCEPT_QUEUE_MAX });
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    throw listenError(cause);
  });
  // Later errors concern single connections that could not be accepted.
  server.on('error', () => undefined);
  const { port: bound_port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${urlHost(host)}:${bound_port}`,
    serve: setHandler,
    setTls: (pair) => {
      if (server instanceof TlsServer) useTls(pair, (context) => server.setSecureContext(context));
    },
    endKeepAlive: () => connections.endKeepAlive(),
    close: (limit_ms = SHUTDOWN_TIMEOUT_MS) => {
      const deadline_ms = performance.now() + limit_ms;
      accept_queue_drained = drainAcceptQueue(connections, deadline_ms);
      return close(server, connections, accept_queue_drained, deadline_ms);
    },
  };
}

/**
 * Returns the function that sets the handler; requests wait until it is called, and on shutdown until the accept queue
 * is drained: each event-loop iteration accepts one connection, and an iteration with a write takes milliseconds.
 */
function handleRequests(
  server: Server,
  connections: ConnectionTracker,
  errors: ProtocolErrors,
  acceptQueueDrained: () => Promise<void> | undefined,
): Listener['serve'] {
  let handler: Handler | undefined;
  let setHandler: Listener['serve'] = () => undefined;
  const first_handler = new Promise<Handler>((resolve) => {
    setHandler = (given) => {
      handler = given;
      resolve(given);
    };
  });
  const respond = getRequestListener(
    // The adapter's type allows HTTP/2 as well, which this server does not support.
    async (request, env) => {
      const drained = acceptQueueDrained();
      if (drained !== undefined) await drained;
      return (handler ?? (await first_handler))(request, env as NodeExchange);
    },
    { hostname: 'unnamed.invalid', errorHandler: () => errors.invalidTargetResponse() },
  );
  const respondAtTickEnd = batchPerTick(({ incoming, outgoing }: NodeExchange) => {
    // The client may have disconnected, or the request may have been rejected, since it arrived.
    if (!incoming.socket.writable) return;
    canonicalizeHost(incoming);
    void respond(incoming, outgoing);
  });
  server.on('request', (incoming, outgoing) => {
    if (!incoming.socket.writable || !connections.track(outgoing)) return;
    if (hasAmbiguousLength(incoming)) errors.reject(incoming.socket, '400 Bad Request');
    else respondAtTickEnd({ incoming, outgoing });
  });
  server.on('checkExpectation', (_request, response) => {
    if (connections.track(response)) errors.rejectExpect(response);
  });
  server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => errors.rejectMalformed(socket, code));
  server.on('connect', (_request, socket) => errors.reject(socket, '405 Method Not Allowed'));
  return setHandler;
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
    // The pipeline rejects a missing Host, with a request id.
    requireHostHeader: false,
  };
  if (tls === undefined) return createServer(limits);
  return useTls(tls, (context) => createTlsServer({ ...limits, ...context, handshakeTimeout: headers }));
}

function useTls<T>(tls: TlsPair, use: (context: TlsPair & { readonly minVersion: 'TLSv1.2' }) => T): T {
  try {
    // OpenSSL accepts a certificate and a key of different types, and then refuses every handshake.
    if (!new X509Certificate(tls.cert).checkPrivateKey(createPrivateKey(tls.key)))
      throw new Error('the key is of another certificate');
    return use({ ...tls, minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw settingError(
      'The TLS certificate and key cannot be used. KEYHOLD_TLS_CERT and KEYHOLD_TLS_KEY must be PEM files that belong together.',
      cause,
    );
  }
}

/**
 * Rewrites an IPv6 address in Host to the spelling of URLs. The adapter makes a URL of it and rejects any other spelling.
 * The Host check reads the header as it was sent.
 */
function canonicalizeHost({ headers }: IncomingMessage): void {
  const [, host, port = ''] = IPV6_HOST_PATTERN.exec(headers.host ?? '') ?? [];
  const address = host === undefined ? undefined : parseAddress(host);
  if (address !== undefined) headers.host = urlHost(address.text) + port;
}

/** URLs have no zones (WHATWG URL, section 3.5): clients on the link add their own. */
function urlHost(host: string): string {
  const address = parseAddress(host);
  return address?.family === 6 ? `[${address.text}]` : host;
}

async function close(
  server: Server,
  connections: ConnectionTracker,
  accept_queue_drained: Promise<void>,
  deadline_ms: number,
): Promise<void> {
  await accept_queue_drained;
  const closed = new Promise<void>((resolve) => {
    // Not the HTTP server's own close(): it destroys idle connections, on which a request may be arriving.
    NetServer.prototype.close.call(server, () => resolve());
  });
  // After close(): a client that sees its connection end opens another, which must be refused and not left waiting.
  connections.drain(DRAIN_GRACE_MS);
  // Started now, so that it includes the connections that were accepted above.
  const timer = setTimeout(() => connections.destroyAll(), Math.max(0, deadline_ms - performance.now()));
  await closed;
  clearTimeout(timer);
}

/**
 * Accepts the connections that are in the kernel's queue: close() would reset them together with the requests on them.
 * Each event-loop iteration accepts one. Ends when the queue is empty, or after as many connections as it can hold: then
 * the ones that arrived before are accepted, and requests do not wait for those of clients that connect all the time.
 */
async function drainAcceptQueue(connections: ConnectionTracker, deadline_ms: number): Promise<void> {
  const first_count = connections.opened_count;
  let quiet_iterations = 0;
  while (quiet_iterations < QUIET_ITERATIONS && performance.now() < deadline_ms) {
    const count_before = connections.opened_count;
    if (count_before - first_count > ACCEPT_QUEUE_MAX) return;
    await nextIteration();
    quiet_iterations = connections.opened_count > count_before ? 0 : quiet_iterations + 1;
  }
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'Another program listens on this port already. Stop it, or choose another with --port or KEYHOLD_PORT.',
  EACCES: 'This port is not for ordinary users. Choose one above 1023 with --port or KEYHOLD_PORT.',
};

function listenError(cause: NodeJS.ErrnoException): VaultError {
  const message = LISTEN_ERRORS[cause.code ?? ''];
  if (message !== undefined) return new VaultError('UNAVAILABLE', message, { cause });
  return settingError(
    'This machine has no such address to listen on. Set --host or KEYHOLD_HOST to one that it has.',
    cause,
  );
}

function settingError(message: string, cause?: unknown): VaultError {
  return new VaultError('INVALID_INPUT', message, { reason: 'setting_invalid', cause });
}
