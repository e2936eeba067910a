/**
 * Resolves the host of an origin once and checks every address that it has. Only the addresses that it returned may be
 * connected to, so that a second result of the name server (DNS rebinding) is not used.
 */
import dns from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { VaultError } from '../contract/errors.ts';
import {
  EGRESS_RESOLUTIONS_MAX,
  EGRESS_RESOLUTIONS_PER_PRINCIPAL_MAX,
  EGRESS_RESOLVE_TIMEOUT_MS,
} from '../contract/limits.ts';
import { canonicalHost, parseAddress } from '../io/ip_address.ts';
import { refusedKind } from './address_rules.ts';
import type { AllowList } from './allow_list.ts';
import { isPrivateName } from './forward_proxy.ts';
import { Shares } from './shares.ts';

/** Resolves a name to all its addresses. */
export type Lookup = (host: string) => Promise<readonly string[]>;

const NO_ADDRESS =
  'The host of the service has no address, or its name server does not respond. Check the name, or try again later.';
const HTTPS_PORT = 443;
const HTTP_PORT = 80;

export class Resolver {
  readonly #allow: AllowList;
  readonly #ownPorts: () => readonly number[];
  readonly #lookup: Lookup;
  /** Resolutions that run, by host: concurrent requests share one. */
  readonly #running = new Map<string, Promise<readonly string[]>>();
  readonly #shares = new Shares(
    EGRESS_RESOLUTIONS_MAX,
    EGRESS_RESOLUTIONS_PER_PRINCIPAL_MAX,
    'Too many hosts are being resolved. Try again soon.',
  );

  constructor(allow: AllowList, ownPorts: () => readonly number[], lookup: Lookup = systemLookup) {
    this.#allow = allow;
    this.#ownPorts = ownPorts;
    this.#lookup = lookup;
  }

  /**
   * Returns the addresses of an origin. Throws INVALID_INPUT for text that is not the canonical form of an http or https
   * origin, FORBIDDEN unless all addresses are public or allowed by the operator, and UPSTREAM if it has none.
   *
   * `through_proxy`: the connection goes through the proxy, which resolves the name again. Networks that have a proxy often
   * resolve no public names. Then the result is empty, and names that only a private network can have are FORBIDDEN.
   */
  async resolve(origin: string, through_proxy: boolean, principal: string): Promise<readonly string[]> {
    const { host, port } = parseOrigin(origin);
    const addresses = parseAddress(host) === undefined ? await this.#addressesOf(host, principal) : [host];
    if (addresses.length === 0 && !through_proxy)
      throw new VaultError('UPSTREAM', NO_ADDRESS, {
        next: 'Check the host in the path or in the credential with get_credential_status, then call again.',
        retry: true,
        cause: Object.assign(new Error('no address'), { code: 'ENOTFOUND' }),
      });
    if (addresses.length === 0 && isPrivateName(host) && !this.#allow.allowsName(host, port))
      throw refusedError('private name');
    for (const address of addresses) this.#assertPermitted(host, port, address);
    return addresses;
  }

  /** Empty if the host has no address or its name server does not respond in time. */
  async #addressesOf(host: string, principal: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly string[]>((resolve) => {
      timer = setTimeout(() => resolve([]), EGRESS_RESOLVE_TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.#running.get(host) ?? this.#start(host, principal), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #start(host: string, principal: string): Promise<readonly string[]> {
    // Held until the name server has responded: a resolution cannot be stopped.
    const release = this.#shares.take(principal);
    const running = this.#lookup(host)
      .catch(() => [])
      .finally(() => {
        this.#running.delete(host);
        release();
      });
    this.#running.set(host, running);
    return running;
  }

  #assertPermitted(host: string, port: number, address: string): void {
    if (this.#ownPorts().includes(port) && isOfThisMachine(address))
      throw new VaultError('FORBIDDEN', 'Requests may not go to Keyhold itself.', {
        next: 'Use the tools of Keyhold instead; do not retry.',
        retry: false,
      });
    const kind = refusedKind(address);
    if (kind !== undefined && !this.#allow.allows(host, port, address)) throw refusedError(`${kind} address`);
  }
}

function refusedError(what: string): VaultError {
  return new VaultError(
    'FORBIDDEN',
    `The host of the service has a ${what}. An operator can allow it with KEYHOLD_EGRESS_ALLOW.`,
    { next: 'Tell the user: an operator can allow the host with KEYHOLD_EGRESS_ALLOW.', retry: false },
  );
}

/** A name with a dot at its end is refused: no certificate and no entry of a list has it. */
function parseOrigin(origin: string): { readonly host: string; readonly port: number } {
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  const is_http = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === undefined || !is_http || url.origin !== origin || url.hostname.endsWith('.'))
    throw new VaultError('INVALID_INPUT', 'The address of the service is not an origin of http or https.');
  const port = url.port === '' ? (url.protocol === 'https:' ? HTTPS_PORT : HTTP_PORT) : Number(url.port);
  return { host: canonicalHost(url.hostname), port };
}

function isOfThisMachine(address: string): boolean {
  const text = parseAddress(address)?.text;
  if (text === '0.0.0.0' || text === '::' || refusedKind(address) === 'loopback') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === text));
}

async function systemLookup(host: string): Promise<readonly string[]> {
  return (await dns.lookup(host, { all: true, verbatim: true })).map(({ address }) => address);
}
