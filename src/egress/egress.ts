/**
 * Sends requests to services: the only place that opens connections for them. The host is resolved once, each address is
 * checked, and the connection goes to a checked address, so that a second result of the name server (DNS rebinding) is
 * not used. TLS is verified for the name. Redirects are returned, not followed.
 */
import dns from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { Pool } from 'undici';
import { VaultError } from '../contract/errors.ts';
import {
  EGRESS_CONNECT_TIMEOUT_MS,
  EGRESS_CONNECTIONS_PER_HOST_MAX,
  EGRESS_HEADERS_TIMEOUT_MS,
  EGRESS_HOSTS_MAX,
  EGRESS_IDLE_TIMEOUT_MS,
  EGRESS_RESOLVE_TIMEOUT_MS,
  EGRESS_RESPONSE_HEADERS_MAX_BYTES,
  EGRESS_TOTAL_TIMEOUT_MS,
} from '../contract/limits.ts';
import { canonicalHost, parseAddress } from '../io/ip_address.ts';
import { refusedKind } from './address_rules.ts';
import type { AllowList } from './allow_list.ts';
import { egressError } from './errors.ts';

/** Resolves a name to all its addresses. */
export type Lookup = (host: string) => Promise<readonly string[]>;

export interface EgressOptions {
  readonly allow: AllowList;
  /** Certificates in PEM that are trusted beside those of the system. */
  readonly ca?: readonly string[] | undefined;
  /** Ports of this machine that requests may never go to: those of our own server. */
  readonly own_ports?: () => readonly number[];
  readonly lookup?: Lookup;
}

/** A host whose addresses were checked. */
export interface EgressTarget {
  /** RFC 6454: scheme, host and port, such as `https://api.github.com`. */
  readonly origin: string;
  /** All are permitted. The connection goes to one of them. */
  readonly addresses: readonly string[];
}

export interface EgressRequest {
  readonly method: string;
  /** Path and query, beginning with a slash. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | string | Readable | undefined;
  readonly signal?: AbortSignal | undefined;
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

const HTTPS_PORT = 443;
const HTTP_PORT = 80;
/** Of the connection, not of the request (RFC 9110, section 7.6.1), or decided by the origin and the body. */
const CONNECTION_HEADERS =
  /^(?:host|connection|content-length|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;
const UNSENDABLE_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);

export class Egress {
  readonly #options: EgressOptions;
  readonly #lookup: Lookup;
  /** By origin and addresses, in the order of use. */
  readonly #pools = new Map<string, Pool>();
  readonly #closing = new Set<Pool>();

  constructor(options: EgressOptions) {
    this.#options = options;
    this.#lookup = options.lookup ?? systemLookup;
  }

  /**
   * Resolves the host of an origin. Throws FORBIDDEN unless all its addresses are public or allowed by the operator, and
   * UPSTREAM if it has none.
   */
  async resolve(origin: string): Promise<EgressTarget> {
    const { protocol, hostname, port: port_text, origin: canonical } = new URL(origin);
    if (canonical !== origin || (protocol !== 'https:' && protocol !== 'http:'))
      throw new Error('not an origin of http or https');
    const host = canonicalHost(hostname);
    const port = port_text === '' ? (protocol === 'https:' ? HTTPS_PORT : HTTP_PORT) : Number(port_text);
    const addresses = parseAddress(host) === undefined ? await this.#addressesOf(host) : [host];
    for (const address of addresses) this.#assertPermitted(host, port, address);
    return { origin, addresses };
  }

  /**
   * Sends a request to a resolved target. Throws INVALID_INPUT for a method, path or header that cannot be sent, and
   * UPSTREAM, with the reason in words, if there is no response. Waits while all connections to the host are in use.
   */
  async request(target: EgressTarget, request: EgressRequest): Promise<EgressResponse> {
    if (UNSENDABLE_METHODS.has(request.method))
      throw new VaultError('INVALID_INPUT', `The method ${request.method} cannot be sent.`);
    if (!request.path.startsWith('/')) throw new VaultError('INVALID_INPUT', 'The path must begin with "/".');
    const connection_header = Object.keys(request.headers).find((name) => CONNECTION_HEADERS.test(name));
    if (connection_header !== undefined)
      throw new VaultError(
        'INVALID_INPUT',
        'The request has a header that belongs to the connection. Leave it out.',
      );
    const timeout = AbortSignal.timeout(EGRESS_TOTAL_TIMEOUT_MS);
    const signal = request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]);
    try {
      const response = await this.#pool(target).request({
        method: request.method as 'GET',
        path: request.path,
        headers: request.headers,
        body: request.body ?? null,
        signal,
        responseHeaders: 'raw',
      });
      const headers = pairsOf(response.headers as unknown as readonly (Buffer | string)[]);
      const { statusCode: status, body } = response;
      const discard = () => {
        body.on('error', () => undefined).destroy();
      };
      return { status, headers, body: readBody(body), discard };
    } catch (cause) {
      throw egressError(cause);
    }
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values(), ...this.#closing];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  async #addressesOf(host: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('timeout')), EGRESS_RESOLVE_TIMEOUT_MS);
    });
    try {
      const addresses = await Promise.race([this.#lookup(host), late]);
      if (addresses.length > 0) return addresses;
    } catch (cause) {
      throw new VaultError('UPSTREAM', 'The host of the service has no address. Check its name.', { cause });
    } finally {
      clearTimeout(timer);
    }
    throw new VaultError('UPSTREAM', 'The host of the service has no address. Check its name.');
  }

  #assertPermitted(host: string, port: number, address: string): void {
    const is_own = (this.#options.own_ports?.() ?? []).includes(port) && isOfThisMachine(address);
    const kind = refusedKind(address);
    if (!is_own && (kind === undefined || this.#options.allow.allows(host, port, address))) return;
    const message = is_own
      ? 'Requests may not go to Keyhold itself.'
      : `The host of the service has a ${kind} address. An operator can allow it with KEYHOLD_EGRESS_ALLOW.`;
    throw new VaultError('FORBIDDEN', message);
  }

  #pool({ origin, addresses }: EgressTarget): Pool {
    const key = JSON.stringify([origin, [...addresses].sort()]);
    const known = this.#pools.get(key);
    if (known !== undefined) {
      this.#pools.delete(key);
      this.#pools.set(key, known);
      return known;
    }
    const [oldest] = this.#pools.keys();
    if (this.#pools.size >= EGRESS_HOSTS_MAX && oldest !== undefined) {
      const pool = this.#pools.get(oldest);
      this.#pools.delete(oldest);
      // Waits for the requests that run.
      if (pool !== undefined) this.#closing.add(pool);
      void pool?.close().finally(() => this.#closing.delete(pool));
    }
    const made = this.#newPool(origin, addresses);
    this.#pools.set(key, made);
    return made;
  }

  #newPool(origin: string, addresses: readonly string[]): Pool {
    const records = addresses.map((address) => ({
      address: parseAddress(address)?.text ?? address,
      family: parseAddress(address)?.family ?? 0,
    }));
    const { ca } = this.#options;
    const host = canonicalHost(new URL(origin).hostname);
    return new Pool(origin, {
      connections: EGRESS_CONNECTIONS_PER_HOST_MAX,
      pipelining: 1,
      allowH2: false,
      headersTimeout: EGRESS_HEADERS_TIMEOUT_MS,
      bodyTimeout: EGRESS_IDLE_TIMEOUT_MS,
      maxHeaderSize: EGRESS_RESPONSE_HEADERS_MAX_BYTES,
      connect: {
        timeout: EGRESS_CONNECT_TIMEOUT_MS,
        rejectUnauthorized: true,
        // The option replaces the certificates of Node.js.
        ...(ca === undefined ? {} : { ca: [...rootCertificates, ...ca] }),
        // An address is no server name (RFC 6066, section 3).
        ...(parseAddress(host) === undefined ? { servername: host } : {}),
        // Without another request to the name server.
        lookup: (_host, { all }, callback) => {
          const [first] = records;
          if (all) callback(null, records);
          else callback(null, first?.address ?? '', first?.family);
        },
      },
    });
  }
}

async function* readBody(body: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield chunk as Buffer;
  } catch (cause) {
    throw egressError(cause, 'body');
  }
}

function isOfThisMachine(address: string): boolean {
  const text = parseAddress(address)?.text;
  if (text === '0.0.0.0' || text === '::' || refusedKind(address) === 'loopback') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === text));
}

async function systemLookup(host: string): Promise<readonly string[]> {
  return (await dns.lookup(host, { all: true, verbatim: true })).map(({ address }) => address);
}

function pairsOf(raw: readonly (Buffer | string)[]): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2)
    pairs.push([String(raw[at]).toLowerCase(), raw[at + 1]?.toString('latin1') ?? '']);
  return pairs;
}
