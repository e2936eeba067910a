/** How the audit log names a use: where a request went, without its query, and why. Never a value. */
import type { AuditedUse } from '../../contract/audit.ts';
import { AUDITED_PATH_MAX_CHARACTERS, USE_REASON_MAX_CHARACTERS } from '../../contract/limits.ts';
import type { UseRequest } from './use.ts';

/** The use as the audit log has it. `id`: `null` for a refused one. */
export function auditedUse(id: string | null, request: UseRequest, address: string | undefined): AuditedUse {
  const { kind, origin, method, path, reason } = request;
  return {
    id,
    kind,
    origin: origin ?? null,
    address: address ?? null,
    method: method ?? null,
    path: path?.slice(0, AUDITED_PATH_MAX_CHARACTERS) ?? null,
    reason: reason?.slice(0, USE_REASON_MAX_CHARACTERS) ?? null,
    approval_id: null,
    status: null,
    bytes: null,
  };
}
