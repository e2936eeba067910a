/**
 * Validates the value of a field that is a host or a part of one. A host is a DNS name with a registrable domain and the
 * port of https; an address, a local name or another port is allowed only if the operator lists it.
 */
import { VaultError } from '../../contract/errors.ts';
import { canonicalHost, parseAddress } from '../../io/ip_address.ts';
import { hasRegistrableDomain } from './registrable_domain.ts';

/** RFC 1035, section 2.3.1, and RFC 1123, section 2.1: digits may come first. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const HOST_MAX_CHARACTERS = 253;
/** Names that are not of the DNS may have `_`. */
const LOCAL_NAME = /^[a-z0-9][a-z0-9._-]{0,252}$/;
/** A name or an address, which has brackets for IPv6, and a port. */
const HOST_AND_PORT = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/;
const HTTPS_PORT = 443;
const PORT_MAX = 65_535;
const OPERATOR = 'the operator lists it in KEYHOLD_EGRESS_ALLOW';

/** Whether the operator lists the host and port in KEYHOLD_EGRESS_ALLOW. */
export type IsHostAllowed = (host: string, port: number) => boolean;

export interface HostRules {
  /** False for a server that is not used over HTTP, such as a database: it may be an address or a local name. */
  readonly is_http: boolean;
  /** The port of the definition, if it has one: then the value has none. */
  readonly port: number | undefined;
  /** Whether all names below the host are allowed. */
  readonly is_wildcard: boolean;
  readonly isHostAllowed: IsHostAllowed;
}

/** Throws INVALID_INPUT unless the value is one DNS label. */
export function parseLabel(text: string, field: string): string {
  const label = text.toLowerCase();
  if (LABEL.test(label)) return label;
  throw refuseValue(field, 'must be one part of a host name: letters, digits and "-", 63 at most, no dots');
}

/** Host and port of a value. Throws INVALID_INPUT. */
export function parseHostField(
  text: string,
  field: string,
  { is_http, port: fixed_port, is_wildcard, isHostAllowed }: HostRules,
): { readonly host: string; readonly port: number } {
  const [, name = '', port_text] = HOST_AND_PORT.exec(text.toLowerCase()) ?? [];
  const refuse = (what: string): never => {
    throw refuseValue(field, what);
  };
  if (name === '') refuse('must be a host name only, without "https://", user name, path or blanks');
  if (fixed_port !== undefined && port_text !== undefined) refuse('must have no port');
  const port = fixed_port ?? (port_text === undefined ? HTTPS_PORT : Number(port_text));
  if (port < 1 || port > PORT_MAX) refuse('has an invalid port');
  const is_address = parseAddress(name) !== undefined;
  if (!is_address && !(is_http ? isName(name) : LOCAL_NAME.test(name))) refuse('is not a host name');
  if (!is_http || isHostAllowed(name, port)) return { host: name, port };
  if (is_address) refuse(`is an IP address, which is allowed only if ${OPERATOR}; give the host name`);
  if (name === 'localhost' || name.endsWith('.localhost'))
    refuse(`is this machine, which is allowed only if ${OPERATOR}`);
  if (!hasRegistrableDomain(name)) {
    refuse(
      is_wildcard
        ? 'must be a registered domain or a name below one'
        : `is not a full name such as server.example.com; other names are allowed only if ${OPERATOR}`,
    );
  }
  if (port !== HTTPS_PORT && fixed_port === undefined)
    refuse(
      'has a port other than 443, which is allowed only if the operator lists host and port in KEYHOLD_EGRESS_ALLOW',
    );
  return { host: name, port };
}

/** Not a number in one of the spellings of IPv4 that URLs allow, such as `0x7f.1`. */
function isName(name: string): boolean {
  const labels = name.split('.');
  return (
    name.length <= HOST_MAX_CHARACTERS &&
    labels.every((label) => LABEL.test(label)) &&
    canonicalHost(name) === name &&
    URL.canParse(`https://${name}`) &&
    new URL(`https://${name}`).hostname === name
  );
}

/** INVALID_INPUT: `The value of FIELD WHAT.` */
export function refuseValue(field: string, what: string): VaultError {
  return new VaultError('INVALID_INPUT', `The value of ${field} ${what}.`);
}
