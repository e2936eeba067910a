/**
 * Which origins the values of a credential may be sent to, from the hosts of its service and the fields in them. Decides
 * what a destination is; never sends anything and resolves no name. Messages name the field, never its value.
 */
import type { Destination } from '../contract/destination.ts';
import { VaultError } from '../contract/errors.ts';
import { BOUND_PARAMETERS } from '../contract/service/connection.ts';
import type { Service } from '../contract/service/service.ts';
import { fieldsIn, PLACEHOLDER_PATTERN } from '../contract/service/texts.ts';
import { authenticationOf } from './authentication.ts';
import { digestOf } from './canonical_json.ts';
import { type IsHostAllowed, parseHostField, parseLabel, refuseValue } from './hosts/host_value.ts';

export type FieldRole = 'secret' | 'destination' | 'plain';

/** The values of destination fields, by field id. */
export type FieldTexts = ReadonlyMap<string, string>;

/** `*.`, the name, the port. */
const HOST_TEMPLATE = /^(\*\.)?(.*?)(?::(\d{1,5}))?$/;
const WHOLE_FIELD = /^\{([^{}]+)\}$/;
const AUTHORITY = /^https?:\/\/([^/?#]*)/;
const HTTPS_PORT = 443;

/** Parts of a definition for people, and examples: they decide nothing about requests with a credential. */
const TEXTS_OF_SERVICE = [
  'name',
  'description',
  'category',
  'aliases',
  'homepage',
  'docs_url',
  'icon',
  'operations',
  'pagination',
  'verified',
];
const TEXTS_OF_FIELD = ['name', 'description', 'help_url', 'example', 'shape'];

interface Templates {
  /** With the hosts that only requests for tokens go to. */
  readonly hosts: readonly string[];
  readonly fields: ReadonlySet<string>;
  readonly defaults: FieldTexts;
  /** The origins of a service without templates, which every credential of it has. */
  readonly fixed: readonly string[] | undefined;
}

const templates_by_service = new WeakMap<Service, Templates>();

function templatesOf(service: Service): Templates {
  const known = templates_by_service.get(service);
  if (known !== undefined) return known;
  const { oauth, modes = [], token_hosts = [] } = service;
  const token_urls = [
    oauth?.token_url,
    oauth?.refresh_url,
    oauth?.revocation_url,
    oauth?.introspection_url,
    oauth?.userinfo_url,
    oauth?.device_authorization_url,
  ].filter((url) => url !== undefined);
  const hosts = [...new Set([...service.hosts, ...token_hosts, ...token_urls.map(authorityOf)])];
  const urls = [service.base_url, oauth?.authorization_url, ...modes.map(({ base_url }) => base_url)];
  const named = [
    ...[...hosts, ...token_urls, ...urls.filter((url) => url !== undefined)].flatMap(fieldsIn),
    ...(service.connections ?? []).flatMap(({ fields }) =>
      BOUND_PARAMETERS.map((parameter) => fields[parameter]).filter((id) => id !== undefined),
    ),
  ];
  const secrets = new Set(service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id));
  const fields = new Set(named.filter((id) => !secrets.has(id)));
  const defaults = new Map<string, string>();
  for (const field of service.fields)
    if (field.default !== undefined) defaults.set(field.field_id, field.default);
  const fixed = named.length > 0 ? undefined : sorted(hosts.map((host) => `https://${host}`));
  const made = { hosts, fields, defaults, fixed };
  templates_by_service.set(service, made);
  return made;
}

/** `destination`: the value is a part of a host, the base URL or a token URL, or decides how a connection is protected. */
export function fieldRole(service: Service, field_id: string): FieldRole {
  if (service.fields.some((field) => field.field_id === field_id && field.secret)) return 'secret';
  return templatesOf(service).fields.has(field_id) ? 'destination' : 'plain';
}

/** The ids of the fields with the role `destination`. */
export function destinationFields(service: Service): ReadonlySet<string> {
  return templatesOf(service).fields;
}

/**
 * The origins for these values of destination fields; `undefined` if a field is missing without which there is no host.
 * `mode`: the id of the mode that all the values choose. Throws INVALID_INPUT for a value that is no host, or a host that
 * no credential may be sent to.
 */
export function resolveDestination(
  service: Service,
  values: FieldTexts,
  isHostAllowed: IsHostAllowed,
  mode?: string,
): Destination | undefined {
  const { hosts, fields, defaults, fixed } = templatesOf(service);
  const chosen = mode === undefined ? {} : { mode };
  if (fixed !== undefined) return { ...chosen, origins: fixed, fields: {} };
  const all = new Map([...defaults, ...values]);
  const origins = originsOf(service, hosts, all, isHostAllowed);
  // A server that is not used over HTTP can be named otherwise, as in a connection string.
  if (origins === undefined && isUsedOverHttp(service)) return undefined;
  const authority = authorityOf(authenticationOf(service, mode).base_url ?? '');
  const base = expand(authority, all, (text) => text.toLowerCase());
  if (base === undefined) return undefined;
  if (base !== '') {
    const origin = originOf(`https://${base}`);
    if (origin === undefined || !isCovered(origin, origins ?? []))
      throw refuseValue(fieldsIn(authority).join(' and '), 'does not lead to a host of the service');
  }
  const given = [...values].filter(([id]) => fields.has(id));
  return { ...chosen, origins: origins ?? [], fields: Object.fromEntries(given) };
}

/** The origin of the base URL with these fields; `undefined` without a base URL or with a missing field. */
export function baseOrigin(service: Service, { fields, mode }: Destination): string | undefined {
  const authority = authorityOf(authenticationOf(service, mode).base_url ?? '');
  const values = new Map([...templatesOf(service).defaults, ...Object.entries(fields)]);
  const expanded = expand(authority, values, (text) => text.toLowerCase());
  return expanded === undefined || expanded === '' ? undefined : originOf(`https://${expanded}`);
}

/**
 * The origins that a credential is bound to and that the present definition allows for requests. A definition that gains
 * hosts allows no more than before, one that loses some allows less. Empty for values that would be refused now.
 */
export function allowedByDefinition(
  destination: Destination,
  service: Service,
  isHostAllowed: IsHostAllowed,
): readonly string[] {
  let present: readonly string[];
  try {
    const fields = new Map([...templatesOf(service).defaults, ...Object.entries(destination.fields)]);
    present = originsOf(service, service.hosts, fields, isHostAllowed) ?? [];
  } catch (error) {
    if (error instanceof VaultError && error.code === 'INVALID_INPUT') return [];
    throw error;
  }
  const bound = destination.origins;
  const both = [
    ...bound.filter((origin) => isCovered(origin, present)),
    ...present.filter((origin) => isCovered(origin, bound)),
  ];
  return sorted(both);
}

/** SHA-256, in base64url, of what decides how and where the values of a service are sent. */
export function definitionDigest(service: Service): string {
  const fields = service.fields.map((field) => without(field, TEXTS_OF_FIELD));
  const decisive = { ...without(service, TEXTS_OF_SERVICE), fields };
  return digestOf(decisive);
}

/** Whether an origin is in the list, or below one that begins with `*.`. */
export function isCovered(origin: string, origins: readonly string[]): boolean {
  return origins.some((one) => {
    if (one === origin) return true;
    const [scheme = '', domain] = one.split('*');
    return domain !== undefined && origin.startsWith(scheme) && origin.endsWith(domain);
  });
}

/** The origins of host templates without those whose fields are missing; `undefined` if that leaves none. */
function originsOf(
  service: Service,
  hosts: readonly string[],
  values: FieldTexts,
  isHostAllowed: IsHostAllowed,
): readonly string[] | undefined {
  const found = hosts.map((template) => expandHost(service, template, values, isHostAllowed));
  const expanded = found.filter((origin) => origin !== undefined);
  if (expanded.length === 0 && hosts.length > 0) return undefined;
  // A server that is not used over HTTP has no origin; its field is bound.
  return sorted(expanded.filter((origin) => origin !== ''));
}

/** The origin; an empty text for a host that is not used over HTTP. */
function expandHost(
  service: Service,
  template: string,
  values: FieldTexts,
  isHostAllowed: IsHostAllowed,
): string | undefined {
  if (!template.includes('{')) return `https://${template}`;
  const [, wildcard = '', name = '', port_text] = HOST_TEMPLATE.exec(template) ?? [];
  const port = port_text === undefined ? undefined : Number(port_text);
  const [, field] = WHOLE_FIELD.exec(name) ?? [];
  if (field === undefined) {
    const host = expand(name, values, (text, id) => parseLabels(service, text, id));
    return host === undefined ? undefined : `https://${wildcard}${withPort(host, port)}`;
  }
  const value = values.get(field);
  if (value === undefined) return undefined;
  const is_http = isUsedOverHttp(service);
  const parsed = parseHostField(value, field, { is_http, port, is_wildcard: wildcard !== '', isHostAllowed });
  return is_http ? `https://${wildcard}${withPort(parsed.host, parsed.port)}` : '';
}

/** The value of a field inside a host: one label, or several if the definition has it among the choices. */
function parseLabels(service: Service, text: string, id: string): string {
  const field = service.fields.find(({ field_id }) => field_id === id);
  const is_choice = field?.choices?.some(({ value }) => value === text) === true;
  const labels = is_choice ? text.split('.') : [text];
  return labels.map((label) => parseLabel(label, id)).join('.');
}

/** Replaces the placeholders; `undefined` if a field has no value. */
function expand(
  template: string,
  values: FieldTexts,
  convert: (text: string, field: string) => string,
): string | undefined {
  let is_complete = true;
  const expanded = template.replace(PLACEHOLDER_PATTERN, (_match, field: string) => {
    const value = values.get(field);
    if (value === undefined) is_complete = false;
    return value === undefined ? '' : convert(value, field);
  });
  return is_complete ? expanded : undefined;
}

/** Whether requests with its credentials are made over HTTP, unlike to a database. */
export function isUsedOverHttp({ base_url, injection, modes }: Service): boolean {
  return base_url !== undefined || injection.in !== 'none' || modes !== undefined;
}

function withPort(host: string, port: number | undefined): string {
  return port === undefined || port === HTTPS_PORT ? host : `${host}:${port}`;
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined;
}

function authorityOf(url: string): string {
  return AUTHORITY.exec(url)?.[1] ?? '';
}

function sorted(origins: readonly string[]): readonly string[] {
  return [...new Set(origins)].sort();
}

function without(object: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}
