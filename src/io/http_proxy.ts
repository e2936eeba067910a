/**
 * Requests to an https server through a forward proxy (CONNECT, RFC 9110, section 9.3.6), for networks that allow no other
 * way out. Node.js reads HTTPS_PROXY from version 22.21 on only.
 */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { ForwardProxy } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { type FetchLimits, ResponseTimeoutError, ResponseTooLargeError } from './bounded_fetch.ts';
import { canonicalHost, parseAddress } from './ip_address.ts';
import { isLoopbackHost } from './server_url.ts';

const HTTPS_PORT = '443';

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

/** Rejects with ResponseTimeoutError, ResponseTooLargeError, UPSTREAM or the error of a socket. Follows no redirect. */
export async function fetchThroughProxy(
  url: URL,
  headers: Headers,
  { url: proxy }: ForwardProxy,
  limits: FetchLimits,
): Promise<{ readonly status: number; readonly body: Uint8Array }> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), limits.time_ms);
  let tunnel: Socket | undefined;
  try {
    tunnel = await openTunnel(new URL(proxy), `${url.hostname}:${url.port || HTTPS_PORT}`, controller.signal);
    return await requestThrough(tunnel, url, headers, limits, controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? new ResponseTimeoutError() : error;
  } finally {
    clearTimeout(timer);
    tunnel?.destroy();
  }
}

async function openTunnel(proxy: URL, target: string, signal: AbortSignal): Promise<Socket> {
  const { protocol, hostname, port, username, password } = proxy;
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const request = (protocol === 'https:' ? httpsRequest : httpRequest)({
    method: 'CONNECT',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port || (protocol === 'https:' ? HTTPS_PORT : '80'),
    path: target,
    headers: {
      host: target,
      ...(user === ':' ? {} : { 'proxy-authorization': `Basic ${Buffer.from(user).toString('base64')}` }),
    },
    agent: false,
    signal,
  });
  request.end();
  // node:http emits `connect` for a response to CONNECT with any status.
  const [response, socket] = (await once(request, 'connect')) as [IncomingMessage, Socket];
  const { statusCode: status = 0 } = response;
  if (status >= 200 && status <= 299) return socket;
  socket.destroy();
  throw new VaultError(
    'UPSTREAM',
    'The proxy refused to connect to the issuer. Check HTTPS_PROXY and NO_PROXY.',
  );
}

async function requestThrough(
  tunnel: Socket,
  { hostname, host, pathname, search }: URL,
  headers: Headers,
  limits: FetchLimits,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: Uint8Array }> {
  const name = hostname.replace(/^\[|\]$/g, '');
  const tls = tlsConnect({
    socket: tunnel,
    host: name,
    // An address is no server name (RFC 6066, section 3).
    ...(parseAddress(name) === undefined ? { servername: name } : {}),
  });
  await once(tls, 'secureConnect', { signal });
  const request = httpRequest({
    // Without `agent`, which would ignore it.
    createConnection: () => tls,
    path: pathname + search,
    headers: { ...Object.fromEntries(headers), host },
    signal,
  });
  request.end();
  const [response]: [IncomingMessage] = (await once(request, 'response')) as [IncomingMessage];
  const status = response.statusCode ?? 0;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.body_bytes) throw new ResponseTooLargeError(status);
    chunks.push(chunk);
  }
  return { status, body: Buffer.concat(chunks) };
}
