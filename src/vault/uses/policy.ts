/**
 * Evaluates use policies. A use must satisfy that of the credential and that of the API key, and a key cannot create a
 * key with a wider one. Pure functions.
 */
import { VaultError } from '../../contract/errors.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import { hasPathPrefix, pathSegments, SAFE_METHODS } from '../../contract/use/rules.ts';
import type { UseRequest } from './use.ts';

export type Limited = 'credential' | 'API key';
type PolicedRequest = Pick<UseRequest, 'kind' | 'method' | 'path'>;

/** Throws FORBIDDEN or EXPIRED, reason `outside_policy`, for a use that the policy does not allow. */
export function assertWithinPolicy(
  policy: UsePolicy | undefined,
  limited: Limited,
  { kind, method, path }: PolicedRequest,
  now: Date,
): void {
  if (policy === undefined) return;
  const { methods, path_prefixes, expires_at } = policy;
  if (expires_at !== undefined && Date.parse(expires_at) <= now.getTime()) {
    const message = `The right to use this ${limited} has ended. The user can extend it.`;
    throw new VaultError('EXPIRED', message, { reason: 'outside_policy' });
  }
  // The request of a test is not the caller's.
  if (kind === 'test' || (methods === undefined && path_prefixes === undefined)) return;
  if (kind === 'environment') {
    const message = `The policy of this ${limited} allows some requests only, and a child process could send any. Use \`keyhold call\`.`;
    throw outsidePolicy(message);
  }
  if (methods !== undefined && (method === undefined || !methods.includes(method))) {
    const message = `The policy of this ${limited} allows only the methods ${methods.join(', ')}.`;
    throw outsidePolicy(message);
  }
  if (path_prefixes === undefined) return;
  const shown = path_prefixes.join(', ');
  if (path === undefined || pathSegments(path) === undefined) {
    const message = `The policy of this ${limited} allows only paths under ${shown}, and this path is ambiguous. Leave out empty and dot segments, ";", backslashes and encoded separators.`;
    throw outsidePolicy(message);
  }
  if (!path_prefixes.some((prefix) => hasPathPrefix(path, prefix)))
    throw outsidePolicy(`The policy of this ${limited} allows only paths under ${shown}.`);
}

/** Whether a person must approve the use first. */
export function needsApproval(
  policy: UsePolicy | undefined,
  { kind, method }: Pick<UseRequest, 'kind' | 'method'>,
): boolean {
  const { approve = 'never' } = policy ?? {};
  if (kind === 'test') return false;
  if (approve === 'writes') return method === undefined || !SAFE_METHODS.includes(method);
  return approve === 'always';
}

const APPROVE_ORDER = ['never', 'writes', 'always'] as const;

/** Whether `inner` allows nothing that `outer` does not allow. `undefined`: no limits. */
export function isPolicyWithin(inner: UsePolicy | undefined, outer: UsePolicy | undefined): boolean {
  const { methods, path_prefixes, calls_per_minute, expires_at, approve = 'never' } = outer ?? {};
  const within = inner ?? {};
  return (
    (methods === undefined || (within.methods?.every((one) => methods.includes(one)) ?? false)) &&
    (path_prefixes === undefined ||
      (within.path_prefixes?.every((one) => path_prefixes.some((prefix) => hasPathPrefix(one, prefix))) ??
        false)) &&
    (calls_per_minute === undefined ||
      (within.calls_per_minute ?? Number.POSITIVE_INFINITY) <= calls_per_minute) &&
    (expires_at === undefined ||
      Date.parse(within.expires_at ?? '9999-12-31T23:59:59Z') <= Date.parse(expires_at)) &&
    APPROVE_ORDER.indexOf(within.approve ?? 'never') >= APPROVE_ORDER.indexOf(approve)
  );
}

function outsidePolicy(message: string): VaultError {
  return new VaultError('FORBIDDEN', message, { reason: 'outside_policy' });
}
