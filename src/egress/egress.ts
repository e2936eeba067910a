/**
 * Sends requests to services: the only class that opens connections for them. The host is resolved once, each address is
 * checked, and the connection goes to a checked address. TLS is verified for the name. Redirects are returned, not followed.
 */
import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
// A process that sends no request does not load it.
import type * as Undici from 'undici';
import { VaultError } from '../contract/errors.ts';
import {
  EGRESS_CONNECTIONS_PER_HOST_MAX,
  EGRESS_HEADERS_TIMEOUT_MS,
  EGRESS_HOSTS_MAX,
  EGRESS_IDLE_TIMEOUT_MS,
  EGRESS_KEEP_ALIVE_MAX_MS,
  EGRESS_REQUESTS_MAX,
  EGRESS_REQUESTS_PER_HOST_MAX,
  EGRESS_REQUESTS_PER_PRINCIPAL_MAX,
  EGRESS_RESPONSE_HEADERS_MAX_BYTES,
  EGRESS_TOTAL_TIMEOUT_MS,
} from '../contract/limits.ts';
import { inSpan } from '../io/tracing/span.ts';
import { refusedKind } from './address_rules.ts';
import type { AllowList } from './allow_list.ts';
import { Connector } from './connector.ts';
import { CLOSED_MESSAGE, egressError } from './errors.ts';
import { type ForwardProxy, usesProxy } from './forward_proxy.ts';
import { assertSendable, parseEndpoint } from './request_checks.ts';
import { type Lookup, Resolver } from './resolver.ts';
import { pairsOf, readBody } from './response_parts.ts';
import { Shares } from './shares.ts';
import { limitSocket, type SocketLimits } from './socket_limits.ts';
import { startTls } from './start_tls.ts';

export interface EgressOptions {
  readonly allow: AllowList;
  /** Certificates in PEM that are trusted beside those of Node.js. */
  readonly ca?: readonly string[] | undefined;
  /** Undefined: every connection is direct. */
  readonly proxy?: ForwardProxy | undefined;
  /** Ports of this machine that requests may never go to: those that Keyhold listens on. */
  readonly own_ports?: (() => readonly number[]) | undefined;
  readonly lookup?: Lookup | undefined;
}

/** A host whose addresses were checked. */
export interface EgressTarget {
  /** RFC 6454: scheme, host and port, such as `https://api.github.com`. */
  readonly origin: string;
  /** All are permitted. The connection goes to one of them. Empty if only the proxy can resolve the host. */
  readonly addresses: readonly string[];
  /** Whose share of the limits the request counts against, such as `organization/user`; absent: all share one. */
  readonly principal?: string;
}

/** A direct connection without HTTP, such as to a database. */
export interface EgressEndpoint extends SocketLimits {
  /** A name or an address; IPv6 with brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly principal?: string;
}

export interface EgressConnection {
  readonly socket: Socket;
  /** The address that it goes to. */
  readonly address: string;
  /** False: a private one that the operator allows. */
  readonly is_public: boolean;
}

export interface EgressRequest {
  readonly method: string;
  /** Path and query, beginning with a slash. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For the request with its whole response, if less than the limit. */
  readonly timeout_ms?: number | undefined;
}

export interface EgressResponse {
  readonly status: number;
  /** Names in lower case, in the order in which they came. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The content as it was sent. Throws UPSTREAM if it breaks off. */
  readonly body: AsyncIterable<Buffer>;
  /** Ends a response that is not read to its end. */
  discard(): void;
}

interface HostPool {
  readonly pool: Undici.Pool;
  /** Requests that run or wait. */
  requests: number;
}

export class Egress {
  readonly #options: EgressOptions;
  readonly #resolver: Resolver;
  readonly #connector: Connector;
  readonly #shares = new Shares(
    EGRESS_REQUESTS_MAX,
    EGRESS_REQUESTS_PER_PRINCIPAL_MAX,
    'Too many requests to services are running. Try again soon.',
  );
  /** By origin and addresses, in the order of use. */
  readonly #pools = new Map<string, HostPool>();
  /** Pools that wait for their last responses. */
  readonly #closing = new Set<Undici.Pool>();
  readonly #sockets = new Set<Socket>();
  #undici: typeof Undici.default | undefined;
  #is_closed = false;

  constructor(options: EgressOptions) {
    this.#options = options;
    this.#resolver = new Resolver(options.allow, options.own_ports ?? (() => []), options.lookup);
    this.#connector = new Connector(options.ca, options.proxy);
  }

  /**
   * Resolves the host of an origin. Throws FORBIDDEN unless all its addresses are public or allowed by the operator, and
   * UPSTREAM if it has none. `principal`: see `EgressTarget`.
   */
  async resolve(origin: string, principal?: string): Promise<EgressTarget> {
    const { proxy } = this.#options;
    const through_proxy = proxy !== undefined && URL.canParse(origin) && usesProxy(new URL(origin), proxy);
    const addresses = await this.#resolver.resolve(origin, through_proxy, principal ?? '');
    return { origin, addresses, ...(principal === undefined ? {} : { principal }) };
  }

  /**
   * Sends a request to a resolved target. Throws INVALID_INPUT for a method, path or header that cannot be sent, RATE_LIMITED
   * if too many requests run, and UPSTREAM, with the reason in its message, if there is no response. Waits while all connections to
   * the host are in use.
   */
  request(target: EgressTarget, request: EgressRequest): Promise<EgressResponse> {
    const { method } = request;
    // Not the host: it may be of one tenant.
    return inSpan(method, { kind: 'client', attributes: { 'http.request.method': method } }, async (span) => {
      const response = await this.#request(target, request);
      span.set({ 'http.response.status_code': response.status });
      if (response.status >= 400) span.fail(String(response.status));
      return response;
    });
  }

  async #request(target: EgressTarget, request: EgressRequest): Promise<EgressResponse> {
    assertSendable(request.method, request.path, Object.keys(request.headers));
    // A bundled CommonJS module has no other export.
    this.#undici ??= (await import('undici')).default;
    if (this.#is_closed) throw closedError();
    const host_pool = this.#pool(this.#undici, target);
    if (host_pool.requests >= EGRESS_REQUESTS_PER_HOST_MAX)
      throw new VaultError('RATE_LIMITED', 'Too many requests to this service are waiting. Try again soon.', {
        retry_after: 1,
      });
    const release = this.#shares.take(target.principal ?? '');
    host_pool.requests += 1;
    const deadline = startDeadline(request, () => {
      host_pool.requests -= 1;
      release();
    });
    try {
      const response = await host_pool.pool.request({
        method: request.method as 'GET',
        path: request.path,
        headers: request.headers,
        body: request.body ?? null,
        signal: deadline.signal,
        responseHeaders: 'raw',
      });
      const headers = pairsOf(response.headers as unknown as readonly (Buffer | string)[]);
      const { statusCode: status, body } = response;
      body.once('close', deadline.end);
      const discard = () => {
        body.on('error', () => undefined).destroy();
      };
      return { status, headers, body: readBody(body), discard };
    } catch (cause) {
      deadline.end();
      throw egressError(cause);
    }
  }

  /**
   * Opens a connection with the same checks of the address, never through the proxy, which is for https. It is closed when
   * nothing was received or sent for the idle time, and after the total time of a request. Throws as `resolve` and `request`
   * do; a later failure closes the socket.
   */
  async connect(endpoint: EgressEndpoint): Promise<EgressConnection> {
    const { host, port, tls, principal } = endpoint;
    const { origin, hostname } = parseEndpoint(host, port);
    const addresses = await this.#resolver.resolve(origin, false, principal ?? '');
    const release = this.#shares.take(principal ?? '');
    try {
      const name = hostname.replace(/^\[|\]$/g, '');
      const socket = await this.#connector.open(name, port, addresses, tls);
      limitSocket(socket, endpoint);
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        release();
      });
      if (this.#is_closed) {
        socket.destroy();
        throw closedError();
      }
      const address = socket.remoteAddress ?? '';
      return { socket, address, is_public: refusedKind(address) === undefined };
    } catch (cause) {
      release();
      throw egressError(cause);
    }
  }

  /** For a connection of `connect` that begins TLS later, as with STARTTLS: the trusted certificates, and the name to verify. */
  tlsOptions(host: string): ConnectionOptions {
    return this.#connector.tlsOptions(host);
  }

  /** Begins TLS on a connection of `connect`. `options`: see `tlsOptions`. Rejects with the error of the handshake. */
  startTls(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
    return startTls(socket, options);
  }

  /** Ends all connections. Later requests are refused. */
  async close(): Promise<void> {
    this.#is_closed = true;
    const pools = [...[...this.#pools.values()].map(({ pool }) => pool), ...this.#closing];
    this.#pools.clear();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  #pool(undici: typeof Undici.default, { origin, addresses }: EgressTarget): HostPool {
    const key = JSON.stringify([origin, [...addresses].sort()]);
    const known = this.#pools.get(key);
    if (known !== undefined) {
      this.#pools.delete(key);
      this.#pools.set(key, known);
      return known;
    }
    const [oldest] = this.#pools;
    if (this.#pools.size >= EGRESS_HOSTS_MAX && oldest !== undefined) {
      const [oldest_key, { pool }] = oldest;
      this.#pools.delete(oldest_key);
      // Waits for the requests that run.
      this.#closing.add(pool);
      void pool.close().finally(() => this.#closing.delete(pool));
    }
    const made = {
      pool: new undici.Pool(origin, {
        connections: EGRESS_CONNECTIONS_PER_HOST_MAX,
        pipelining: 1,
        allowH2: false,
        headersTimeout: EGRESS_HEADERS_TIMEOUT_MS,
        bodyTimeout: EGRESS_IDLE_TIMEOUT_MS,
        keepAliveMaxTimeout: EGRESS_KEEP_ALIVE_MAX_MS,
        maxHeaderSize: EGRESS_RESPONSE_HEADERS_MAX_BYTES,
        connect: this.#connector.forPool(undici.buildConnector, origin, addresses),
      }),
      requests: 0,
    };
    this.#pools.set(key, made);
    return made;
  }
}

function closedError(): VaultError {
  return new VaultError('UPSTREAM', CLOSED_MESSAGE);
}

/**
 * The signal of a request: aborts with that of the caller, and when the time is over. `onEnd` is called once, by `end`. Not
 * `AbortSignal.timeout`, whose timer would stay for minutes after each request.
 */
function startDeadline({ signal, timeout_ms = EGRESS_TOTAL_TIMEOUT_MS }: EgressRequest, onEnd: () => void) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  const timer = setTimeout(
    () => controller.abort(new DOMException('timeout', 'TimeoutError')),
    Math.min(timeout_ms, EGRESS_TOTAL_TIMEOUT_MS),
  );
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  let is_open = true;
  const end = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    if (is_open) onEnd();
    is_open = false;
  };
  return { signal: controller.signal, end };
}
