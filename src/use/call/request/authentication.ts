/**
 * Adds the credential to a request by the rule of the definition: as headers, query parameters, a prefix of the path, or in the
 * body, or signs it. Each value is encoded for its position; text of the caller is never replaced.
 */

import { VaultError } from '../../../contract/errors.ts';
import { Secret } from '../../../contract/secret.ts';
import type { InjectionRule } from '../../../contract/service/authentication.ts';
import { PATTERN_MIN_BYTES } from '../../../egress/redaction/encodings.ts';
import { SIGNER_BY_NAME } from '../../signers/signers.ts';
import { type CallBody, encodeObject, FORM_TYPE, isForm } from './body.ts';
import type { CallHeaders } from './headers.ts';
import type { Placement } from './placement.ts';
import { expand, expandAll, expandSecret, type FieldValues, hasField } from './templates.ts';
import { type CallUrl, encodeQuery } from './url.ts';

/** A request without the credential. */
export interface PlainRequest {
  readonly method: string;
  readonly url: CallUrl;
  readonly headers: CallHeaders;
  readonly body: CallBody;
}

/** A request as it is sent. */
export interface SentRequest {
  /** With the query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

export interface AuthenticatedRequest {
  readonly sent: SentRequest;
  /** Computed values that authenticate, such as a signature, beside those of the credential. */
  readonly secrets: readonly Secret[];
}

/** The request with the credential. `values`: of all fields, with the defaults of the definition. */
export async function authenticate(
  { rule, default_headers }: Placement,
  values: FieldValues,
  request: PlainRequest,
): Promise<AuthenticatedRequest> {
  const { url, body } = request;
  // The type of a body is with the body: a request without one has none.
  const { 'content-type': _, ...defaults } = expandAll(default_headers, values);
  const headers = {
    // Those with fields: the others are in the request already, unless the caller sent its own.
    ...defaults,
    ...Object.fromEntries(request.headers),
    ...(body.content_type === undefined ? {} : { 'content-type': body.content_type }),
  };
  const sent = { path: pathOf(url.path, url.query), headers, body: body.bytes };
  if (rule.in === 'signer') return sign(rule, values, request, sent);
  const secrets =
    rule.in === 'basic' && hasShortPassword(rule, values) ? [new Secret(basicPair(rule, values))] : [];
  return { sent: { ...sent, ...addTo(sent, rule, values, request) }, secrets };
}

type BasicRule = Extract<InjectionRule, { in: 'basic' }>;

/** RFC 7617, section 2: the user and the password in base64. */
function basicPair(rule: BasicRule, values: FieldValues): string {
  const [user = '', password = ''] = [expand(rule.username, values), expand(rule.password, values)];
  return Buffer.from(`${user}:${password}`).toString('base64');
}

/** Whether the redaction would not find the password within the pair: it finds short values as whole tokens only. */
function hasShortPassword({ password }: BasicRule, values: FieldValues): boolean {
  const bytes = Buffer.byteLength(expand(password, values) ?? '');
  return hasField(password) && bytes > 0 && bytes < PATTERN_MIN_BYTES;
}

/** The parts of the request that the rule changes. */
function addTo(
  { headers }: SentRequest,
  rule: Exclude<InjectionRule, { in: 'signer' }>,
  values: FieldValues,
  { url, body }: PlainRequest,
): Partial<SentRequest> {
  switch (rule.in) {
    case 'header':
      return { headers: { ...headers, ...ownHeaders(rule.headers, values) } };
    case 'query': {
      const pairs = Object.entries(expandAll(rule.query, values));
      const added = pairs.map(([name, value]) => `${encodeQuery(name)}=${encodeQuery(value)}`);
      const query = [url.query, ...added].filter((part) => part !== '').join('&');
      return {
        path: pathOf(url.path, query),
        headers: { ...headers, ...ownHeaders(rule.headers ?? {}, values) },
      };
    }
    case 'basic':
      return { headers: { ...headers, authorization: `Basic ${basicPair(rule, values)}` } };
    case 'path':
      return { path: pathOf(prefixed(rule.prefix, values, url.path), url.query) };
    case 'body': {
      const text = expand(rule.body, values, encoderOf(rule.content_type));
      if (text === undefined) throw incomplete();
      return { headers: { ...headers, 'content-type': rule.content_type }, body: Buffer.from(text) };
    }
    case 'body_fields': {
      const type = rule.format === 'form' ? FORM_TYPE : 'application/json';
      const given = (body.json ?? {}) as object;
      const encoded = encodeObject({ ...given, ...expandAll(rule.fields, values) }, type);
      return { headers: { ...headers, 'content-type': type }, body: encoded.bytes };
    }
    case 'none':
      throw new VaultError('INVALID_INPUT', 'Credentials of this service are not used over HTTP.');
  }
}

async function sign(
  rule: Extract<InjectionRule, { in: 'signer' }>,
  values: FieldValues,
  { method, url }: PlainRequest,
  sent: SentRequest,
): Promise<AuthenticatedRequest> {
  const headers = { ...sent.headers, ...ownHeaders(rule.headers ?? {}, values) };
  const parameters = Object.entries(rule.parameters).flatMap(([name, template]) => {
    const value = expandSecret(template, values);
    return value === undefined ? [] : [[name, value] as const];
  });
  const unsigned = {
    method,
    url: new URL(`${url.origin}${sent.path}`),
    headers,
    body: sent.body ?? Buffer.alloc(0),
  };
  const signature = await SIGNER_BY_NAME[rule.signer].sign(unsigned, new Map(parameters), new Date());
  return { sent: { ...sent, headers: { ...headers, ...signature.headers } }, secrets: signature.secrets };
}

/** The headers of a rule that have fields. The others are defaults. */
function ownHeaders(
  templates: Readonly<Record<string, string>>,
  values: FieldValues,
): Record<string, string> {
  const own = Object.entries(templates).filter(([, template]) => hasField(template));
  return expandAll(Object.fromEntries(own), values);
}

/** Throws for a value that would lead to another path. */
function prefixed(prefix: string, values: FieldValues, path: string): string {
  const expanded = expand(prefix, values, encodeSegment);
  if (expanded === undefined) throw incomplete();
  const whole = `${expanded}${path}`;
  if (!whole.startsWith('/') || new URL(`https://host${whole}`).pathname !== whole)
    throw new VaultError('INVALID_INPUT', 'The credential cannot be a part of a path. Store it again.');
  return whole;
}

/** All but the characters of a path segment (RFC 3986, section 3.3). */
function encodeSegment(value: string): string {
  return encodeQuery(value).replaceAll(/%(?:3A|40|24|26|2B|2C|3B|3D)/g, decodeURIComponent);
}

/** How a value is written in a body of this type. */
export function encoderOf(content_type: string): (value: string) => string {
  if (isForm(content_type)) return encodeQuery;
  if (/json/i.test(content_type)) return (value) => JSON.stringify(value).slice(1, -1);
  return (value) => value;
}

function pathOf(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`;
}

function incomplete(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'The credential has no value for a field that the request needs. Store it.',
  );
}
