/**
 * Checks of the authentication of a request, one per kind of authentication. The signatures are computed here a second time,
 * from the documentation of AWS and Azure, without the code and the library that sign.
 */
import { createHash, createHmac, type KeyObject } from 'node:crypto';
import { type JWTVerifyOptions, jwtVerify } from 'jose';
import type { Handler, ReceivedRequest } from './upstream.ts';

/** Returns why the request is not authenticated, or `undefined`. */
export type AuthenticationCheck = (
  request: ReceivedRequest,
) => string | undefined | Promise<string | undefined>;

/** Responds with 401 and the reason as JSON unless the check succeeds, otherwise as `handler` does. */
export function requireAuthentication(check: AuthenticationCheck, handler: Handler): Handler {
  return async (request, response) => {
    const reason = await check(request);
    if (reason === undefined) handler(request, response);
    else
      response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ error: reason }));
  };
}

/** A header with exactly this value, once. */
export function headerEquals(name: string, value: string): AuthenticationCheck {
  return ({ headers, raw_headers }) => {
    const count = raw_headers.filter(
      (one, at) => at % 2 === 0 && one.toLowerCase() === name.toLowerCase(),
    ).length;
    if (count !== 1) return `${count} headers ${name}`;
    return headers[name.toLowerCase()] === value ? undefined : `wrong header ${name}`;
  };
}

/** RFC 6750. */
export function bearer(token: string): AuthenticationCheck {
  return headerEquals('authorization', `Bearer ${token}`);
}

/** RFC 7617. */
export function basic(user: string, password: string): AuthenticationCheck {
  return headerEquals('authorization', `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
}

/** A query parameter with exactly this value, once. */
export function queryEquals(name: string, value: string): AuthenticationCheck {
  return ({ path }) => {
    const values = new URL(path, 'https://upstream.test').searchParams.getAll(name);
    if (values.length !== 1) return `${values.length} parameters ${name}`;
    return values[0] === value ? undefined : `wrong parameter ${name}`;
  };
}

/** A path that begins with this prefix. */
export function pathBegins(prefix: string): AuthenticationCheck {
  return ({ path }) => (path.startsWith(prefix) ? undefined : 'wrong prefix of the path');
}

export interface AwsKeys {
  readonly access_key_id: string;
  readonly secret_access_key: string;
  readonly session_token?: string;
  /** The credential scope that is expected, such as `us-east-1/sts`. */
  readonly scope: string;
}

/** AWS Signature Version 4, as in "Create a signed AWS API request". Also checks the time, within five minutes. */
export function sigV4(keys: AwsKeys): AuthenticationCheck {
  return (request) => {
    const { headers, method, path, body } = request;
    const pattern =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^,]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
    const match = pattern.exec(headers.authorization ?? '');
    if (match === null) return 'no signature';
    const [, key_id, day = '', scope = '', signed_names = '', signature] = match;
    const time = String(headers['x-amz-date']);
    if (key_id !== keys.access_key_id) return 'unknown access key';
    if (scope !== keys.scope) return `wrong scope ${scope}`;
    if (headers['x-amz-security-token'] !== keys.session_token) return 'wrong session token';
    const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
    if (!time.startsWith(day) || !(Math.abs(Date.parse(iso) - Date.now()) < 300_000)) return 'wrong time';
    const names = signed_names.split(';');
    const must_be_signed = Object.keys(headers).filter(
      (name) => name === 'host' || name.startsWith('x-amz-'),
    );
    if (must_be_signed.some((name) => !names.includes(name))) return 'a header is not signed';
    const body_hash = createHash('sha256').update(body).digest('hex');
    const service = scope.split('/')[1] ?? '';
    if (service === 's3' && headers['x-amz-content-sha256'] !== body_hash) return 'wrong body hash';
    const [raw_path = '', raw_query = ''] = path.split('?');
    const canonical = [
      method,
      raw_path
        .split('/')
        .map((part) => (service === 's3' ? rfc3986(decodeURIComponent(part)) : rfc3986(part)))
        .join('/'),
      canonicalQuery(raw_query),
      ...names.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/ +/g, ' ')}`),
      '',
      signed_names,
      body_hash,
    ].join('\n');
    const canonical_hash = createHash('sha256').update(canonical).digest('hex');
    const text = ['AWS4-HMAC-SHA256', time, `${day}/${scope}/aws4_request`, canonical_hash].join('\n');
    let key: Buffer = Buffer.from(`AWS4${keys.secret_access_key}`);
    for (const part of [day, ...scope.split('/'), 'aws4_request']) key = hmac(key, part);
    return hmac(key, text).toString('hex') === signature ? undefined : 'wrong signature';
  };
}

function canonicalQuery(raw_query: string): string {
  if (raw_query === '') return '';
  return raw_query
    .split('&')
    .map((pair) => pair.split('='))
    .map(([name = '', value = '']) => [rfc3986(decodeURIComponent(name)), rfc3986(decodeURIComponent(value))])
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('&');
}

/** Percent-encodes all but the unreserved characters of RFC 3986. */
function rfc3986(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9._~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Azure Storage, "Authorize with Shared Key": Blob, Queue and File services, version 2015-02-21 and later. */
export function azureSharedKey(account: string, key_base64: string): AuthenticationCheck {
  return ({ headers, method, path }) => {
    const [, name, signature] = /^SharedKey ([^:]+):(.+)$/.exec(headers.authorization ?? '') ?? [];
    if (name !== account) return 'unknown account';
    if (!(Math.abs(Date.parse(String(headers['x-ms-date'])) - Date.now()) < 900_000)) return 'wrong time';
    if (!/^20\d\d-\d\d-\d\d$/.test(String(headers['x-ms-version']))) return 'no version';
    const header = (one: string) => String(headers[one] ?? '');
    const length = header('content-length');
    let text = `${method}\n${header('content-encoding')}\n${header('content-language')}\n`;
    text += `${length === '0' ? '' : length}\n${header('content-md5')}\n${header('content-type')}\n\n`;
    for (const one of ['if-modified-since', 'if-match', 'if-none-match', 'if-unmodified-since', 'range'])
      text += `${header(one)}\n`;
    for (const one of Object.keys(headers).sort())
      if (one.startsWith('x-ms-')) text += `${one}:${header(one).trim()}\n`;
    const [raw_path = '', raw_query = ''] = path.split('?');
    text += `/${account}${raw_path}`;
    const query = new URLSearchParams(raw_query);
    const lower_names = [...new Set([...query.keys()].map((one) => one.toLowerCase()))].sort();
    for (const lower of lower_names) {
      const values = [...query].filter(([one]) => one.toLowerCase() === lower).map(([, value]) => value);
      text += `\n${lower}:${values.sort().join(',')}`;
    }
    const expected = hmac(Buffer.from(key_base64, 'base64'), text).toString('base64');
    return expected === signature ? undefined : 'wrong signature';
  };
}

/** A token with this scheme that the key verifies; `options`: the claims and the algorithm that it must have. */
export function validJwt(
  scheme: string,
  key: KeyObject | Uint8Array,
  options: JWTVerifyOptions & { readonly key_id?: string },
): AuthenticationCheck {
  return async ({ headers }) => {
    const [actual_scheme, token = ''] = (headers.authorization ?? '').split(' ');
    if (actual_scheme !== scheme) return 'wrong scheme';
    try {
      const { protectedHeader } = await jwtVerify(token, key, options);
      return protectedHeader.kid === options.key_id ? undefined : 'wrong key id';
    } catch (error) {
      return error instanceof Error ? error.message : 'invalid';
    }
  };
}
