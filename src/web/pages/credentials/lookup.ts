/** How the pages find a credential, and which errors they show beside what the person entered. */
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Caller } from '../../../contract/caller.ts';
import type { CredentialInfo, CredentialStatus } from '../../../contract/credential.ts';
import { ERROR_TABLE, type ErrorCode, VaultError } from '../../../contract/errors.ts';
import type { PageParts } from '../../page.ts';

export function credentialPath(id: string): string {
  return `/dashboard/credentials/${encodeURIComponent(id)}`;
}

/** The credential as operations by service and stack name it. */
export function namedBy({ service_id, stack_id, name }: CredentialInfo) {
  return { service_id, stack_id, ...(name === null ? {} : { name }) };
}

/**
 * The status of a credential of the caller or of a stack that is shared with it. `undefined` for one of another user, which
 * an administrator may see, and for one whose service is not defined.
 */
export async function statusOf(
  vault: PageParts['vault'],
  caller: Caller,
  info: CredentialInfo,
): Promise<CredentialStatus | undefined> {
  if (vault.services.find(info.service_id) === undefined) return undefined;
  try {
    const status = await vault.status(caller, namedBy(info));
    return status.credential_id === info.id ? status : undefined;
  } catch (error) {
    // The user of the stack is another one.
    if (error instanceof VaultError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_INPUT',
  'CONFLICT',
  'FORBIDDEN',
  'INACTIVE',
  'EXPIRED',
  'RATE_LIMITED',
  'UPSTREAM',
]);

/** Whether an error is about what the person entered or chose, so that the same page shows it. */
export function isRefusal(error: unknown): error is VaultError {
  return error instanceof VaultError && REFUSALS.has(error.code);
}

export function refusalStatus(refusal: VaultError | undefined): ContentfulStatusCode {
  return refusal === undefined ? 200 : (ERROR_TABLE[refusal.code].http_status as ContentfulStatusCode);
}
