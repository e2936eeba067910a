/**
 * Rules for where a custom definition may send secrets and how. They apply when a person adds or approves a definition, which
 * is pinned from then on: a later change of the operator's settings does not make a stored definition invalid.
 */

import type { HostRule, InjectionRule, TestRequest } from '../../contract/service/authentication.ts';
import type { Service } from '../../contract/service/service.ts';
import { fieldsIn, PLACEHOLDER_PATTERN } from '../../contract/service/texts.ts';
import { isConnectionHeader } from '../../contract/use/rules.ts';
import { canonicalHost, parseAddress } from '../../io/ip_address.ts';
import { definitionError } from '../definition.ts';
import { isUsedOverHttp } from '../destination.ts';
import type { IsHostAllowed } from '../hosts/host_value.ts';
import { hasRegistrableDomain } from '../hosts/registrable_domain.ts';

const HTTPS_PORT = 443;
const URL_PARTS = /^(https?):\/\/([^/?#]*)/i;
const HOST_PARTS = /^(\*\.)?(.*?)(?::(\d{1,5}))?$/;
const WHOLE_FIELD = /^\{[^{}]+\}$/;
/** RFC 6761, RFC 6762, RFC 8375, and the domain that ICANN reserved for private networks. */
const LOCAL_DOMAINS = /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/;
/** Those of a browser, beside those of the connection. */
const COOKIE_HEADERS: ReadonlySet<string> = new Set(['cookie', 'set-cookie']);
const SAFE_TEST_METHODS: readonly string[] = ['GET', 'HEAD'] satisfies TestRequest['method'][];

type Named<Value> = readonly [path: string, value: Value];

/** Throws `definitionError`, which names the property. */
export function checkConnections(service: Service, file_name: string, isHostAllowed: IsHostAllowed): void {
  const refuse = (path: string, reason: string): never => {
    throw definitionError(file_name, path, reason);
  };
  const secrets = new Set(service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id));
  const hosts = isUsedOverHttp(service) ? namedHosts(service) : [];
  const urls = namedUrls(service);
  for (const [path, authority] of [
    ...namedHosts(service),
    ...urls.map(([name, url]) => [name, URL_PARTS.exec(url)?.[2] ?? ''] as const),
  ]) {
    if (fieldsIn(authority).some((id) => secrets.has(id)))
      refuse(path, 'has a secret field: its value would be part of a host name');
  }
  for (const [path, url] of urls) {
    const [, scheme = '', authority = ''] = URL_PARTS.exec(url) ?? [];
    if (scheme === '') continue;
    if (scheme.toLowerCase() === 'http' && !isListed(authority, isHostAllowed))
      refuse(path, 'must be an https URL, unless the operator lists its host in KEYHOLD_EGRESS_ALLOW');
    checkHost(path, authority, isHostAllowed, refuse);
  }
  for (const [path, host] of hosts) checkHost(path, host, isHostAllowed, refuse);
  checkTokenUrls(service, refuse);
  for (const [path, name] of namedHeaders(service)) {
    if (isConnectionHeader(name) || COOKIE_HEADERS.has(name.toLowerCase()))
      refuse(path, 'sets a header that belongs to the connection or to the browser; use another header');
  }
  for (const [path, method] of namedTestMethods(service)) {
    if (!SAFE_TEST_METHODS.includes(method)) refuse(path, 'must be GET or HEAD: a test changes nothing');
  }
}

function checkHost(
  path: string,
  template: string,
  isHostAllowed: IsHostAllowed,
  refuse: (path: string, reason: string) => never,
): void {
  const [, wildcard = '', pattern = '', port_text] = HOST_PARTS.exec(template.toLowerCase()) ?? [];
  // The value is checked when it is stored.
  if (WHOLE_FIELD.test(pattern)) return;
  const name = pattern.replace(PLACEHOLDER_PATTERN, 'x');
  if (isHostAllowed(name, port_text === undefined ? HTTPS_PORT : Number(port_text))) return;
  const unless = 'which is allowed only if the operator lists it in KEYHOLD_EGRESS_ALLOW';
  if (parseAddress(name.replace(/^\[|\]$/g, '')) !== undefined || canonicalName(name) !== name)
    refuse(path, `has an IP address or another spelling of a host, ${unless}`);
  if (LOCAL_DOMAINS.test(name)) refuse(path, `has a host of this machine or a local network, ${unless}`);
  if (!name.includes('.')) refuse(path, `has a host without a domain, ${unless}`);
  if (!hasRegistrableDomain(name))
    refuse(
      path,
      wildcard === ''
        ? 'has a host that is a public suffix, not a registered domain'
        : 'has a wildcard above a registered domain',
    );
}

/** The host as the URL parser normalizes it: IPv4 has spellings such as `0x7f.1`. */
function canonicalName(name: string): string | undefined {
  if (!URL.canParse(`https://${name}`)) return undefined;
  const { hostname, username } = new URL(`https://${name}`);
  return username === '' && canonicalHost(hostname) === hostname ? hostname : undefined;
}

function isListed(authority: string, isHostAllowed: IsHostAllowed): boolean {
  const [, , name = '', port] = HOST_PARTS.exec(authority.toLowerCase()) ?? [];
  return isHostAllowed(name, port === undefined ? 80 : Number(port));
}

/** Client secrets and refresh tokens are sent to these. */
function checkTokenUrls(service: Service, refuse: (path: string, reason: string) => never): void {
  const allowed = [...service.hosts, ...(service.token_hosts ?? [])];
  for (const [path, url] of tokenUrls(service)) {
    const authority = URL_PARTS.exec(url)?.[2]?.toLowerCase() ?? '';
    const is_listed = allowed.some(
      (host) =>
        host.toLowerCase() === authority || (host.startsWith('*.') && authority.endsWith(host.slice(1))),
    );
    if (!is_listed) refuse(path, 'names a host that is not among hosts or token_hosts');
  }
}

/** The URLs that requests for tokens go to, with their properties. */
export function tokenUrls({ oauth }: Service): Named<string>[] {
  const urls: readonly Named<string | undefined>[] = [
    ['oauth.token_url', oauth?.token_url],
    ['oauth.refresh_url', oauth?.refresh_url],
    ['oauth.revocation_url', oauth?.revocation_url],
    ['oauth.introspection_url', oauth?.introspection_url],
    ['oauth.userinfo_url', oauth?.userinfo_url],
    ['oauth.device_authorization_url', oauth?.device_authorization_url],
  ];
  return urls.filter((one): one is Named<string> => one[1] !== undefined);
}

function namedHosts({ hosts, token_hosts = [], host_rules = [] }: Service): Named<string>[] {
  return [
    ...hosts.map((host, at): Named<string> => [`hosts[${at}]`, host]),
    ...token_hosts.map((host, at): Named<string> => [`token_hosts[${at}]`, host]),
    ...host_rules.map(({ host }, at): Named<string> => [`host_rules[${at}].host`, host]),
  ];
}

/** All URLs that requests or a browser may be sent to. A relative path of a test has no host. */
function namedUrls(service: Service): Named<string>[] {
  const { base_url, test, modes = [], oauth } = service;
  const urls: readonly Named<string | undefined>[] = [
    ['base_url', base_url],
    ['test.path', test?.path],
    ...modes.flatMap((mode, at): Named<string | undefined>[] => [
      [`modes[${at}].base_url`, mode.base_url],
      [`modes[${at}].test.path`, mode.test?.path],
    ]),
    ['oauth.authorization_url', oauth?.authorization_url],
    ...tokenUrls(service),
  ];
  return urls.filter((one): one is Named<string> => one[1] !== undefined);
}

/** The names of all headers that the definition sets. */
function namedHeaders(service: Service): Named<string>[] {
  const { modes = [], host_rules = [], idempotency_header } = service;
  return [
    ...headersOf('', service),
    ...modes.flatMap((mode, at) => headersOf(`modes[${at}].`, mode)),
    ...host_rules.flatMap((rule: HostRule, at) => headersOf(`host_rules[${at}].`, rule)),
    ...(idempotency_header === undefined ? [] : [['idempotency_header', idempotency_header] as const]),
  ];
}

function headersOf(
  prefix: string,
  part: Pick<Service, 'injection'> & Partial<Pick<Service, 'default_headers' | 'test'>>,
): Named<string>[] {
  const { injection, default_headers, test } = part;
  const of = (path: string, headers: object | undefined): Named<string>[] =>
    Object.keys(headers ?? {}).map((name) => [`${prefix}${path}`, name]);
  return [
    ...of('injection.headers', injectionHeaders(injection)),
    ...of('default_headers', default_headers),
    ...of('test.headers', test?.headers),
  ];
}

function injectionHeaders(rule: InjectionRule): object | undefined {
  return 'headers' in rule ? rule.headers : undefined;
}

function namedTestMethods({ test, modes = [] }: Service): Named<string>[] {
  const methods: readonly Named<string | undefined>[] = [
    ['test.method', test?.method],
    ...modes.map((mode, at) => [`modes[${at}].test.method`, mode.test?.method] as const),
  ];
  return methods.filter((one): one is Named<string> => one[1] !== undefined);
}
