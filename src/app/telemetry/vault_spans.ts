/** Records a span for each operation of an open vault, such as `vault.update` and `vault.uses.begin`, within a request. */
import { inSpan } from '../../io/tracing/span.ts';
import type { Vault } from '../../vault/vault.ts';

/** The parts of the vault that have operations; the spans of its class are `vault.NAME`. */
export const NOUNS = [
  'api_keys',
  'approvals',
  'audit',
  'connections',
  'credentials',
  'definitions',
  'handles',
  'organizations',
  'stack_shares',
  'stacks',
  'use_policies',
  'users',
  'uses',
  'web_sessions',
] as const satisfies readonly (keyof Vault)[];

/** Operations that return the promise of another one. All others with a promise are async functions. */
export const DELEGATING: ReadonlySet<string> = new Set([
  'authenticate',
  'delete',
  'get',
  'health',
  'listAudit',
  'listOf',
  'previewDestination',
  'setProtected',
  'status',
  'store',
  'update',
  'verifyAudit',
]);
/** Checks of the program itself, which every request makes. */
const UNTRACED: ReadonlySet<string> = new Set(['close', 'loadApproved']);

/** Replaces the methods of these objects, and of no other ones of their classes. */
export function traceVault(vault: Vault): void {
  for (const noun of NOUNS) traceMethods(`vault.${noun}`, vault[noun]);
  traceMethods('vault', vault);
}

function traceMethods(prefix: string, target: object): void {
  const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(target));
  for (const [name, { value: method }] of Object.entries(methods)) {
    if (typeof method !== 'function' || name === 'constructor' || UNTRACED.has(name)) continue;
    if (method.constructor.name !== 'AsyncFunction' && !DELEGATING.has(name)) continue;
    const value = (...args: readonly unknown[]) =>
      inSpan(`${prefix}.${name}`, {}, (): Promise<unknown> => Reflect.apply(method, target, args));
    Object.defineProperty(target, name, { value, configurable: true });
  }
}
