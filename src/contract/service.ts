/**
 * The schema of a service definition: fields, hosts and authentication rule of a service. Definitions are data files,
 * validated whenever they are loaded. A definition contains no value.
 */
import * as z from 'zod';
import { FIELDS_PER_CREDENTIAL_MAX, NAME_MAX_CHARACTERS, VALUE_MAX_BYTES } from './limits.ts';

/** Lower case letters, digits, `_`, `-` and inner dots; never a path (no slash, no leading dot). */
export const SLUG_PATTERN = /^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,62}$/;
/** A field id. Upper case is allowed, since names of environment variables are used as field ids. */
export const FIELD_ID_PATTERN = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
/** POSIX.1-2017, section 8.1: names of environment variables. */
export const ENV_NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** RFC 9110, section 5.6.2: a header name is a token. */
const HEADER_NAME_PATTERN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** A host name, with `*.` for its subdomains, `{field_id}` for a value of the user, and an optional port. */
const HOST_PATTERN =
  /^(?:\*\.)?(?:[a-z0-9]|\{[A-Za-z][A-Za-z0-9_.-]{0,63}\})(?:[a-z0-9.-]|\{[A-Za-z][A-Za-z0-9_.-]{0,63}\}){0,200}(?<![.-])(?::\d{1,5})?$/;

const text = (max: number) => z.string().min(1).max(max);
const httpsUrl = z
  .string()
  .max(500)
  .regex(/^https:\/\/[^\s]+$/, 'must be an https URL');
const slug = z.string().regex(SLUG_PATTERN, 'must be lower case letters, digits, "_", "-" or inner dots');
const fieldId = z
  .string()
  .regex(FIELD_ID_PATTERN, 'must start with a letter and hold letters, digits, "_", "." or "-"');
/** Text with `{field_id}` as the placeholder for a field's value. */
const template = text(500);

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

export const FieldDefinition = z.strictObject({
  field_id: fieldId,
  name: text(100),
  description: text(500),
  help_url: httpsUrl.optional(),
  required: z.boolean(),
  /** False if the value may be shown, such as a host or a client id. It is encrypted like the others. */
  secret: z.boolean(),
  max_length: z.int().min(1).max(VALUE_MAX_BYTES),
  /** A regular expression (ECMAScript, `u` flag) the whole value must match. */
  pattern: text(300).optional(),
  /** An example value that does not work. */
  example: text(300).optional(),
  /** The environment variable that the service's own tools read. */
  env: z.string().regex(ENV_NAME_PATTERN, 'must be an environment variable name').optional(),
});
export type FieldDefinition = z.infer<typeof FieldDefinition>;

const headerTemplates = z.record(z.string().regex(HEADER_NAME_PATTERN, 'must be a header name'), template);

/**
 * How a credential is added to a request. `none`: it is not used over HTTP. A header or query parameter with an optional
 * field that is missing is omitted.
 */
export const InjectionRule = z.discriminatedUnion('in', [
  z.strictObject({ in: z.literal('header'), headers: headerTemplates }),
  z.strictObject({
    in: z.literal('query'),
    query: z.record(text(64), template),
    headers: headerTemplates.optional(),
  }),
  z.strictObject({ in: z.literal('basic'), username: z.string().max(500), password: z.string().max(500) }),
  z.strictObject({ in: z.literal('body'), content_type: text(100), body: text(2000) }),
  z.strictObject({ in: z.literal('path'), prefix: template }),
  z.strictObject({ in: z.literal('none') }),
]);
export type InjectionRule = z.infer<typeof InjectionRule>;

/** A read-only request, and the responses that mean that the credential works. */
export const TestRequest = z.strictObject({
  method: z.enum(['GET', 'HEAD', 'POST']),
  path: z
    .string()
    .max(500)
    .regex(/^(?:\/|https:\/\/)\S*$/, 'must start with "/" or be an https URL'),
  headers: z.record(z.string().regex(HEADER_NAME_PATTERN), text(300)).optional(),
  body: text(2000).optional(),
  ok_status: z.array(z.int().min(200).max(499)).min(1).max(10),
  /** For an API that always returns 200: a JSON pointer (RFC 6901) and the value that means success. */
  ok_json: z
    .strictObject({
      pointer: z.string().regex(/^(?:\/.*)?$/),
      equals: z.union([z.string(), z.boolean(), z.number()]),
    })
    .optional(),
});

/** Endpoints of the service's OAuth 2.0 authorization server (RFC 6749). `{field_id}` as in hosts. */
export const OAuthEndpoints = z.strictObject({
  authorization_url: httpsUrl,
  token_url: httpsUrl,
  revocation_url: httpsUrl.optional(),
  scopes: z.array(text(200)).max(60),
  pkce: z.boolean(),
  client_id_field: fieldId.optional(),
  client_secret_field: fieldId.optional(),
  access_token_field: fieldId.optional(),
  refresh_token_field: fieldId.optional(),
  /** Extra parameters of the authorization request, such as `access_type=offline`. */
  authorization_parameters: z.record(text(64), text(200)).optional(),
});

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
    fields: z.array(FieldDefinition).min(1).max(FIELDS_PER_CREDENTIAL_MAX),
    /** The field for the value of a `bearer` or `api_key` credential. */
    value_field: z.strictObject({ bearer: fieldId.optional(), api_key: fieldId.optional() }),
    credential_types: z.array(CredentialType).min(1).max(CREDENTIAL_TYPES.length),
    /** The only hosts that a credential of this service may ever be sent to. */
    hosts: z.array(z.string().regex(HOST_PATTERN, 'must be a host name, "*.host" or "{field_id}"')).max(30),
    base_url: z
      .string()
      .max(500)
      .regex(/^https?:\/\/[^\s]+$/)
      .optional(),
    injection: InjectionRule,
    test: TestRequest.optional(),
    oauth: OAuthEndpoints.optional(),
    /** An emoji or a simple-icons slug for pages. Never a URL: nothing is fetched. */
    icon: z.string().max(NAME_MAX_CHARACTERS).optional(),
  })
  .superRefine((service, context) => {
    const ids = new Set<string>();
    service.fields.forEach((field, at) => {
      if (ids.has(field.field_id)) {
        context.addIssue({ code: 'custom', path: ['fields', at, 'field_id'], message: 'is a duplicate' });
      }
      ids.add(field.field_id);
      if (field.pattern !== undefined) {
        try {
          new RegExp(field.pattern, 'u');
        } catch {
          context.addIssue({
            code: 'custom',
            path: ['fields', at, 'pattern'],
            message: 'is not a regular expression',
          });
        }
      }
    });
    const requireField = (id: string | undefined, ...path: (string | number)[]) => {
      if (id !== undefined && !ids.has(id)) {
        context.addIssue({ code: 'custom', path, message: 'names a field that is not among the fields' });
      }
    };
    requireField(service.value_field.bearer, 'value_field', 'bearer');
    requireField(service.value_field.api_key, 'value_field', 'api_key');
    for (const key of [
      'client_id_field',
      'client_secret_field',
      'access_token_field',
      'refresh_token_field',
    ] as const) {
      requireField(service.oauth?.[key], 'oauth', key);
    }
    const templates: [string, string][] = service.hosts.map((host) => ['hosts', host]);
    const add = (property: string, ...sources: string[]) => {
      for (const source of sources) templates.push([property, source]);
    };
    if (service.base_url !== undefined) add('base_url', service.base_url);
    const rule = service.injection;
    if (rule.in === 'header' || rule.in === 'query') add('injection', ...Object.values(rule.headers ?? {}));
    if (rule.in === 'query') add('injection', ...Object.values(rule.query));
    if (rule.in === 'basic') add('injection', rule.username, rule.password);
    if (rule.in === 'body') add('injection', rule.body);
    if (rule.in === 'path') add('injection', rule.prefix);
    const oauth = service.oauth;
    if (oauth !== undefined)
      add('oauth', oauth.authorization_url, oauth.token_url, oauth.revocation_url ?? '');
    for (const [property, source] of templates) {
      for (const match of source.matchAll(/\{([A-Za-z][A-Za-z0-9_.-]*)\}/g)) requireField(match[1], property);
    }
  });
export type ServiceDefinition = z.infer<typeof ServiceDefinition>;

/** A loaded definition, which always has an id. */
export type Service = Omit<ServiceDefinition, 'id'> & { readonly id: string };
