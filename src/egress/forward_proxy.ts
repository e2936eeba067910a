/**
 * The forward proxy of the environment (CONNECT, RFC 9110, section 9.3.6), for networks that allow no other way out. Only
 * https goes through it, so that the proxy sees the name of a host and encrypted bytes. It never gets a credential but its own.
 */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { VaultError } from '../contract/errors.ts';
import { EGRESS_CONNECT_TIMEOUT_MS } from '../contract/limits.ts';
import { canonicalHost, parseAddress } from '../io/ip_address.ts';
import { isLoopbackHost } from '../io/server_url.ts';

/** As the environment variables HTTPS_PROXY and NO_PROXY give it. It is the operator's choice: its address is not checked. */
export interface ForwardProxy {
  /** Its URL, which may have a user and a password. */
  readonly url: string;
  /** Hosts that are requested directly. */
  readonly bypass: readonly string[];
}

const HTTPS_PORT = '443';
const HTTP_PORT = '80';
/**
 * Suffixes that no public name has: RFC 6761, RFC 6762, RFC 8375, the list of ICANN for private use, and those that networks
 * use without a reservation. Names without a dot are private too.
 */
const PRIVATE_SUFFIXES = [
  ...['localhost', 'local', 'internal', 'home.arpa', 'test', 'invalid', 'onion'],
  ...['corp', 'home', 'intranet', 'lan', 'private'],
];

/** Whether requests to the URL go through the proxy: not to this machine, nor to the hosts of NO_PROXY. */
export function usesProxy({ protocol, hostname, port }: URL, { bypass }: ForwardProxy): boolean {
  if (protocol !== 'https:' || isLoopbackHost(hostname)) return false;
  const host = canonicalHost(hostname);
  return !bypass.some((entry) => matchesBypass(entry, host, port || HTTPS_PORT));
}

/** An entry is `*`, an address, or a domain with all names below it; each may have a port. */
function matchesBypass(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const is_address = parseAddress(entry) !== undefined;
  const [, name = entry, wanted_port = port] = (is_address ? undefined : /^(.*):(\d+)$/.exec(entry)) ?? [];
  const domain = canonicalHost(name.replace(/^\*?\./, ''));
  return wanted_port === port && (host === domain || host.endsWith(`.${domain}`));
}

/** Whether only private networks can have the name. */
export function isPrivateName(host: string): boolean {
  return !host.includes('.') || PRIVATE_SUFFIXES.some((suffix) => host.endsWith(`.${suffix}`));
}

/**
 * Opens a connection to a host and port through the proxy. Rejects with UPSTREAM if the proxy cannot be reached or refuses.
 * Not `ProxyAgent` of undici, which accepts no other status than 200 and sends no user without a password.
 */
export async function openTunnel(proxy_url: string, target: string, context: SecureContext): Promise<Socket> {
  const { protocol, hostname, port, username, password } = new URL(proxy_url);
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), EGRESS_CONNECT_TIMEOUT_MS);
  try {
    const host = hostname.replace(/^\[|\]$/g, '');
    const request = (protocol === 'https:' ? httpsRequest : httpRequest)({
      method: 'CONNECT',
      host,
      // By default Node.js takes the name in the header Host. An address is not a server name (RFC 6066, section 3).
      servername: parseAddress(host) === undefined ? host : '',
      port: port || (protocol === 'https:' ? HTTPS_PORT : HTTP_PORT),
      path: target,
      headers: {
        host: target,
        ...(user === ':' ? {} : { 'proxy-authorization': `Basic ${Buffer.from(user).toString('base64')}` }),
      },
      agent: false,
      signal: controller.signal,
      ...(protocol === 'https:' ? { secureContext: context, rejectUnauthorized: true } : {}),
    });
    request.end();
    // node:http emits `connect` for a response to CONNECT with any status.
    const [response, socket] = (await once(request, 'connect')) as [IncomingMessage, Socket];
    const { statusCode: status = 0 } = response;
    if (status >= 200 && status <= 299) return socket;
    socket.destroy();
    throw new VaultError(
      'UPSTREAM',
      'The proxy refused to connect to the host. Check HTTPS_PROXY and NO_PROXY.',
    );
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw new VaultError('UPSTREAM', 'The proxy cannot be reached. Check HTTPS_PROXY.', { cause });
  } finally {
    clearTimeout(timer);
  }
}
