/**
 * Authorizes every operation on records before anything is read or written, and returns the organization's keys only if the
 * operation is allowed. A denied write is audited before the error is returned; an allowed one in its own transaction.
 */
import type { AuditAction } from '../contract/audit.ts';
import {
  actAs,
  type Caller,
  canUseService,
  DEFAULT_STACK,
  isPerson,
  type Scope,
} from '../contract/caller.ts';
import { type ErrorCode, VaultError } from '../contract/errors.ts';
import { includesRight, isGeneratedStackId, ORGANIZATION_OWNER, type StackRight } from '../contract/stack.ts';
import { type EntryFacts, newEntry } from './audit/entry.ts';
import type { VaultDependencies } from './dependencies.ts';
import type { OrganizationKeyring } from './keys/keyring.ts';
import { EntityRepository } from './records/entity_repository.ts';
import { StackAccess } from './stacks/access.ts';

/**
 * What an operation reads or writes, as the request names it, whether or not it exists. Always complete: a restriction
 * of the caller cannot apply to a part that is left out.
 */
export interface Touched {
  /** The owner. */
  readonly user: string;
  readonly stack: string;
  /** The right in the stack that the operation needs. Default: that of the scope. */
  readonly right?: StackRight;
  /** The slug, or the id of the request if no such service is defined. Absent: the stack itself. */
  readonly service?: string;
  readonly name?: string | null;
}

/** For an operation on no single stack, such as a list that shows only what the caller may see. */
export const NO_SINGLE_STACK = null;

/** The right in a stack of another owner that an operation with this scope needs. No role reveals a value. */
const RIGHT_OF_SCOPE: Readonly<Record<Scope, StackRight>> = {
  'credentials:read': 'use',
  'credentials:use': 'use',
  'credentials:write': 'edit',
  'stacks:write': 'manage',
  'keys:write': 'owner',
  'audit:read': 'owner',
  'values:reveal': 'owner',
  'org:admin': 'owner',
  'approvals:decide': 'owner',
};

interface Refusal {
  readonly reason: string;
  readonly error: VaultError;
}

type GuardParts = Pick<
  VaultDependencies,
  'store' | 'keys' | 'audit_log' | 'now' | 'codec' | 'records' | 'services'
>;

export class Guard {
  readonly #parts: GuardParts;
  readonly #stacks: EntityRepository<object>;
  /** Which stacks of others a caller may see. */
  readonly access: StackAccess;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.access = new StackAccess(parts);
    this.#stacks = new EntityRepository(parts, 'stack');
  }

  /**
   * The stack that a request names: one of the caller, or one that it may see. Decides nothing: `authorize` does. For a stack
   * that the caller may not see, it is the same as for one that does not exist.
   */
  async requestedStack(
    caller: Caller,
    stack_id: string | undefined,
  ): Promise<Required<Pick<Touched, 'user' | 'stack'>>> {
    const stack = requestedStackId(caller, stack_id);
    const keyring = isGeneratedStackId(stack)
      ? await this.#parts.keys.organization(caller.organization)
      : undefined;
    const owner = keyring && (await this.access.ownerOf(keyring, caller, stack));
    return { user: owner ?? caller.user, stack };
  }

  /**
   * Authorizes the caller for its own organization, or rejects: NOT_FOUND for a stack that is neither the caller's nor shared
   * with it, FORBIDDEN for a scope, a service or a role that it does not have. With `action`, a refusal is logged.
   */
  async authorize(
    caller: Caller,
    scope: Scope,
    touched: Touched | typeof NO_SINGLE_STACK,
    action?: AuditAction,
  ): Promise<OrganizationKeyring> {
    const keyring = await this.#parts.keys.organization(caller.organization);
    if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    const refusal =
      refusalOf(caller, scope, touched) ?? (await this.#refusalByOwner(caller, keyring, scope, touched));
    if (refusal === undefined) return keyring;
    if (action !== undefined) await this.recordDenial(caller, keyring, action, touched, refusal.reason);
    throw refusal.error;
  }

  /** Refuses a stack of another owner, unless it is shared with a sufficient role or the caller is an administrator. */
  async #refusalByOwner(
    caller: Caller,
    keyring: OrganizationKeyring,
    scope: Scope,
    touched: Touched | typeof NO_SINGLE_STACK,
  ): Promise<Refusal | undefined> {
    if (touched === null || touched.user === caller.user) return undefined;
    const needed = touched.right ?? RIGHT_OF_SCOPE[scope];
    if (scope === 'values:reveal' && touched.user === ORGANIZATION_OWNER) return beyondShare(needed);
    if (caller.scopes.has('org:admin')) return undefined;
    const role = await this.access.roleOf(keyring, caller, { owner: touched.user, stack_id: touched.stack });
    if (role === undefined) return { reason: 'stack of another user', error: noSuchStack() };
    return includesRight(role, needed) ? undefined : beyondShare(needed);
  }

  /**
   * As `authorize`, for an operation on an organization as a whole, which the operator may choose. Returns the caller as it
   * acts there, and the keys of that organization. Logs a refusal in the caller's own.
   */
  async authorizeIn(
    caller: Caller,
    organization: string | undefined,
    scope: Scope,
    action: AuditAction,
  ): Promise<{
    /** The keys of the caller's own organization. */
    readonly home: OrganizationKeyring;
    readonly actor: Caller;
    readonly keyring: OrganizationKeyring;
  }> {
    const home = await this.authorize(caller, scope, NO_SINGLE_STACK, action);
    return this.auditDenials(caller, home, action, ['FORBIDDEN', 'NOT_FOUND'], NO_SINGLE_STACK, async () => {
      const actor = actAs(caller, organization);
      const keyring = await this.#parts.keys.organization(actor.organization);
      if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
      return { home, actor, keyring };
    });
  }

  /** Runs a further check of an authorized operation. Audits a denial with one of `codes` before it rejects. */
  async auditDenials<Result>(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    codes: readonly ErrorCode[],
    touched: Touched | typeof NO_SINGLE_STACK,
    decide: () => Result | Promise<Result>,
  ): Promise<Result> {
    try {
      return await decide();
    } catch (error) {
      if (error instanceof VaultError && codes.includes(error.code)) {
        const reason = error.code === 'NOT_FOUND' ? 'not found' : 'beyond what the caller may do';
        await this.recordDenial(caller, keyring, action, touched, reason);
      }
      throw error;
    }
  }

  /** Resolves once the denial is in the audit log, or counted as one of equal ones; rejects if it cannot be written. */
  async recordDenial(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    touched: Touched | typeof NO_SINGLE_STACK,
    reason: string,
    facts: Pick<EntryFacts, 'use'> = {},
  ): Promise<void> {
    const known = touched === null ? {} : await this.#knownParts(keyring, touched);
    const denial = { ...facts, ...known, outcome: 'denied', reason } as const;
    const entry = newEntry(caller, action, this.#parts.now(), denial);
    await this.#parts.audit_log.denials.record(keyring, entry);
  }

  /**
   * The parts of a refused request that may be logged: those of records and services that exist. Any other text of the
   * request may be a misplaced value, and the log is never erased.
   */
  async #knownParts(keyring: OrganizationKeyring, touched: Touched): Promise<EntryFacts> {
    const { codec, services, store } = this.#parts;
    const { user, stack, service, name = null } = touched;
    if (service !== undefined) {
      const ref = { user, stack, service, name };
      if ((await store.find(codec.indexOf(keyring, ref))) !== undefined) return { ref };
    }
    const has_stack =
      stack === DEFAULT_STACK || (await this.#stacks.rowAt(keyring, [user, stack])) !== undefined;
    const slug = service === undefined ? undefined : services.find(service)?.slug;
    return {
      owner: user,
      ...(has_stack ? { stack_id: stack } : {}),
      ...(slug === undefined ? {} : { service_id: slug }),
    };
  }
}

function refusalOf(
  caller: Caller,
  scope: Scope,
  touched: Touched | typeof NO_SINGLE_STACK,
): Refusal | undefined {
  if (!caller.scopes.has(scope)) {
    const message = `This needs the scope ${scope}, which the caller does not have.`;
    const error = new VaultError('FORBIDDEN', message, { required_scope: scope });
    return { reason: `missing scope ${scope}`, error };
  }
  if (caller.tools !== undefined && caller.edge !== 'mcp') {
    const message = 'The API key allows some tools only. Call them over MCP.';
    return { reason: 'tools only', error: new VaultError('FORBIDDEN', message) };
  }
  if (scope === 'audit:read' && (caller.stack !== undefined || caller.services !== undefined)) {
    const message = 'The audit log is of the whole organization, and the API key is for a part of it.';
    return { reason: 'part of the organization', error: new VaultError('FORBIDDEN', message) };
  }
  if (touched === null) return undefined;
  if (!isStackAllowed(caller, touched.stack)) return { reason: 'another stack', error: noSuchStack() };
  if (touched.service !== undefined && !canUseService(caller, touched.service)) {
    const message = 'The API key does not allow this service.';
    return { reason: 'service not allowed', error: new VaultError('FORBIDDEN', message) };
  }
  return undefined;
}

/** The stack of an operation, before the guard has authorized it. */
export function requestedStackId(caller: Caller, stack_id: string | undefined): string {
  return stack_id ?? caller.stack ?? DEFAULT_STACK;
}

/** Returns whether the caller's API key covers the stack. */
export function isStackAllowed(caller: Caller, stack: string): boolean {
  return caller.stack === undefined || caller.stack === stack;
}

function beyondShare(needed: StackRight): Refusal {
  const message =
    needed === 'owner'
      ? 'Only the owner of the stack, or an administrator, may do this. No value is shown across a share.'
      : `This needs the role ${needed} in the shared stack. Its owner can grant it with \`keyhold stacks share\`.`;
  return { reason: `missing role ${needed}`, error: new VaultError('FORBIDDEN', message) };
}

export function noSuchStack(): VaultError {
  return new VaultError('NOT_FOUND', 'No such stack. Create it first, or leave it out for "default".', {
    reason: 'stack_missing',
  });
}

/** Returns whether the caller is a person who decides about the credentials of this user; sharing a stack is not enough. */
export function mayDecideFor(caller: Caller, user: string): boolean {
  return isPerson(caller) && mayActFor(caller, user);
}

/** Returns whether the caller may act for this user: for its own, or for any as an administrator. */
export function mayActFor(caller: Caller, user: string): boolean {
  return user === caller.user || caller.scopes.has('org:admin');
}
