/**
 * Opens connections to addresses that were checked, with strict TLS for the name of the host: directly, or for https through
 * the forward proxy. Resolves no name.
 */
import { readFileSync } from 'node:fs';
import { type LookupFunction, connect as netConnect, type Socket } from 'node:net';
import tls, {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  connect as tlsConnect,
} from 'node:tls';
import type { buildConnector } from 'undici';
import { EGRESS_CONNECT_TIMEOUT_MS } from '../contract/limits.ts';
import { canonicalHost, parseAddress } from '../io/ip_address.ts';
import { type ForwardProxy, openTunnel, usesProxy } from './forward_proxy.ts';

export class Connector {
  readonly #ca: readonly string[] | undefined;
  readonly #proxy: ForwardProxy | undefined;
  #context: SecureContext | undefined;

  /** `ca`: certificates in PEM that are trusted beside those of Node.js. */
  constructor(ca: readonly string[] | undefined, proxy: ForwardProxy | undefined) {
    this.#ca = ca;
    this.#proxy = proxy;
  }

  /** The function with which a pool of undici connects to an origin. `build`: of undici, which the caller loaded. */
  forPool(
    build: typeof buildConnector,
    origin: string,
    addresses: readonly string[],
  ): buildConnector.connector {
    const url = new URL(origin);
    const { hostname, port } = url;
    const connectTls = build({
      timeout: EGRESS_CONNECT_TIMEOUT_MS,
      rejectUnauthorized: true,
      secureContext: this.#secureContext(),
      ...serverName(hostname),
      lookup: lookupOf(addresses),
    });
    const proxy = this.#proxy;
    if (proxy === undefined || !usesProxy(url, proxy)) return connectTls;
    return (options, callback) => {
      openTunnel(proxy.url, `${hostname}:${port || '443'}`, this.#secureContext()).then(
        (httpSocket) => connectTls({ ...options, httpSocket }, callback),
        (error: Error) => callback(error, null),
      );
    };
  }

  /** A direct connection. Rejects with the error of the socket. */
  async open(host: string, port: number, addresses: readonly string[], uses_tls: boolean): Promise<Socket> {
    const base = { host, port, lookup: lookupOf(addresses), noDelay: true, keepAlive: true };
    const socket = uses_tls
      ? tlsConnect({
          ...base,
          ...this.tlsOptions(host),
        })
      : netConnect(base);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
        EGRESS_CONNECT_TIMEOUT_MS,
      );
      socket.once(uses_tls ? 'secureConnect' : 'connect', () => {
        clearTimeout(timer);
        resolve(socket);
      });
      // It stays: an error of a socket without a listener would end the process. Later errors close the socket.
      socket.on('error', reject);
      socket.once('close', () => {
        clearTimeout(timer);
        // After another result it has no effect.
        reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
      });
    });
  }

  /** Strict TLS for the name of the host. */
  tlsOptions(host: string): ConnectionOptions {
    return { host, ...serverName(host), rejectUnauthorized: true, secureContext: this.#secureContext() };
  }

  /** Made once: it parses all the certificates. */
  #secureContext(): SecureContext {
    this.#context ??= createSecureContext(
      // The option replaces the certificates of Node.js.
      this.#ca === undefined ? {} : { ca: [...certificatesOfNode(), ...this.#ca] },
    );
    return this.#context;
  }
}

/** With those of NODE_EXTRA_CA_CERTS, which `rootCertificates` leaves out. */
function certificatesOfNode(): readonly string[] {
  // From Node.js 22.15 and 23.10 on.
  const current: unknown = Reflect.get(tls, 'getCACertificates');
  if (typeof current === 'function') return current('default');
  const path = process.env.NODE_EXTRA_CA_CERTS;
  try {
    return path ? [...tls.rootCertificates, readFileSync(path, 'utf8')] : tls.rootCertificates;
  } catch {
    // Node.js has written a warning at its start.
    return tls.rootCertificates;
  }
}

/** An address is not a server name (RFC 6066, section 3). */
function serverName(hostname: string): { readonly servername?: string } {
  const host = canonicalHost(hostname);
  return parseAddress(host) === undefined ? { servername: host } : {};
}

/** The addresses, without another request to the name server. */
function lookupOf(addresses: readonly string[]): LookupFunction {
  const records = addresses.map((address) => ({
    address: parseAddress(address)?.text ?? address,
    family: parseAddress(address)?.family ?? 0,
  }));
  return (_host, { all }, callback) => {
    const [first] = records;
    if (all) callback(null, records);
    else callback(null, first?.address ?? '', first?.family);
  };
}
