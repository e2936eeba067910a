/**
 * What keys may be made, seen and given a new secret, and by whom: nobody gets at more than it has, through however
 * many keys. Pure rules; only the operations on API keys ask them.
 */
import { hash } from 'node:crypto';
import type { ApiKeyInfo } from '../../contract/api_key.ts';
import { type Caller, type Edge, NEW_KEY_SCOPES, SCOPES, type Scope } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { API_KEY_PATTERN } from '../../contract/patterns.ts';
import { mayActFor } from '../guard.ts';
import type { Versioned } from '../records/entity_repository.ts';
import { uuidText } from '../records/record_codec.ts';

const PREFIX_CHARACTERS = 8;

export interface KeyMeta extends Omit<ApiKeyInfo, 'id' | 'key_prefix' | 'last_used_at'> {
  /** SHA-256 of the secret, hexadecimal. The secret is random, so a slow hash would protect nothing more. */
  readonly secret_hash: string;
}

/** The scopes that the caller gives. Throws FORBIDDEN for one that it lacks, unless it administers the organization. */
export function scopesFor(caller: Caller, wanted: readonly Scope[] | undefined): Scope[] {
  const has_any = caller.scopes.has('org:admin');
  if (wanted === undefined) {
    const usual = NEW_KEY_SCOPES.filter((scope) => has_any || caller.scopes.has(scope));
    if (usual.length > 0) return usual;
    throw new VaultError('FORBIDDEN', 'The caller has none of the usual scopes to give. Name the scopes.');
  }
  const lacking = has_any ? [] : wanted.filter((scope) => !caller.scopes.has(scope));
  if (lacking.length === 0) return SCOPES.filter((scope) => wanted.includes(scope));
  const message = `A key cannot have scopes that its maker lacks: ${lacking.join(', ')}.`;
  throw new VaultError('FORBIDDEN', message);
}

/** The one stack of a key, or `null` for all. Throws FORBIDDEN where the caller is held to another one. */
export function stackFor(caller: Caller, wanted: string | undefined): string | null {
  if (caller.stack !== undefined && wanted !== undefined && wanted !== caller.stack)
    throw exceedsGrantError();
  return wanted ?? caller.stack ?? null;
}

/** What is allowed of what was wanted by somebody who is held to a list. Throws FORBIDDEN for anything beyond it. */
export function intersectAllowList(
  held_to: ReadonlySet<string> | undefined,
  wanted: readonly string[] | undefined,
): string[] | null {
  if (held_to === undefined) return wanted === undefined ? null : [...wanted];
  if (wanted === undefined) return [...held_to];
  if (wanted.every((one) => held_to.has(one))) return [...wanted];
  throw exceedsGrantError();
}

/** Throws FORBIDDEN for what has a later end, or none (`null`), than the key of its maker. */
export function assertNoLater(end: string | null, wanted: string | null): void {
  if (end !== null && (wanted === null || Date.parse(wanted) > Date.parse(end))) throw exceedsGrantError();
}

export function isExpired({ expires_at }: KeyMeta, now: Date): boolean {
  return expires_at !== null && Date.parse(expires_at) <= now.getTime();
}

/** Whose key is bound to a stack, services or tools knows only of keys that are bound as closely. */
export function isVisibleTo(caller: Caller, meta: KeyMeta): boolean {
  return (
    mayActFor(caller, meta.user) &&
    (caller.stack === undefined || caller.stack === meta.stack_id) &&
    isWithin(caller.services, meta.allowed_services) &&
    isWithin(caller.tools, meta.allowed_tools)
  );
}

function isWithin(held_to: ReadonlySet<string> | undefined, allowed: readonly string[] | null): boolean {
  return held_to === undefined || (allowed?.every((one) => held_to.has(one)) ?? false);
}

/** All that may be seen of a key. */
export function infoOf({ id, meta }: Versioned<KeyMeta>, last_used_at: string | null): ApiKeyInfo {
  const { secret_hash: _, ...shown } = meta;
  const key_prefix = `kh_${id}`.slice(0, PREFIX_CHARACTERS);
  return { id, key_prefix, ...shown, last_used_at };
}

export function hashOf(secret: string): string {
  return hash('sha256', secret);
}

function exceedsGrantError(): VaultError {
  return new VaultError('FORBIDDEN', 'A key cannot allow what the key of its maker does not.');
}

/** Whom a key stands for, in whichever request. */
export type KeyHolder = Omit<Caller, 'edge' | 'request_id'>;

export function holderOf({ id, meta }: Versioned<KeyMeta>): KeyHolder {
  const { organization, user, scopes, stack_id, allowed_services, allowed_tools } = meta;
  return {
    organization,
    user,
    scopes: new Set(scopes),
    api_key_id: id,
    stack: stack_id ?? undefined,
    services: allowed_services === null ? undefined : new Set(allowed_services),
    tools: allowed_tools === null ? undefined : new Set(allowed_tools),
  };
}

/** The holder in one request. Field by field: what is added to an object after a spread costs V8 a microsecond each. */
export function callerOf(holder: KeyHolder, edge: Edge, request_id: string): Caller {
  const { organization, user, scopes, api_key_id, stack, services, tools } = holder;
  return { organization, user, scopes, edge, request_id, api_key_id, stack, services, tools };
}

/** The id as a UUID, `undefined` where the text is no key, and the hash of the secret: of nothing, where there is none. */
export function partsOf(text: string): { readonly id: string | undefined; readonly secret_hash: string } {
  const [, id, secret = ''] = API_KEY_PATTERN.exec(text) ?? [];
  return { id: id && uuidText(id), secret_hash: hashOf(secret) };
}
