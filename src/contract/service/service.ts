/**
 * The schema of a service definition: fields, hosts and authentication rule of a service. Definitions are data files,
 * validated whenever they are loaded. A definition contains no value.
 */
import * as z from 'zod';
import { FIELDS_PER_CREDENTIAL_MAX, NAME_MAX_CHARACTERS } from '../limits.ts';
import {
  AuthenticationMode,
  authenticationShape,
  HostRule,
  type InjectionRule,
  OAuthEndpoints,
} from './authentication.ts';
import { ConnectionRule } from './connection.ts';
import { EnvironmentTemplates, FieldDefinition } from './fields.ts';
import { Operation, Pagination } from './operations.ts';
import { fieldId, fieldsIn, headerName, host, httpsUrl, slug, text } from './texts.ts';

export const CATEGORIES = [
  'ai',
  'analytics',
  'automation',
  'cloud',
  'communication',
  'crm',
  'data',
  'design',
  'developer',
  'email',
  'finance',
  'identity',
  'monitoring',
  'other',
  'productivity',
  'search',
  'social',
  'storage',
] as const;

/** The types of credential that `store_credential` and the API accept. */
export const CREDENTIAL_TYPES = [
  'bearer',
  'api_key',
  'basic',
  'user_password',
  'oauth2',
  'google_oauth',
  'sharepoint_oauth',
  'client_credentials',
  'key_file',
  'sftp',
  'sharepoint_receive',
  'google_drive_receive',
  'azure_blob_receive',
  'connection_string',
  'custom',
] as const;
export const CredentialType = z.enum(CREDENTIAL_TYPES);
export type CredentialType = z.infer<typeof CredentialType>;

const MODES_MAX = 8;
const OPERATIONS_MAX = 20;
const CONNECTIONS_MAX = 4;

export const ServiceDefinition = z
  .strictObject({
    slug,
    /** UUID version 5 of the slug (RFC 9562, section 5.5). Computed if a definition omits it. */
    id: z.uuid().optional(),
    name: text(100),
    description: text(500),
    category: z.enum(CATEGORIES),
    /** Other ids of this service. */
    aliases: z
      .array(
        z
          .string()
          .min(1)
          .max(64)
          .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/),
      )
      .max(20)
      .optional(),
    homepage: httpsUrl.optional(),
    docs_url: httpsUrl.optional(),
    fields: z.array(FieldDefinition).min(1).max(FIELDS_PER_CREDENTIAL_MAX),
    /** Groups of fields of which one must be complete, beside the required fields. */
    requires: z.array(z.array(fieldId).min(1).max(10)).min(2).max(6).optional(),
    /** The field for the value of a `bearer` or `api_key` credential. */
    value_field: z.strictObject({ bearer: fieldId.optional(), api_key: fieldId.optional() }),
    credential_types: z.array(CredentialType).min(1).max(CREDENTIAL_TYPES.length),
    /** The only hosts that a credential of this service may ever be sent to. */
    hosts: z.array(host).max(30),
    /** Hosts that only requests for tokens are sent to. */
    token_hosts: z.array(host).max(10).optional(),
    ...authenticationShape,
    modes: z.array(AuthenticationMode).min(1).max(MODES_MAX).optional(),
    host_rules: z.array(HostRule).min(1).max(10).optional(),
    /** For a service that is not used over HTTP: how its credentials are tested. */
    connections: z.array(ConnectionRule).min(1).max(CONNECTIONS_MAX).optional(),
    oauth: OAuthEndpoints.optional(),
    environment: EnvironmentTemplates.optional(),
    /** The request header that makes a repeated request harmless, such as `Idempotency-Key`. */
    idempotency_header: headerName.optional(),
    pagination: Pagination.optional(),
    operations: z.array(Operation).max(OPERATIONS_MAX).optional(),
    /** When the definition was last compared with its sources: documentation or code, as URLs or names. */
    verified: z.strictObject({ on: z.iso.date(), sources: z.array(text(500)).min(1).max(10) }).optional(),
    /** An emoji or a simple-icons slug for pages. Never a URL: nothing is fetched. */
    icon: z.string().max(NAME_MAX_CHARACTERS).optional(),
  })
  .superRefine((service, context) => {
    const report = (message: string, ...path: (string | number)[]) =>
      context.addIssue({ code: 'custom', path, message });
    const ids = new Set<string>();
    service.fields.forEach((field, at) => {
      if (ids.has(field.field_id)) report('is a duplicate', 'fields', at, 'field_id');
      ids.add(field.field_id);
    });
    for (const [property, id] of fieldReferences(service)) {
      if (!ids.has(id)) report('names a field that is not among the fields', ...property.split('.'));
    }
    for (const property of ['modes', 'operations'] as const) {
      const names = service[property]?.map(({ id }) => id) ?? [];
      if (new Set(names).size < names.length) report('have an id twice', property);
    }
    const fixed = service.fields.flatMap(({ env = [], env_file = [] }) => [...env, ...env_file]);
    const variables = [...fixed, ...Object.keys(service.environment ?? {})];
    const duplicate = variables.find((name, at) => variables.indexOf(name) < at);
    if (duplicate !== undefined) report('sets a variable twice', 'environment');
    const { grants = ['authorization_code'], grant_settings = {} } = service.oauth ?? {};
    for (const [grant, { key_field }] of Object.entries(grant_settings)) {
      if (!grants.some((one) => one === grant))
        report('is not among the grants', 'oauth', 'grant_settings', grant);
      if (key_field !== undefined && grant !== 'jwt_bearer')
        report('is for jwt_bearer only', 'oauth', 'grant_settings', grant, 'key_field');
    }
    service.connections?.forEach(({ fields: { host: id } }, at) => {
      if (id !== undefined && !service.hosts.includes(`{${id}}`))
        report('has a host that is not among the hosts of the service', 'connections', at, 'fields');
    });
    service.modes?.forEach(({ hosts = [] }, at) => {
      if (hosts.some((name) => !service.hosts.includes(name)))
        report('has a host that is not among the hosts of the service', 'modes', at, 'hosts');
    });
  });
export type ServiceDefinition = z.infer<typeof ServiceDefinition>;

/** A loaded definition, which always has an id. */
export type Service = Omit<ServiceDefinition, 'id'> & { readonly id: string };

type Reference = readonly [property: string, field_id: string];
type Texts = Readonly<Record<string, string>> | undefined;

/** Every mention of a field in the definition, with the property that has it. */
function fieldReferences(service: ServiceDefinition): Reference[] {
  const { oauth, value_field } = service;
  const grant_settings = Object.values(oauth?.grant_settings ?? {});
  const named: (readonly [string, string | undefined])[] = [
    ['value_field.bearer', value_field.bearer],
    ['value_field.api_key', value_field.api_key],
    ['oauth.client_id_field', oauth?.client_id_field],
    ['oauth.client_secret_field', oauth?.client_secret_field],
    ['oauth.access_token_field', oauth?.access_token_field],
    ['oauth.refresh_token_field', oauth?.refresh_token_field],
    ...grant_settings.map(({ key_field }) => ['oauth.grant_settings', key_field] as const),
    ...Object.keys(oauth?.capture ?? {}).map((id) => ['oauth.capture', id] as const),
    ...(service.requires?.flat() ?? []).map((id) => ['requires', id] as const),
    ...(service.connections ?? []).flatMap(({ fields }) =>
      Object.values(fields).map((id) => ['connections', id] as const),
    ),
    ...(service.modes ?? []).flatMap(({ when }) =>
      [...(when.fields ?? []), ...Object.keys({ ...when.prefix, ...when.suffix })].map(
        (id) => ['modes', id] as const,
      ),
    ),
  ];
  const templates = [
    ...[...service.hosts, ...(service.token_hosts ?? [])].map((name) => ['hosts', name] as const),
    ...authenticationTemplates(service),
    ...(service.modes ?? []).flatMap((mode) =>
      authenticationTemplates(mode).map(([, source]) => ['modes', source] as const),
    ),
    ...(service.host_rules ?? []).flatMap(({ host: name, injection }) =>
      [name, ...injectionTemplates(injection)].map((source) => ['host_rules', source] as const),
    ),
    ...[
      oauth?.authorization_url,
      oauth?.token_url,
      oauth?.refresh_url,
      oauth?.revocation_url,
      oauth?.introspection_url,
      oauth?.userinfo_url,
      oauth?.device_authorization_url,
      ...[oauth, ...grant_settings].flatMap((one) => texts(one?.token_parameters)),
    ].map((source = '') => ['oauth', source] as const),
    ...Object.values(service.environment ?? {}).map((source) => ['environment', source] as const),
  ];
  return [
    ...named.filter((reference): reference is Reference => reference[1] !== undefined),
    ...templates.flatMap(([property, source]) => fieldsIn(source).map((id) => [property, id] as const)),
  ];
}

/** The templates of an authentication rule. Not the body of a test, where other braces are allowed. */
function authenticationTemplates({
  injection,
  base_url = '',
  default_headers,
  test,
}: Pick<ServiceDefinition, keyof typeof authenticationShape>): (readonly [string, string])[] {
  return [
    ['base_url', base_url],
    ...injectionTemplates(injection).map((source) => ['injection', source] as const),
    ...texts(default_headers).map((source) => ['default_headers', source] as const),
    ...[test?.path ?? '', ...texts(test?.headers)].map((source) => ['test', source] as const),
  ];
}

function injectionTemplates(rule: InjectionRule): string[] {
  switch (rule.in) {
    case 'header':
      return texts(rule.headers);
    case 'query':
      return [...texts(rule.query), ...texts(rule.headers)];
    case 'basic':
      return [rule.username, rule.password];
    case 'body':
      return [rule.body];
    case 'body_fields':
      return texts(rule.fields);
    case 'path':
      return [rule.prefix];
    case 'signer':
      return [...texts(rule.parameters), ...texts(rule.headers)];
    case 'none':
      return [];
  }
}

function texts(record: Texts): string[] {
  return Object.values(record ?? {});
}
