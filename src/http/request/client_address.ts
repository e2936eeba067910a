/** Who is at the other end: the address that failed attempts are counted by. */
import { isIP, isIPv6 } from 'node:net';

const NETWORK_GROUPS = 4;

/**
 * The address of the client, or of its network. Behind a proxy the last hop of X-Forwarded-For counts, which that
 * proxy wrote; what stands before it anybody could have written.
 */
export function clientAddress(
  socket_address: string | undefined,
  forwarded_for: string | undefined,
  behind_proxy: boolean,
): string {
  const last = forwarded_for?.split(',').at(-1)?.trim() ?? '';
  const address = behind_proxy && isIP(last) !== 0 ? last : (socket_address ?? '');
  return networkOf(address);
}

/** A home or a server has a whole /64 of IPv6 addresses: it counts as one. */
function networkOf(address: string): string {
  const ipv4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (ipv4 !== undefined || !isIPv6(address)) return ipv4 ?? address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const zeros = 8 - groups(head).length - groups(tail ?? '').length;
  const all = [...groups(head), ...Array<string>(Math.max(0, zeros)).fill('0'), ...groups(tail ?? '')];
  const network = all.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::`;
}
