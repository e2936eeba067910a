/** The caller of work that a server does on schedule with the credentials of a user. */
import type { Caller } from '../../contract/caller.ts';
import { newRequestId } from '../../crypto/request_id.ts';

export function scheduledCaller(organization: string, user: string): Caller {
  const scopes = new Set(['credentials:use'] as const);
  return { organization, user, scopes, edge: 'schedule', request_id: newRequestId() };
}
