/** Checks what a caller of the egress gives, so that it cannot change where a request goes or how it is framed. */
import { VaultError } from '../contract/errors.ts';
import { isConnectionHeader } from '../contract/use/rules.ts';

const UNSENDABLE_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK']);
/** Visible ASCII without `#`, and without `\` before the query, which some servers read as `/`. */
const PATH_PATTERN = /^\/[\x21\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*(?:\?[\x21\x22\x24-\x7e]*)?$/;
const HOST_PATTERN = /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])$/i;
const PORT_MAX = 65_535;

/** Throws INVALID_INPUT for a method, path or header that must not be sent. undici checks the characters of headers. */
export function assertSendable(method: string, path: string, header_names: readonly string[]): void {
  if (UNSENDABLE_METHODS.has(method.toUpperCase()))
    throw new VaultError('INVALID_INPUT', `The method ${method.toUpperCase()} cannot be sent.`);
  if (!PATH_PATTERN.test(path))
    throw new VaultError('INVALID_INPUT', 'The path must begin with "/" and be percent-encoded.');
  if (header_names.some(isConnectionHeader))
    throw new VaultError(
      'INVALID_INPUT',
      'The request has a header that belongs to the connection. Leave it out.',
    );
}

/** The host and the port as a URL of https. Throws INVALID_INPUT. */
export function parseEndpoint(host: string, port: number): URL {
  const text = `https://${host}:${port}`;
  const is_valid = HOST_PATTERN.test(host) && Number.isInteger(port) && port >= 1 && port <= PORT_MAX;
  if (is_valid && URL.canParse(text)) return new URL(text);
  throw new VaultError(
    'INVALID_INPUT',
    'The host or the port of the service is invalid. Use a DNS name or an address, and a port from 1 to 65535.',
  );
}
