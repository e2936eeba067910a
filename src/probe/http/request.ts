/**
 * The HTTP request that tests a credential: that of the definition, else one to the introspection (RFC 7662) or user-info
 * endpoint (OpenID Connect Core 1.0) of its OAuth endpoints.
 */
import { VaultError } from '../../contract/errors.ts';
import type { InjectionRule, OAuthEndpoints, TestRequest } from '../../contract/service/authentication.ts';
import type { Service } from '../../contract/service/service.ts';
import { PLACEHOLDER_PATTERN } from '../../contract/service/texts.ts';
import { authenticationOf } from '../../services/authentication.ts';
import { encoderOf } from '../../use/call/request/authentication.ts';
import { FORM_TYPE } from '../../use/call/request/body.ts';
import { type PreparedCall, prepareCall } from '../../use/call/request/prepare.ts';
import type { FieldValues } from '../../use/call/request/templates.ts';
import { encodeQuery } from '../../use/call/request/url.ts';
import type { UsableCredential } from '../../vault/uses/use.ts';

/** A test request, and the credential with the injection rule that the request needs. */
export interface HttpTest {
  readonly credential: UsableCredential;
  readonly test: TestRequest;
}

const NO_INJECTION: InjectionRule = { in: 'header', headers: {} };

/** `undefined` if the definition has no test for this credential. */
export function httpTestOf(credential: UsableCredential): HttpTest | undefined {
  const { service, destination, fields } = credential;
  const { test } = authenticationOf(service, destination.mode);
  if (test !== undefined)
    return {
      test,
      credential: test.no_injection === true ? withInjection(credential, NO_INJECTION) : credential,
    };
  const { oauth } = service;
  const token = oauth?.access_token_field;
  if (oauth === undefined || token === undefined || !fields.includes(token)) return undefined;
  return introspectionOf(credential, oauth, token) ?? userInfoOf(credential, oauth, token);
}

/** RFC 7662, section 2.1: the client authenticates, so that its id and secret must be stored. */
function introspectionOf(
  credential: UsableCredential,
  { introspection_url, client_id_field: id, client_secret_field: secret }: OAuthEndpoints,
  token: string,
): HttpTest | undefined {
  if (introspection_url === undefined || id === undefined || secret === undefined) return undefined;
  if (![id, secret].every((field) => credential.fields.includes(field))) return undefined;
  const active = (equals: boolean) => ({ status: [200], json: [{ pointer: '/active', equals }] });
  return {
    credential: withInjection(credential, { in: 'basic', username: `{${id}}`, password: `{${secret}}` }),
    test: {
      method: 'POST',
      path: introspection_url,
      headers: { 'Content-Type': FORM_TYPE },
      body: `token={${token}}`,
      accept: [active(true)],
      reject: [active(false)],
      identity: { name: '/username', id: '/sub' },
    },
  };
}

function userInfoOf(
  credential: UsableCredential,
  { userinfo_url }: OAuthEndpoints,
  token: string,
): HttpTest | undefined {
  if (userinfo_url === undefined) return undefined;
  const headers = { Authorization: `Bearer {${token}}` };
  return {
    credential: withInjection(credential, { in: 'header', headers }),
    test: {
      method: 'GET',
      path: userinfo_url,
      accept: [{ status: [200], json: [{ pointer: '/sub', exists: true }] }],
      reject: [{ status: [401] }],
      identity: { name: '/email', id: '/sub' },
    },
  };
}

function withInjection(credential: UsableCredential, injection: InjectionRule): UsableCredential {
  const { host_rules: _, modes, ...service } = credential.service;
  const same_modes = modes?.map((mode) => ({ ...mode, injection }));
  return {
    ...credential,
    service: { ...service, injection, ...(same_modes === undefined ? {} : { modes: same_modes }) },
  };
}

/**
 * The request with these values, each encoded for its position. `is_complete`: all values are given, so that one that is
 * missing leaves its header out, and throws INVALID_INPUT in the path and the body. Otherwise its placeholder remains.
 */
export function prepareTest(
  { credential, test }: HttpTest,
  values: FieldValues,
  is_complete: boolean,
): PreparedCall {
  const { service } = credential;
  const fill = (template: string, encode: (value: string) => string) =>
    fillTemplate(service, template, { values, encode, is_complete });
  const headers = Object.entries(test.headers ?? {}).flatMap(([name, text]) => {
    if (is_complete && placeholdersOf(service, text).some((id) => !values.has(id))) return [];
    return [[name, fill(text, (value) => value)] as const];
  });
  const [, origin = '', path = ''] = /^(https:\/\/[^/?#]*)?(.*)$/s.exec(test.path) ?? [];
  return prepareCall(credential, {
    service_id: service.slug,
    method: test.method,
    path: fill(origin, (value) => value) + fill(path, encodeQuery),
    headers: Object.fromEntries(headers),
    ...(test.body === undefined ? {} : { body: fill(test.body, encoderOf(bodyType(test))) }),
  });
}

function bodyType({ headers = {}, body = '' }: TestRequest): string {
  const [, type] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type') ?? [];
  return type ?? (/^\s*[[{]/.test(body) ? 'application/json' : 'text/plain');
}

interface Filling {
  readonly values: FieldValues;
  readonly encode: (value: string) => string;
  readonly is_complete: boolean;
}

/** Braces without the name of a field are text, such as those of a GraphQL query. */
function fillTemplate(service: Service, template: string, { values, encode, is_complete }: Filling): string {
  return template.replaceAll(PLACEHOLDER_PATTERN, (whole, id: string) => {
    const value = values.get(id);
    if (value !== undefined) return encode(value.reveal());
    if (!is_complete || !placeholdersOf(service, whole).includes(id)) return whole;
    throw new VaultError(
      'INVALID_INPUT',
      `The test of ${service.name} needs ${id}. Add it with \`keyhold update ${service.slug} ${id}\`.`,
    );
  });
}

/** The fields of the service in a template. */
function placeholdersOf({ fields }: Service, template: string): readonly string[] {
  const ids = [...template.matchAll(PLACEHOLDER_PATTERN)].map(([, id = '']) => id);
  return ids.filter((id) => fields.some(({ field_id }) => field_id === id));
}
