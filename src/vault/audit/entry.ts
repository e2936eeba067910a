/** Creates audit entries: the caller, the action, the record. Names and ids only, never a value. */
import type { AuditAction } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import type { CredentialRef } from '../credentials/codec.ts';
import type { NewAuditEntry } from './log.ts';

interface EntryFacts {
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
  readonly revision?: number;
  readonly outcome?: 'allowed' | 'denied';
  readonly reason?: string;
}

export function newEntry(caller: Caller, action: AuditAction, now: Date, facts: EntryFacts): NewAuditEntry {
  const { ref } = facts;
  const owner = facts.owner ?? ref?.user ?? caller.user;
  return {
    at: formatTimestamp(now),
    user: caller.user,
    edge: caller.edge,
    api_key_id: caller.api_key_id ?? null,
    action,
    credential_id: facts.credential_id ?? null,
    record_id: facts.record_id ?? null,
    owner: owner === caller.user ? null : owner,
    service_id: ref?.service ?? facts.service_id ?? null,
    stack_id: ref?.stack ?? facts.stack_id ?? null,
    name: ref?.name ?? null,
    fields: facts.fields === undefined ? [] : [...facts.fields],
    revision: facts.revision ?? null,
    outcome: facts.outcome ?? 'allowed',
    reason: facts.reason ?? null,
    request_id: caller.request_id,
  };
}
