/**
 * Is this request meant for this server? A page in a browser can send requests to loopback under a name of its own
 * (DNS rebinding), or under ours from its own origin: neither gets as far as the key.
 */
import { isIPv6 } from 'node:net';
import { HttpError } from '../errors.ts';

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'];
const HOST = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i;

/** Names are compared in lower case, IPv6 addresses as URLs write them, without brackets. */
export class HostAllowList {
  readonly #names: ReadonlySet<string>;
  readonly #public_origin: string;
  /** The last Host that was ours, as it was sent: most requests say the same. */
  #usual: string | undefined;

  /** `names`: what the server may be called besides loopback and its public URL. */
  constructor(names: readonly string[], public_url: string) {
    const { hostname, origin } = new URL(public_url);
    this.#public_origin = origin;
    this.#names = new Set([...LOOPBACK_NAMES, hostname, ...names].map(canonical));
  }

  /**
   * Throws 403 for a Host that is not ours and for an Origin that is not ours. `target`: the request target, which
   * may be a whole URL and then names a host too.
   */
  assertAllowed(host: string | undefined, origin: string | undefined, target: string): void {
    if (host === undefined)
      throw new HttpError(400, 'INVALID_INPUT', 'The request names no Host. HTTP/1.1 needs that header.');
    if (!this.#isKnown(host)) throw notOurs('Host');
    if (!target.startsWith('/') && !this.#isKnown(URL.canParse(target) ? new URL(target).host : ''))
      throw notOurs('Host');
    if (origin === undefined || origin === this.#public_origin) return;
    const name = host.toLowerCase();
    if (origin !== `http://${name}` && origin !== `https://${name}`) throw notOurs('Origin');
  }

  #isKnown(host: string): boolean {
    if (host === this.#usual) return true;
    const [, ipv6, name] = HOST.exec(host) ?? [];
    const is_known = this.#names.has(canonical(ipv6 ?? name ?? ''));
    if (is_known) this.#usual = host;
    return is_known;
  }
}

/**
 * Throws 403 for what a page of another site made a browser send without an Origin, such as an image: it has no key,
 * but its failures would count against everybody at that address. `site`: the header Sec-Fetch-Site.
 */
export function rejectCrossOrigin(site: string | undefined): void {
  if (site === 'cross-site' || site === 'same-site')
    throw new HttpError(
      403,
      'FORBIDDEN',
      'A page of another site sent this request. Use the API from a program.',
    );
}

/** Whether only programs on this machine can reach it. */
export function isLoopback(host: string): boolean {
  const name = canonical(host);
  return name === 'localhost' || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name);
}

function canonical(name: string): string {
  const bare = name.toLowerCase().replace(/^\[|\]$/g, '');
  return isIPv6(bare) ? new URL(`http://[${bare}]`).hostname.slice(1, -1) : bare;
}

function notOurs(header: 'Host' | 'Origin'): HttpError {
  return new HttpError(
    403,
    'FORBIDDEN',
    `The header ${header} names another server. Use the server's own URL; KEYHOLD_ALLOWED_HOSTS adds names.`,
  );
}
