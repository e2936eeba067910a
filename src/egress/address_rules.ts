/**
 * Which IP addresses requests may go to: public unicast ones. From the registries of special-purpose addresses (RFC 6890,
 * iana-ipv4-special-registry, iana-ipv6-special-registry), and the public address of the WireServer of Azure, which gives the
 * certificates and settings of the virtual machine that requests it.
 */
import { BlockList } from 'node:net';
import { parseAddress } from '../io/ip_address.ts';

/** Why an address is refused. */
export type AddressKind =
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'metadata'
  | 'shared'
  | 'multicast'
  | 'translated'
  | 'reserved';

const SPECIAL: readonly (readonly [kind: AddressKind, networks: readonly string[]])[] = [
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10']],
  // Metadata services of clouds are here, as 169.254.169.254, or in private and shared networks; that of Azure is not.
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  ['metadata', ['168.63.129.16/32']],
  ['shared', ['100.64.0.0/10']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8']],
  // An IPv4 address inside of an IPv6 one: NAT64, 6to4 and its relays, Teredo.
  ['translated', ['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16', '192.88.99.0/24', '2001::/32']],
  [
    'reserved',
    [
      '0.0.0.0/8',
      '192.0.0.0/24',
      '192.0.2.0/24',
      '198.18.0.0/15',
      '198.51.100.0/24',
      '203.0.113.0/24',
      '240.0.0.0/4',
      '2001::/23',
      '2001:db8::/32',
      '3fff::/20',
    ],
  ],
];
/** Global unicast addresses (RFC 4291, section 2.4). Everything else of IPv6 is special or not assigned. */
const IPV6_GLOBAL = networkList(['2000::/3']);
const LISTS = SPECIAL.map(([kind, networks]) => [kind, networkList(networks)] as const);

/** Why requests may not go to the address; `undefined` for a public one. `reserved` for text that is not an address. */
export function refusedKind(text: string): AddressKind | undefined {
  // An IPv4-mapped address is one of IPv4. A zone belongs to link-local addresses.
  const address = parseAddress(text);
  if (address === undefined) return 'reserved';
  const type = address.family === 4 ? 'ipv4' : 'ipv6';
  const special = LISTS.find(([, list]) => list.check(address.text, type));
  if (special !== undefined) return special[0];
  return type === 'ipv6' && !IPV6_GLOBAL.check(address.text, type) ? 'reserved' : undefined;
}

/** A list of networks in the notation of RFC 4632 and RFC 4291, or of single addresses. */
export function networkList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [text = '', prefix] = network.split('/');
    const address = parseAddress(text);
    if (address === undefined) throw new Error('not an address');
    const type = address.family === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(address.text, prefix === undefined ? (type === 'ipv4' ? 32 : 128) : Number(prefix), type);
  }
  return list;
}
