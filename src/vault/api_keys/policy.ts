/**
 * Rules for creating, listing and rotating API keys. A key can never grant more than its creator has, also through a
 * chain of keys. Pure functions.
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

/** The scopes to grant. Throws FORBIDDEN for one that the caller lacks, unless it administers the organization. */
export function scopesFor(caller: Caller, wanted: readonly Scope[] | undefined): Scope[] {
  const has_any = caller.scopes.has('org:admin');
  if (wanted === undefined) {
    const granted = NEW_KEY_SCOPES.filter((scope) => has_any || caller.scopes.has(scope));
    if (granted.length > 0) return granted;
    throw new VaultError('FORBIDDEN', 'The caller has none of the default scopes. Name the scopes.');
  }
  const lacking = has_any ? [] : wanted.filter((scope) => !caller.scopes.has(scope));
  if (lacking.length === 0) return SCOPES.filter((scope) => wanted.includes(scope));
  const message = `A key cannot have scopes that its creator lacks: ${lacking.join(', ')}.`;
  throw new VaultError('FORBIDDEN', message);
}

/** The one stack of a key, or `null` for all. Throws FORBIDDEN if the caller is restricted to another one. */
export function stackFor(caller: Caller, wanted: string | undefined): string | null {
  if (caller.stack !== undefined && wanted !== undefined && wanted !== caller.stack)
    throw exceedsGrantError();
  return wanted ?? caller.stack ?? null;
}

/** The names to allow, within the list that the caller is restricted to. Throws FORBIDDEN for any other name. */
export function intersectAllowList(
  restriction: ReadonlySet<string> | undefined,
  wanted: readonly string[] | undefined,
): string[] | null {
  if (restriction === undefined) return wanted === undefined ? null : [...wanted];
  if (wanted === undefined) return [...restriction];
  if (wanted.every((one) => restriction.has(one))) return [...wanted];
  throw exceedsGrantError();
}

/** Throws FORBIDDEN if the new key expires later than its creator's key, or never (`null`). */
export function assertNoLater(end: string | null, wanted: string | null): void {
  if (end !== null && (wanted === null || Date.parse(wanted) > Date.parse(end))) throw exceedsGrantError();
}

export function isExpired({ expires_at }: KeyMeta, now: Date): boolean {
  return expires_at !== null && Date.parse(expires_at) <= now.getTime();
}

/** A key restricted to a stack, services or tools sees only keys with the same or tighter restrictions. */
export function isVisibleTo(caller: Caller, meta: KeyMeta): boolean {
  return (
    mayActFor(caller, meta.user) &&
    (caller.stack === undefined || caller.stack === meta.stack_id) &&
    isSubsetOf(caller.services, meta.allowed_services) &&
    isSubsetOf(caller.tools, meta.allowed_tools)
  );
}

function isSubsetOf(
  restriction: ReadonlySet<string> | undefined,
  allowed: readonly string[] | null,
): boolean {
  return restriction === undefined || (allowed?.every((one) => restriction.has(one)) ?? false);
}

/** Everything of a key except its secret. */
export function infoOf({ id, meta }: Versioned<KeyMeta>, last_used_at: string | null): ApiKeyInfo {
  const { secret_hash: _, ...shown } = meta;
  const key_prefix = `kh_${id}`.slice(0, PREFIX_CHARACTERS);
  return { id, key_prefix, ...shown, last_used_at };
}

export function hashOf(secret: string): string {
  return hash('sha256', secret);
}

function exceedsGrantError(): VaultError {
  return new VaultError('FORBIDDEN', 'A key cannot allow more than the key of its creator.');
}

/** The caller that a key authenticates, without the data of the request. */
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

/** The holder in one request. Listed by field: adding properties after a spread costs V8 a microsecond each. */
export function callerOf(holder: KeyHolder, edge: Edge, request_id: string): Caller {
  const { organization, user, scopes, api_key_id, stack, services, tools } = holder;
  return { organization, user, scopes, edge, request_id, api_key_id, stack, services, tools };
}

/** The id as a UUID, `undefined` if the text is not a key, and the hash of the secret, or of an empty text. */
export function parseKey(text: string): { readonly id: string | undefined; readonly secret_hash: string } {
  const [, id, secret = ''] = API_KEY_PATTERN.exec(text) ?? [];
  return { id: id && uuidText(id), secret_hash: hashOf(secret) };
}

export function unauthenticatedError(): VaultError {
  return new VaultError('UNAUTHENTICATED', 'A valid API key is needed.');
}
