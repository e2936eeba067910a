/**
 * Refuses parameters with which web frameworks replace the method of a request: a request that policy and approver see as
 * POST would delete. Headers that do so are refused in `headers.ts`.
 */
import { VaultError } from '../../../contract/errors.ts';
import { type CallBody, isForm } from './body.ts';

/** Symfony, Laravel and Rails: `_method`. Slim: `_METHOD`. PHP reads a dot, a space and an open bracket as "_". */
function isOverride(name: string): boolean {
  return (
    name
      .trimStart()
      .replace(/^[ .[]/, '_')
      .toLowerCase() === '_method'
  );
}

/** `query`: as it is sent. Throws INVALID_INPUT. */
export function assertNoMethodOverride(query: string, body: CallBody): void {
  if ([...new URLSearchParams(query).keys()].some(isOverride) || hasOverride(body)) {
    const message =
      'The request has the parameter _method, with which some servers use another method. Leave it out, and give the method itself as method.';
    throw new VaultError('INVALID_INPUT', message);
  }
}

function hasOverride({ bytes, json, content_type = '' }: CallBody): boolean {
  if (bytes === undefined) return false;
  if (isForm(content_type)) return [...new URLSearchParams(bytes.toString('latin1')).keys()].some(isOverride);
  if (/^\s*multipart\//i.test(content_type))
    return /name\*?\s*=\s*["']?\s*[_. []method\b/i.test(bytes.toString('latin1'));
  if (json === undefined && !/json/i.test(content_type)) return false;
  return keysOf(json ?? parsed(bytes)).some(isOverride);
}

function keysOf(json: unknown): string[] {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? Object.keys(json) : [];
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
