/**
 * Authorizes every operation on records before anything is read or written, and returns the organization's keys only if the
 * operation is allowed. A denied write is audited before the error is returned; an allowed one in its own transaction.
 */
import type { AuditAction } from '../contract/audit.ts';
import { type Caller, canUseService, DEFAULT_STACK, type Scope } from '../contract/caller.ts';
import { type ErrorCode, VaultError } from '../contract/errors.ts';
import { newEntry } from './audit/entry.ts';
import type { CredentialRef } from './credentials/codec.ts';
import type { VaultDependencies } from './dependencies.ts';
import type { OrganizationKeyring } from './keys/keyring.ts';

export class Guard {
  readonly #parts: Pick<VaultDependencies, 'store' | 'keys' | 'audit_log' | 'now'>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'keys' | 'audit_log' | 'now'>) {
    this.#parts = parts;
  }

  /**
   * Lets the caller in to its own organization, or rejects: NOT_FOUND for a stack that is not the caller's, FORBIDDEN
   * for a scope or a service that it does not have. With `action`, a refusal is logged.
   */
  async authorize(
    caller: Caller,
    scope: Scope,
    action?: AuditAction,
    ref?: CredentialRef,
  ): Promise<OrganizationKeyring> {
    const keyring = await this.#parts.keys.organization(caller.organization);
    if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    const refusal = refusalOf(caller, scope, ref);
    if (refusal === undefined) return keyring;
    if (action !== undefined) await this.recordDenial(caller, keyring, action, ref, refusal.reason);
    throw refusal.error;
  }

  /** Runs a further check of an authorized operation. Audits a denial with one of `codes` before it rejects. */
  async auditDenials<Result>(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    codes: readonly ErrorCode[],
    decide: () => Result | Promise<Result>,
  ): Promise<Result> {
    try {
      return await decide();
    } catch (error) {
      if (error instanceof VaultError && codes.includes(error.code)) {
        const reason = error.code === 'NOT_FOUND' ? 'not found' : 'beyond what the caller may do';
        await this.recordDenial(caller, keyring, action, undefined, reason);
      }
      throw error;
    }
  }

  /** Resolves once the denial is in the audit log; rejects if it cannot be written. */
  async recordDenial(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    ref: CredentialRef | undefined,
    reason: string,
  ): Promise<void> {
    const entry = newEntry(caller, action, this.#parts.now(), {
      ref,
      outcome: 'denied',
      reason,
    });
    await this.#parts.store.commit({ writes: [], audit: [this.#parts.audit_log.append(keyring, entry)] });
  }
}

function refusalOf(
  caller: Caller,
  scope: Scope,
  ref: CredentialRef | undefined,
): { readonly reason: string; readonly error: VaultError } | undefined {
  if (!caller.scopes.has(scope)) {
    const message = `This needs the scope ${scope}, which the caller does not have.`;
    return { reason: `missing scope ${scope}`, error: new VaultError('FORBIDDEN', message) };
  }
  if (caller.tools !== undefined && caller.edge !== 'mcp') {
    const message = 'The API key allows some tools only. Call them over MCP.';
    return { reason: 'tools only', error: new VaultError('FORBIDDEN', message) };
  }
  if (scope === 'audit:read' && (caller.stack !== undefined || caller.services !== undefined)) {
    const message = 'The audit log is of the whole organization, and the API key is for a part of it.';
    return { reason: 'part of the organization', error: new VaultError('FORBIDDEN', message) };
  }
  if (ref === undefined) return undefined;
  if (caller.stack !== undefined && caller.stack !== ref.stack)
    return { reason: 'another stack', error: noSuchStack() };
  if (!canUseService(caller, ref.service)) {
    const message = 'The API key does not allow this service.';
    return { reason: 'service not allowed', error: new VaultError('FORBIDDEN', message) };
  }
  return undefined;
}

/** The stack of an operation, before the guard has authorized it. */
export function requestedStack(caller: Caller, stack_id: string | undefined): string {
  return stack_id ?? caller.stack ?? DEFAULT_STACK;
}

/** The stack of an operation. Throws NOT_FOUND if the caller is restricted to another one. */
export function authorizedStack(caller: Caller, stack_id: string | undefined): string {
  const stack = requestedStack(caller, stack_id);
  if (caller.stack !== undefined && caller.stack !== stack) throw noSuchStack();
  return stack;
}

export function noSuchStack(): VaultError {
  return new VaultError('NOT_FOUND', 'No such stack. Create it first, or leave it out for "default".', {
    reason: 'stack_missing',
  });
}

/** Returns whether the caller may act for this user: for its own, or for any as an administrator. */
export function mayActFor(caller: Caller, user: string): boolean {
  return user === caller.user || caller.scopes.has('org:admin');
}
