/** The address of a server, and the rule that an API key goes nowhere that it could be read on the way. */
import { VaultError } from '../contract/errors.ts';

/** RFC 6761, section 6.3, and the loopback addresses of RFC 1122 and RFC 4291: what is sent there stays here. */
const LOOPBACK_PATTERN = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Paths below the address: of MCP, which `install` names, and of the REST API. */
const BELOW_PATTERN = /\/(mcp|v1)$/;

export function isLoopback({ hostname }: URL): boolean {
  return LOOPBACK_PATTERN.test(hostname);
}

/** Returns whether nobody on the way can change what is sent: https, or a server on this machine. No user or password. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));
}

/**
 * The URL, which may have a path, without slashes at its end. Throws INVALID_INPUT, which begins with `what` and
 * repeats nothing of the text, for what is no https URL (http is taken for this machine only), for one with a user, a
 * query or a fragment, and for the address of what is below the server's.
 */
export function parseServerUrl(text: string, what: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong(what, 'must be the URL of a server, such as https://keyhold.example.com.');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw wrong(what, 'must begin with https://, or with http:// for a server on this machine.');
  }
  if (url.protocol === 'http:' && !isLoopback(url)) {
    throw wrong(
      what,
      'must begin with https://: over plain http anybody on the way could read the API key. Plain http is for a server on this machine only.',
    );
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw wrong(what, 'must be an address alone, without a user, a password, "?" or "#".');
  }
  url.pathname = url.pathname.replace(/\/+$/, '');
  const [, below] = BELOW_PATTERN.exec(url.pathname) ?? [];
  if (below !== undefined)
    throw wrong(what, `must be the address of the server, without /${below} at its end.`);
  return url;
}

function wrong(what: string, rule: string): VaultError {
  return new VaultError('INVALID_INPUT', `${what} ${rule}`, { reason: 'setting_invalid' });
}
