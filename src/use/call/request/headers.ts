/** The headers of a call: those of the caller, unless they belong to the connection or to authentication, and defaults. */
import { VaultError } from '../../../contract/errors.ts';
import { CALL_HEADER_MAX_CHARACTERS } from '../../../contract/limits.ts';
import { isConnectionHeader } from '../../../contract/use/rules.ts';

/** Names in lower case. */
export type CallHeaders = ReadonlyMap<string, string>;

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/;
/** RFC 9110, section 5.5, without characters that are not ASCII. */
const VALUE = /^[\t\x20-\x7e]*$/;
const REFUSED: ReadonlySet<string> = new Set([
  // Keyhold decodes the response, to find values in it.
  'accept-encoding',
  // Authentication, which only the definition adds.
  'authorization',
  'cookie',
  // Some servers use another method or path if these are sent, which would bypass the policy of the credential.
  'x-forwarded-host',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
]);

/** `own`: names of the headers that the credential is added as. */
export function buildHeaders(
  given: Readonly<Record<string, string>>,
  defaults: Readonly<Record<string, string>>,
  own: readonly string[],
): CallHeaders {
  const own_names = new Set(own.map((name) => name.toLowerCase()));
  const headers = new Map<string, string>();
  for (const [typed, value] of Object.entries(given)) {
    const name = typed.toLowerCase();
    if (!TOKEN.test(name)) throw invalid('headers must have header names as keys.');
    if (own_names.has(name) || REFUSED.has(name) || isConnectionHeader(name) || name.startsWith('sec-'))
      throw invalid(
        'headers has one that Keyhold sets or that cannot be sent: authentication, cookies, Host, and headers of the connection. Leave it out; the credential is added by itself.',
      );
    if (headers.has(name)) throw invalid('headers has the same header twice, in another case.');
    if (!VALUE.test(value) || value.length > CALL_HEADER_MAX_CHARACTERS)
      throw invalid('headers must have values of printable ASCII characters.');
    headers.set(name, value);
  }
  const implied = { accept: 'application/json, */*;q=0.8', 'user-agent': 'keyhold', ...lowerCase(defaults) };
  for (const [name, value] of Object.entries(implied))
    if (!headers.has(name) && !own_names.has(name)) headers.set(name, value);
  return headers;
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
