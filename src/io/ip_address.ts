/**
 * IP addresses in every form in which settings and headers have them: RFC 4291 and RFC 4007 (zones), with brackets and
 * ports as in URLs (WHATWG URL, RFC 6874) and in X-Forwarded-For and Forwarded (RFC 7239). Resolves no name, and imports
 * nothing of Node.js, since the client of a server also runs in browsers.
 */

export interface IpAddress {
  readonly family: 4 | 6;
  /** In the canonical form (RFC 5952), without brackets and zone. An IPv4-mapped address is one of IPv4. */
  readonly text: string;
  /** The network interface that a link-local address belongs to, such as `eth0`. */
  readonly zone: string | undefined;
}

const IPV4_PATTERN = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const IPV6_PATTERN = /^[0-9a-f:.]*:[0-9a-f:.]*$/i;
const BRACKETS_PATTERN = /^\[(.*)\]$/;
/** In a URL, the percent sign before the zone is encoded. */
const ZONE_PATTERN = /^([^%]*)%(?:25)?([A-Za-z0-9._~-]{1,64})$/;
const MAPPED_PATTERN = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;
/** A port is a number, or a name that hides it (RFC 7239, section 6.2). */
const PORT_PATTERN = /:(?:\d{1,5}|_[A-Za-z0-9._-]{1,64})$/;
/** Numbers with dots between them, as of an IPv4 address in a URL. */
const NUMERIC_HOST_PATTERN = /^(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*\.?$/;
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/** Parses an address without a port: `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, `fe80::1%eth0`, `[fe80::1%25eth0]`. */
export function parseAddress(text: string): IpAddress | undefined {
  if (IPV4_PATTERN.test(text)) return { family: 4, text, zone: undefined };
  const unbracketed = BRACKETS_PATTERN.exec(text)?.[1] ?? text;
  const [, address = unbracketed, zone] = ZONE_PATTERN.exec(unbracketed) ?? [];
  if (!IPV6_PATTERN.test(address) || !URL.canParse(`http://[${address}]`)) return undefined;
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED_PATTERN.exec(canonical) ?? [];
  if (high === undefined || low === undefined) return { family: 6, text: canonical, zone };
  const bytes = [high, low]
    .map((group) => Number.parseInt(group, 16))
    .flatMap((two) => [two >> 8, two & 0xff]);
  return { family: 4, text: bytes.join('.'), zone: undefined };
}

/**
 * Parses an address that may have a port and quotes, as proxies write them: `192.0.2.1:4711`, `"[2001:db8::1]:4711"`.
 * Without brackets, everything is the address: `2001:db8::1:4711` has no port.
 */
export function parseForwardedAddress(text: string): IpAddress | undefined {
  const unquoted = text.trim().replace(/^"(.*)"$/, '$1');
  const has_port =
    PORT_PATTERN.test(unquoted) && (unquoted.startsWith('[') || unquoted.split(':').length === 2);
  return parseAddress(has_port ? unquoted.replace(PORT_PATTERN, '') : unquoted);
}

/**
 * The form of a host name or an address that two spellings of the same host share: lower case, canonical addresses, no
 * brackets. With the spellings of IPv4 that URLs allow, such as `127.1`. A zone is left out: it has a meaning only on the
 * machine that wrote it (RFC 6874, section 1).
 */
export function canonicalHost(host: string): string {
  const address = parseAddress(host);
  if (address !== undefined) return address.text;
  const name = host.toLowerCase();
  if (!NUMERIC_HOST_PATTERN.test(name) || !URL.canParse(`http://${name}`)) return name;
  return new URL(`http://${name}`).hostname;
}

/** The address, or for IPv6 its network of 64 bits, which one home or one server has as a whole. */
export function networkOf({ family, text, zone }: IpAddress): string {
  if (family === 4) return text;
  const [head = '', tail = ''] = text.split('::');
  const groupsOf = (part: string) => part.split(':').filter((group) => group !== '');
  const zeros = GROUPS - groupsOf(head).length - groupsOf(tail).length;
  const groups = [...groupsOf(head), ...Array<string>(zeros).fill('0'), ...groupsOf(tail)];
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::${zone === undefined ? '' : `%${zone}`}`;
}
