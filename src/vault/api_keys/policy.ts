/**
 * Rules for creating, listing and rotating API keys. A key can never grant more than its creator has, also through a
 * chain of keys. Pure functions.
 */
import { hash } from 'node:crypto';
import type { ApiKeyInfo } from '../../contract/api_key.ts';
import type { KeyLimits } from '../../contract/audit.ts';
import {
  type Caller,
  type Edge,
  isLocalCommandLine,
  isPerson,
  NEW_KEY_SCOPES,
  SCOPES,
  type Scope,
} from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { API_KEY_PATTERN } from '../../contract/patterns.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import { describePolicy } from '../../contract/use/rules.ts';
import { mayActFor } from '../guard.ts';
import type { Versioned } from '../records/entity_repository.ts';
import { uuidText } from '../records/record_codec.ts';
import { isPolicyWithin } from '../uses/policy.ts';

const PREFIX_CHARACTERS = 8;

export interface KeyMeta
  extends Omit<ApiKeyInfo, 'id' | 'key_prefix' | 'last_used_at' | 'made_by' | 'use_policy'> {
  /** Absent in keys of earlier versions. */
  readonly made_by?: string | null;
  /** Absent in keys of earlier versions. */
  readonly use_policy?: UsePolicy | null;
  /** SHA-256 of the secret, hexadecimal. The secret is random, so a slow hash would protect nothing more. */
  readonly secret_hash: string;
}

/** The scopes to grant. Throws FORBIDDEN for one that the caller may not grant. */
export function scopesFor(caller: Caller, wanted: readonly Scope[] | undefined): Scope[] {
  if (wanted === undefined) {
    const granted = NEW_KEY_SCOPES.filter((scope) => mayGrant(caller, scope));
    if (granted.length > 0) return granted;
    throw new VaultError('FORBIDDEN', 'The caller has none of the default scopes. Name the scopes.');
  }
  const lacking = wanted.filter((scope) => !mayGrant(caller, scope));
  if (lacking.length === 0) return SCOPES.filter((scope) => wanted.includes(scope));
  const is_lacked = !caller.scopes.has('approvals:decide') && !caller.scopes.has('org:admin');
  if (lacking.includes('approvals:decide') && !is_lacked) {
    const message =
      'Only a person grants the scope approvals:decide: on the pages of Keyhold, or on the machine of the vault with `keyhold keys create`.';
    throw new VaultError('FORBIDDEN', message);
  }
  if (caller.scopes.has('org:admin')) {
    const message =
      'Only a caller with the scope values:reveal may grant it; an administrator needs it too. On the machine of the vault, run `keyhold keys create --scopes values:reveal`.';
    throw new VaultError('FORBIDDEN', message);
  }
  const message = `A key cannot have scopes that its creator lacks: ${lacking.join(', ')}.`;
  throw new VaultError('FORBIDDEN', message, { required_scope: lacking.join(' ') });
}

/**
 * A caller grants the scopes it has. An administrator and the local command line grant every scope, but an administrator
 * does not grant `values:reveal`: with a key for another user it could read that user's values. Only a person grants
 * `approvals:decide`: a program with such a key could sign in as a person.
 */
function mayGrant(caller: Caller, scope: Scope): boolean {
  if (scope === 'approvals:decide' && !isPerson(caller)) return false;
  if (caller.scopes.has(scope)) return true;
  return caller.scopes.has('org:admin') && (scope !== 'values:reveal' || isLocalCommandLine(caller));
}

/** The scopes that the caller may grant to a key. */
export function grantableScopes(caller: Caller): readonly Scope[] {
  return SCOPES.filter((scope) => mayGrant(caller, scope));
}

/** Throws FORBIDDEN for a key with more scopes than the caller, unless it is its own or it administers the organization. */
export function assertMayRevoke(caller: Caller, { id, meta }: Versioned<KeyMeta>): void {
  if (id === caller.api_key_id || caller.scopes.has('org:admin')) return;
  if (meta.scopes.every((scope) => caller.scopes.has(scope))) return;
  throw new VaultError(
    'FORBIDDEN',
    'The API key has scopes that the caller lacks. An administrator can revoke it.',
  );
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

/** The policy of the new key: what is not named is that of the caller's key. Throws FORBIDDEN for a wider one. */
export function usePolicyFor({ use_policy }: Caller, wanted: UsePolicy | undefined): UsePolicy | null {
  const given = Object.entries(wanted ?? {}).filter(([, limit]) => limit !== undefined);
  const policy: UsePolicy = { ...use_policy, ...Object.fromEntries(given) };
  if (!isPolicyWithin(policy, use_policy)) throw exceedsGrantError();
  return Object.keys(policy).length === 0 ? null : policy;
}

/** Throws FORBIDDEN if the new key expires later than its creator's key, or never (`null`). */
export function assertNoLater(end: string | null, wanted: string | null): void {
  if (end !== null && (wanted === null || Date.parse(wanted) > Date.parse(end))) throw exceedsGrantError();
}

export function isExpired({ expires_at }: KeyMeta, now: Date): boolean {
  return expires_at !== null && Date.parse(expires_at) <= now.getTime();
}

/** A key with a use policy, or restricted to a stack, services or tools, sees only keys with the same or tighter restrictions. */
export function isVisibleTo(caller: Caller, meta: KeyMeta): boolean {
  return (
    mayActFor(caller, meta.user) &&
    (caller.stack === undefined || caller.stack === meta.stack_id) &&
    isSubsetOf(caller.services, meta.allowed_services) &&
    isSubsetOf(caller.tools, meta.allowed_tools) &&
    isPolicyWithin(meta.use_policy ?? undefined, caller.use_policy)
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
  return {
    id,
    key_prefix,
    ...shown,
    made_by: meta.made_by ?? null,
    use_policy: meta.use_policy ?? null,
    last_used_at,
  };
}

/** Who knows the secret of a key that the caller creates or rotates, if not its user; also through a chain of keys. */
export function makerOf(caller: Caller, user: string): string | null {
  const maker = caller.made_by ?? caller.user;
  return maker === user ? null : maker;
}

/** What a key is limited to, for the audit log. */
export function limitsOf(meta: KeyMeta): KeyLimits {
  const { stack_id, allowed_services, allowed_tools, expires_at } = meta;
  const use_policy = describePolicy(meta.use_policy);
  return { stack_id, services: allowed_services, tools: allowed_tools, expires_at, use_policy };
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
  const { organization, user, scopes, stack_id, allowed_services, allowed_tools, made_by } = meta;
  return {
    organization,
    user,
    scopes: new Set(scopes),
    api_key_id: id,
    made_by: made_by ?? undefined,
    stack: stack_id ?? undefined,
    services: allowed_services === null ? undefined : new Set(allowed_services),
    tools: allowed_tools === null ? undefined : new Set(allowed_tools),
    use_policy: meta.use_policy ?? undefined,
  };
}

/** The holder in one request. Listed by field: adding properties after a spread costs V8 a microsecond each. */
export function callerOf(holder: KeyHolder, edge: Edge, request_id: string): Caller {
  const { organization, user, scopes, api_key_id, made_by, stack, services, tools, use_policy } = holder;
  return {
    organization,
    user,
    scopes,
    edge,
    request_id,
    api_key_id,
    made_by,
    stack,
    services,
    tools,
    use_policy,
  };
}

/** The id as a UUID, `undefined` if the text is not a key, and the hash of the secret, or of an empty text. */
export function parseKey(text: string): { readonly id: string | undefined; readonly secret_hash: string } {
  const [, id, secret = ''] = API_KEY_PATTERN.exec(text) ?? [];
  return { id: id && uuidText(id), secret_hash: hashOf(secret) };
}

export function unauthenticatedError(): VaultError {
  return new VaultError('UNAUTHENTICATED', 'A valid API key is needed.');
}
