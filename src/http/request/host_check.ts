/**
 * Rejects requests that are not meant for this server. A page in a browser can send requests to loopback under its own
 * host name (DNS rebinding), or under the server's name from its own origin; both are rejected before authentication.
 */
import { canonicalHost } from '../../io/ip_address.ts';
import { HttpError } from '../error_response.ts';

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'];
const HOST_PATTERN = /^(?:\[([0-9a-f:.]+(?:%(?:25)?[a-z0-9._~-]+)?)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i;

export class HostAllowList {
  readonly #names: ReadonlySet<string>;
  readonly #public_origin: string;
  /** The last allowed Host as it was sent. Most requests have the same. */
  #last_allowed: string | undefined;

  /** `names`: allowed in addition to loopback and the public URL. */
  constructor(names: readonly string[], public_url: string) {
    const { hostname, origin } = new URL(public_url);
    this.#public_origin = origin;
    this.#names = new Set([...LOOPBACK_NAMES, hostname, ...names].map(canonicalHost));
  }

  /**
   * Throws 403 for a Host or Origin that is not allowed. `target`: the request target, which may be a full URL with
   * another host.
   */
  assertAllowed(host: string | undefined, origin: string | undefined, target: string): void {
    if (host === undefined)
      throw new HttpError(400, 'INVALID_INPUT', 'The request names no Host. HTTP/1.1 needs that header.');
    if (!this.#isAllowed(host)) throw otherServerError('Host');
    if (!target.startsWith('/') && !this.#isAllowed(URL.canParse(target) ? new URL(target).host : ''))
      throw otherServerError('Host');
    if (origin === undefined || origin === this.#public_origin) return;
    const name = host.toLowerCase();
    if (origin !== `http://${name}` && origin !== `https://${name}`) throw otherServerError('Origin');
  }

  #isAllowed(host: string): boolean {
    if (host === this.#last_allowed) return true;
    const [, ipv6, name] = HOST_PATTERN.exec(host) ?? [];
    const is_allowed = this.#names.has(canonicalHost(ipv6 ?? name ?? ''));
    if (is_allowed) this.#last_allowed = host;
    return is_allowed;
  }
}

/**
 * Throws 403 for a request that a page of another site made a browser send without an Origin, such as an image. It has
 * no key, but its failures would count against its address. `site`: the header Sec-Fetch-Site.
 */
export function rejectCrossOrigin(site: string | undefined): void {
  if (site === 'cross-site' || site === 'same-site')
    throw new HttpError(
      403,
      'FORBIDDEN',
      'A page of another site sent this request. Use the API from a program.',
    );
}

function otherServerError(header: 'Host' | 'Origin'): HttpError {
  return new HttpError(
    403,
    'FORBIDDEN',
    `The header ${header} names another server. Use the server's own URL; KEYHOLD_ALLOWED_HOSTS adds names.`,
  );
}
