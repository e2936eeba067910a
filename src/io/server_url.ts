/** Server URLs and loopback addresses. An API key must never be sent over plain HTTP to another machine. */
import { VaultError } from '../contract/errors.ts';
import { canonicalHost, parseAddress } from './ip_address.ts';

/** Paths of MCP, which `install` uses, and of the REST API. */
const API_PATH_PATTERN = /\/(mcp|v1)$/;
const IPV4_LOOPBACK_PATTERN = /^127\./;

/**
 * Whether only programs on this machine can reach the host: a host name or an address, with or without brackets.
 * RFC 6761, section 6.3, and the loopback addresses of RFC 1122 and RFC 4291.
 */
export function isLoopbackHost(host: string): boolean {
  const name = canonicalHost(host);
  const address = parseAddress(name);
  if (address === undefined) return name === 'localhost';
  // No loopback address has a zone.
  if (parseAddress(host)?.zone !== undefined) return false;
  return address.text === '::1' || (address.family === 4 && IPV4_LOOPBACK_PATTERN.test(address.text));
}

/** Whether the URL is https, or http on loopback, without user and password: no other machine on the way can read the request. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
}

/**
 * Returns the URL without trailing slashes; it may have a path. Throws INVALID_INPUT, which begins with `what` and never
 * quotes the text, unless it is https (http for loopback only) without user, query and fragment, and not the URL of an API.
 */
export function parseServerUrl(text: string, what: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalidUrlError(what, 'must be the URL of a server, such as https://keyhold.example.com.');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw invalidUrlError(what, 'must begin with https://, or with http:// for a server on this machine.');
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw invalidUrlError(
      what,
      'must begin with https://: over plain http the API key could be read on the network. Plain http is for a server on this machine only.',
    );
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw invalidUrlError(what, 'must be an address alone, without a user, a password, "?" or "#".');
  }
  url.pathname = url.pathname.replace(/\/+$/, '');
  const [, api_path] = API_PATH_PATTERN.exec(url.pathname) ?? [];
  if (api_path !== undefined)
    throw invalidUrlError(what, `must be the address of the server, without /${api_path} at its end.`);
  return url;
}

function invalidUrlError(what: string, rule: string): VaultError {
  return new VaultError('INVALID_INPUT', `${what} ${rule}`, { reason: 'setting_invalid' });
}
