/** Creates audit entries: the caller, the action, the record. Names and ids only, never a value. */
import type { AuditAction, AuditChange, AuditedUse, KeyLimits, NewAuditEntry } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import type { CredentialRef } from '../credentials/codec.ts';

export interface EntryFacts {
  /** The credential of the operation. */
  readonly ref?: CredentialRef | undefined;
  readonly credential_id?: string;
  /** The record of the operation, if it is not a credential. */
  readonly record_id?: string;
  readonly stack_id?: string;
  readonly service_id?: string;
  /** The user who owns the record. */
  readonly owner?: string;
  readonly fields?: readonly string[];
  readonly kept_fields?: readonly string[];
  readonly removed_fields?: readonly string[];
  readonly changes?: readonly AuditChange[];
  readonly limits?: KeyLimits;
  readonly key_set_revision?: number;
  readonly count?: number;
  readonly use?: AuditedUse;
  readonly revision?: number;
  readonly outcome?: 'allowed' | 'denied';
  readonly reason?: string;
}

/** The parts of a caller that an entry names. */
type EntryCaller = Pick<Caller, 'user' | 'edge' | 'api_key_id' | 'claimed_client' | 'made_by' | 'request_id'>;

export function newEntry(
  caller: EntryCaller,
  action: AuditAction,
  now: Date,
  facts: EntryFacts,
): NewAuditEntry {
  const { ref } = facts;
  const owner = facts.owner ?? ref?.user ?? caller.user;
  return {
    at: formatTimestamp(now),
    user: caller.user,
    edge: caller.edge,
    api_key_id: caller.api_key_id ?? null,
    made_by: caller.made_by ?? null,
    claimed_client: caller.claimed_client ?? null,
    action,
    credential_id: facts.credential_id ?? null,
    record_id: facts.record_id ?? null,
    owner: owner === caller.user ? null : owner,
    service_id: ref?.service ?? facts.service_id ?? null,
    stack_id: ref?.stack ?? facts.stack_id ?? null,
    name: ref?.name ?? null,
    fields: facts.fields === undefined ? [] : [...facts.fields],
    kept_fields: facts.kept_fields === undefined ? [] : [...facts.kept_fields],
    removed_fields: facts.removed_fields === undefined ? [] : [...facts.removed_fields],
    changes: facts.changes === undefined ? [] : [...facts.changes],
    limits: facts.limits ?? null,
    key_set_revision: facts.key_set_revision ?? null,
    count: facts.count ?? null,
    use: facts.use ?? null,
    revision: facts.revision ?? null,
    outcome: facts.outcome ?? 'allowed',
    reason: facts.reason ?? null,
    request_id: caller.request_id,
  };
}
