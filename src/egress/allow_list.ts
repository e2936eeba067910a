/** The operator's list of networks and hosts that requests may go to although their addresses are not public. */
import type { BlockList } from 'node:net';
import { canonicalHost, parseAddress } from '../io/ip_address.ts';
import { networkList } from './address_rules.ts';

interface AllowedHost {
  /** A name, or with a dot at its beginning all names below it; empty: every name. */
  readonly name: string;
  /** Absent: any port. */
  readonly port: number | undefined;
}

const HOST_PATTERN = /^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
const PREFIX_MAX = { 4: 32, 6: 128 };
const ENTRIES_MAX = 100;
const PORT_MAX = 65_535;

export class AllowList {
  readonly #networks: BlockList;
  readonly #hosts: readonly AllowedHost[];

  private constructor(networks: readonly string[], hosts: readonly AllowedHost[]) {
    this.#networks = networkList(networks);
    this.#hosts = hosts;
  }

  /**
   * Parses entries with commas between them: a network (`10.0.0.0/8`), an address, a host, `*.` and a domain; hosts with an
   * optional port. `undefined` if an entry is none of these.
   */
  static parse(text: string): AllowList | undefined {
    const entries = text
      .split(',')
      .map((entry) => entry.trim().toLowerCase())
      .filter((entry) => entry !== '');
    if (entries.length > ENTRIES_MAX) return undefined;
    const networks: string[] = [];
    const hosts: AllowedHost[] = [];
    for (const entry of entries) {
      const host = isNetwork(entry) ? undefined : parseHost(entry);
      if (host !== undefined) hosts.push(host);
      else if (isNetwork(entry)) networks.push(entry);
      else return undefined;
    }
    return new AllowList(networks, hosts);
  }

  /** Public addresses only. */
  static none(): AllowList {
    return new AllowList([], []);
  }

  /** For addresses that the operator's own settings name: every host and address. */
  static all(): AllowList {
    return new AllowList([], [{ name: '', port: undefined }]);
  }

  /** Whether requests to `host` and `port` may go to the address that the host has. */
  allows(host: string, port: number, address: string): boolean {
    const parsed = parseAddress(address);
    if (parsed === undefined) return false;
    if (this.#networks.check(parsed.text, parsed.family === 4 ? 'ipv4' : 'ipv6')) return true;
    return this.allowsName(host, port);
  }

  /** Whether requests to `host` and `port` may go to any address. */
  allowsName(host: string, port: number): boolean {
    const name = canonicalHost(host);
    return this.#hosts.some(
      (allowed) =>
        (allowed.port === undefined || allowed.port === port) &&
        (allowed.name === '' ||
          allowed.name === name ||
          (allowed.name.startsWith('.') && name.endsWith(allowed.name))),
    );
  }
}

function isNetwork(entry: string): boolean {
  const [text = '', prefix, ...more] = entry.split('/');
  const address = parseAddress(text);
  if (address === undefined || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= PREFIX_MAX[address.family]);
}

function parseHost(entry: string): AllowedHost | undefined {
  const [, name = entry, port_text] = /^(.*):(\d{1,5})$/.exec(entry) ?? [];
  const port = port_text === undefined ? undefined : Number(port_text);
  if (port !== undefined && (port < 1 || port > PORT_MAX)) return undefined;
  const address = parseAddress(name);
  if (address !== undefined) return { name: address.text, port };
  return HOST_PATTERN.test(name) ? { name: name.replace(/^\*/, ''), port } : undefined;
}
