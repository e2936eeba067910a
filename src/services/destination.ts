/**
 * Which origins the values of a credential may be sent to, from the hosts of its service and the fields in them. Decides
 * what a destination is; never sends anything and resolves no name. Messages name the field, never its value.
 */
import crypto from 'node:crypto';
import type { Destination } from '../contract/destination.ts';
import { VaultError } from '../contract/errors.ts';
import type { Service } from '../contract/service.ts';
import { type IsHostAllowed, parseHostField, parseLabel, refuseValue } from './hosts/host_value.ts';

export type FieldRole = 'secret' | 'destination' | 'plain';

/** The values of destination fields, by field id. */
export type FieldTexts = ReadonlyMap<string, string>;

const PLACEHOLDER = /\{([A-Za-z][A-Za-z0-9_.-]{0,63})\}/g;
/** `*.`, the name, the port. */
const HOST_TEMPLATE = /^(\*\.)?(.*?)(?::(\d{1,5}))?$/;
const WHOLE_FIELD = /^\{([^{}]+)\}$/;
const AUTHORITY = /^https?:\/\/([^/?#]*)/;
const HTTPS_PORT = 443;

/** The parts of a definition that texts for people and examples are in: they decide nothing about requests. */
const TEXT_PROPERTIES: ReadonlySet<string> = new Set([
  'name',
  'description',
  'category',
  'aliases',
  'homepage',
  'docs_url',
  'help_url',
  'example',
  'icon',
  'operations',
  'pagination',
  'verified',
]);

interface Templates {
  readonly api_hosts: readonly string[];
  /** With those that only requests for tokens go to. */
  readonly all_hosts: readonly string[];
  readonly base_urls: readonly string[];
  readonly fields: ReadonlySet<string>;
  /** The origins of a service without templates, which every credential of it has. */
  readonly fixed: readonly string[] | undefined;
}

const templates_by_service = new WeakMap<Service, Templates>();

function templatesOf(service: Service): Templates {
  const known = templates_by_service.get(service);
  if (known !== undefined) return known;
  const { hosts, base_url, oauth } = service;
  const oauth_urls = [oauth?.authorization_url, oauth?.token_url, oauth?.revocation_url];
  const urls = oauth_urls.filter((url) => url !== undefined);
  const token_hosts = urls.slice(oauth?.authorization_url === undefined ? 0 : 1).map(authorityOf);
  const base_urls = base_url === undefined ? [] : [base_url];
  const all_hosts = [...new Set([...hosts, ...token_hosts])];
  const named = [...all_hosts, ...base_urls, ...urls].flatMap(fieldsIn);
  const secrets = new Set(service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id));
  const fields = new Set(named.filter((id) => !secrets.has(id)));
  const fixed = named.length > 0 ? undefined : sorted(all_hosts.map((host) => `https://${host}`));
  const made = { api_hosts: hosts, all_hosts, base_urls, fields, fixed };
  templates_by_service.set(service, made);
  return made;
}

/** `destination`: the value is a part of a host, the base URL or a token URL. */
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
 * Throws INVALID_INPUT for a value that is no host, or a host that no credential may be sent to.
 */
export function resolveDestination(
  service: Service,
  values: FieldTexts,
  isHostAllowed: IsHostAllowed,
): Destination | undefined {
  const { all_hosts, base_urls, fields, fixed } = templatesOf(service);
  if (fixed !== undefined) return { origins: fixed, fields: {} };
  const origins = originsOf(service, all_hosts, values, isHostAllowed);
  if (origins === undefined) return undefined;
  for (const url of base_urls) {
    const authority = expand(authorityOf(url), values, (text) => text.toLowerCase());
    if (authority === undefined) return undefined;
    const origin = originOf(`https://${authority}`);
    if (isUsedOverHttp(service) && (origin === undefined || !isCovered(origin, origins)))
      throw refuseValue(fieldsIn(authorityOf(url)).join(' and '), 'does not lead to a host of the service');
  }
  const given = [...values].filter(([id]) => fields.has(id));
  return { origins, fields: Object.fromEntries(given) };
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
    const fields = new Map(Object.entries(destination.fields));
    present = originsOf(service, templatesOf(service).api_hosts, fields, isHostAllowed) ?? [];
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
  const canonical = JSON.stringify(withoutTexts(service));
  return crypto.createHash('sha256').update(canonical).digest('base64url');
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
    const host = expand(name, values, (text, id) => parseLabel(text, id));
    return host === undefined ? undefined : `https://${wildcard}${withPort(host, port)}`;
  }
  const value = values.get(field);
  if (value === undefined) return undefined;
  const is_http = isUsedOverHttp(service);
  const parsed = parseHostField(value, field, { is_http, port, is_wildcard: wildcard !== '', isHostAllowed });
  return is_http ? `https://${wildcard}${withPort(parsed.host, parsed.port)}` : '';
}

/** Replaces the placeholders; `undefined` if a field has no value. */
function expand(
  template: string,
  values: FieldTexts,
  convert: (text: string, field: string) => string,
): string | undefined {
  let is_complete = true;
  const expanded = template.replace(PLACEHOLDER, (_match, field: string) => {
    const value = values.get(field);
    if (value === undefined) is_complete = false;
    return value === undefined ? '' : convert(value, field);
  });
  return is_complete ? expanded : undefined;
}

/** Whether requests with its credentials are made over HTTP, unlike to a database. */
function isUsedOverHttp({ base_url, injection }: Service): boolean {
  return base_url !== undefined || injection.in !== 'none';
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

function fieldsIn(template: string): string[] {
  return [...template.matchAll(PLACEHOLDER)].map(([, id = '']) => id);
}

function sorted(origins: readonly string[]): readonly string[] {
  return [...new Set(origins)].sort();
}

/** With the keys in order, so that equal definitions have equal texts. */
function withoutTexts(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTexts);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => !TEXT_PROPERTIES.has(key));
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, withoutTexts(inner)]),
  );
}
