/** How a definition declares that a credential is added to requests, obtained and tested. */
import * as z from 'zod';
import {
  fieldId,
  headerName,
  headerTemplates,
  host,
  httpsUrl,
  jsonPointer,
  template,
  text,
} from './texts.ts';

/** The algorithms that sign a request; each is a file in `src/use/signers`. */
export const SIGNERS = ['aws_sigv4', 'azure_shared_key', 'jwt'] as const;

/**
 * How a credential is added to a request. `none`: it is not used over HTTP. A header, query parameter or body field with
 * an optional field that is missing is omitted.
 */
export const InjectionRule = z.discriminatedUnion('in', [
  z.strictObject({ in: z.literal('header'), headers: headerTemplates }),
  z.strictObject({
    in: z.literal('query'),
    query: z.record(text(64), template),
    headers: headerTemplates.optional(),
  }),
  z.strictObject({ in: z.literal('basic'), username: z.string().max(500), password: z.string().max(500) }),
  /** The whole body: the caller cannot send one. */
  z.strictObject({ in: z.literal('body'), content_type: text(100), body: text(2000) }),
  /** Fields beside those of the caller's body. */
  z.strictObject({
    in: z.literal('body_fields'),
    format: z.enum(['form', 'json']),
    fields: z.record(text(64), template),
  }),
  z.strictObject({ in: z.literal('path'), prefix: template }),
  z.strictObject({
    in: z.literal('signer'),
    signer: z.enum(SIGNERS),
    /** The parameters of the signer, by name; see its file. */
    parameters: z.record(text(64), template),
    headers: headerTemplates.optional(),
  }),
  z.strictObject({ in: z.literal('none') }),
]);
export type InjectionRule = z.infer<typeof InjectionRule>;

/** A condition on the JSON of a response. All are compared with what `pointer` finds. */
const JsonCondition = z
  .strictObject({
    pointer: jsonPointer,
    equals: z.union([z.string().max(200), z.boolean(), z.number()]).optional(),
    prefix: text(200).optional(),
    exists: z.boolean().optional(),
  })
  .refine(
    ({ equals, prefix, exists }) =>
      [equals, prefix, exists].filter((rule) => rule !== undefined).length === 1,
    'must have one of "equals", "prefix" and "exists"',
  );

/** Matches a response whose status is among `status` and whose JSON fulfils all conditions. */
const ResponseMatch = z.strictObject({
  status: z.array(z.int().min(200).max(599)).min(1).max(20),
  json: z.array(JsonCondition).min(1).max(5).optional(),
  /** The kind of body of an accepted response without conditions on its JSON. Default: `json`. */
  content: z.enum(['json', 'xml', 'text', 'any']).optional(),
});
export type ResponseMatch = z.infer<typeof ResponseMatch>;

/**
 * A request that changes nothing, and what its response means: the credential works if `accept` matches, else it does not
 * if `reject` matches, else it is unknown (an outage, a rate limit, a missing permission).
 */
export const TestRequest = z.strictObject({
  method: z.enum(['GET', 'HEAD', 'POST']),
  /** A template. */
  path: z
    .string()
    .max(500)
    .regex(/^(?:\/|https:\/\/)\S*$/, 'must start with "/" or be an https URL'),
  headers: z.record(headerName, text(300)).optional(),
  /** A template: `{field_id}` is replaced if it names a field; other braces are text. */
  body: text(2000).optional(),
  accept: z.array(ResponseMatch).min(1).max(5),
  reject: z.array(ResponseMatch).max(5),
  /** Where the response names the account. */
  identity: z.strictObject({ name: jsonPointer.optional(), id: jsonPointer.optional() }).optional(),
  /** True if the test request contains the credential itself. */
  no_injection: z.boolean().optional(),
});
export type TestRequest = z.infer<typeof TestRequest>;

export const OAUTH_GRANTS = [
  'authorization_code',
  'client_credentials',
  'jwt_bearer',
  'device_code',
  'account_credentials',
] as const;
export type OAuthGrant = (typeof OAUTH_GRANTS)[number];

/** What token requests of one grant have in place of what all have. */
const GrantSettings = z.strictObject({
  /** In place of `scopes`. */
  scopes: z.array(text(200)).max(60).optional(),
  /** Extra parameters of its token requests, beside `token_parameters`; templates. */
  token_parameters: z.record(text(64), text(200)).optional(),
  /**
   * `jwt_bearer` only: the field with the key that signs the assertion (RFC 7523). A private key in PEM, or the JSON file of a
   * Google service account, which names the issuer too.
   */
  key_field: fieldId.optional(),
});

/** Endpoints of the service's OAuth 2.0 authorization server (RFC 6749). `{field_id}` as in hosts. */
export const OAuthEndpoints = z.strictObject({
  /** As the `iss` of a callback has it (RFC 9207). Missing: its origin must be that of an endpoint of the service. */
  issuer: httpsUrl.optional(),
  /** Missing if there is no authorization code grant. */
  authorization_url: httpsUrl.optional(),
  token_url: httpsUrl,
  revocation_url: httpsUrl.optional(),
  /** If tokens are refreshed elsewhere than at `token_url`. */
  refresh_url: httpsUrl.optional(),
  /** RFC 7662. Tests access tokens if there is no test request. */
  introspection_url: httpsUrl.optional(),
  /** OpenID Connect Core 1.0, section 5.3. Tests access tokens if there is neither. */
  userinfo_url: httpsUrl.optional(),
  /** RFC 8628. */
  device_authorization_url: httpsUrl.optional(),
  scopes: z.array(text(200)).max(60),
  /** Default: a blank. */
  scope_separator: text(3).optional(),
  pkce: z.boolean(),
  /** Default: `authorization_code`. */
  grants: z.array(z.enum(OAUTH_GRANTS)).min(1).max(OAUTH_GRANTS.length).optional(),
  /** By grant. */
  grant_settings: z.partialRecord(z.enum(OAUTH_GRANTS), GrantSettings).optional(),
  /** How the client authenticates at the token endpoint (RFC 6749, section 2.3.1). Default: `body`. */
  client_auth: z.enum(['basic', 'body', 'none']).optional(),
  /** Of token requests. Default: `form`. */
  body_format: z.enum(['form', 'json']).optional(),
  client_id_field: fieldId.optional(),
  client_secret_field: fieldId.optional(),
  access_token_field: fieldId.optional(),
  refresh_token_field: fieldId.optional(),
  /** Extra parameters of the authorization request, such as `access_type=offline`. */
  authorization_parameters: z.record(text(64), text(200)).optional(),
  /** Extra parameters of token requests; templates. */
  token_parameters: z.record(text(64), text(200)).optional(),
  /** True if each refresh returns a new refresh token and ends the old one. */
  rotates: z.boolean().optional(),
  /** Lifetime of an access token if the response has no `expires_in`. */
  expires_in_default_seconds: z
    .int()
    .min(60)
    .max(10 * 365 * 86_400)
    .optional(),
  /** Fields that are filled from the token response: field id to JSON pointer. */
  capture: z.record(fieldId, jsonPointer).optional(),
});
export type OAuthEndpoints = z.infer<typeof OAuthEndpoints>;

/** What decides how requests to a part of a service are authenticated. */
const shape = {
  injection: InjectionRule,
  /** Sent unless the caller sends a header of the same name. */
  default_headers: headerTemplates.optional(),
  base_url: z
    .string()
    .max(500)
    .regex(/^https?:\/\/[^\s]+$/)
    .optional(),
  test: TestRequest.optional(),
};
export const authenticationShape = shape;

/** A way to authenticate that is chosen by the values: the first mode whose `when` holds, else what the service itself has. */
export const AuthenticationMode = z.strictObject({
  id: fieldId,
  name: text(100),
  when: z
    .strictObject({
      /** These fields have a value. */
      fields: z.array(fieldId).min(1).max(10).optional(),
      /** The values of these fields begin so. */
      prefix: z.record(fieldId, text(40)).optional(),
      /** The values of these fields end so. */
      suffix: z.record(fieldId, text(40)).optional(),
    })
    .refine(
      ({ fields, prefix, suffix }) => fields !== undefined || prefix !== undefined || suffix !== undefined,
      'must have a condition',
    ),
  ...shape,
  /** Which of the service's hosts; default: all. */
  hosts: z.array(host).min(1).max(30).optional(),
});
export type AuthenticationMode = z.infer<typeof AuthenticationMode>;

/** Another injection rule for a host, or for paths of it. The first that matches is used. */
export const HostRule = z.strictObject({
  host,
  path_prefix: z
    .string()
    .max(200)
    .regex(/^\/\S*$/, 'must start with "/"')
    .optional(),
  injection: InjectionRule,
});
export type HostRule = z.infer<typeof HostRule>;
