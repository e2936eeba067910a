/** The schema of an audit entry: user, action, credential and outcome. Never a value. */
import * as z from 'zod';
import { OrganizationName } from './caller.ts';
import { LIST_PAGE_MAX, USE_COUNT_DAYS_MAX } from './limits.ts';
import { Timestamp } from './timestamp.ts';

/** On the vault as a whole. Records that are encrypted again keep their revisions. */
const VAULT_ACTIONS = [
  'init',
  'backup',
  'restore',
  'move_vault',
  'rotate_root_key',
  'rotate_data_key',
  'reencrypt_records',
  'rotate_box_key',
  'retire_box_keys',
  'rotate_signing_key',
] as const;

export const AUDIT_ACTIONS = [
  'store',
  'update',
  'delete',
  'reveal',
  'create_organization',
  'create_user',
  'create_unit',
  'create_stack',
  'update_stack',
  'delete_stack',
  'share_stack',
  'unshare_stack',
  'create_key',
  'rotate_key',
  'revoke_key',
  'move',
  'rename',
  'set_inactive',
  'create_key_set',
  'authenticate',
  'list_keys',
  'list_audit',
  'verify_audit',
  'list_users',
  'delete_user',
  'move_user',
  'use',
  'use_outcome',
  'request_use',
  'approve_use',
  'deny_use',
  'revoke_use',
  'request_access',
  'approve_access',
  'deny_access',
  'set_use_policy',
  'reject',
  'accept',
  'pin_host_key',
  'refresh',
  'require_reconnect',
  'approve_destination',
  'set_protected',
  'request_values',
  'approve_values',
  'deny_values',
  'approve_service',
  'remove_service',
  'sign_in',
  'sign_out',
  'create_handle',
  'complete_handle',
  'decline_handle',
  'start_connection',
  'decline_connection',
  'connect',
  ...VAULT_ACTIONS,
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** Findings of a use, a test or a refresh, which are not changes by a person or an agent. */
export const OBSERVED_ACTIONS: readonly AuditAction[] = [
  'reject',
  'accept',
  'pin_host_key',
  'refresh',
  'require_reconnect',
];

/** Actions that delete a record, and actions that change none. All others write one. */
export const REMOVING_ACTIONS: ReadonlySet<AuditAction> = new Set([
  'delete',
  'delete_stack',
  'delete_user',
  'revoke_key',
  'remove_service',
]);
export const READING_ACTIONS: ReadonlySet<AuditAction> = new Set([
  'reveal',
  'create_key_set',
  'authenticate',
  'list_keys',
  'list_audit',
  'verify_audit',
  'list_users',
  'use',
  'use_outcome',
  // Approvals are deleted after they have expired without an entry, and consumed by the entry of the use.
  'request_use',
  'approve_use',
  'deny_use',
  'revoke_use',
  // Access requests are deleted after they have expired without an entry.
  'request_access',
  'approve_access',
  'deny_access',
  // Pending values are deleted a week later without an entry, or by the entry of the credential.
  'request_values',
  'deny_values',
  // Web sessions are deleted when they have expired, without an entry.
  'sign_in',
  'sign_out',
  // Handles and connections are deleted after they have ended, without an entry.
  'create_handle',
  'complete_handle',
  'decline_handle',
  'start_connection',
  'decline_connection',
  ...VAULT_ACTIONS,
]);

/** A change of a credential's owner, stack, unit, name, state, limits, protection or expiry, of a share, or of a user's unit. */
export const AuditChange = z.strictObject({
  what: z.enum(['user', 'stack', 'unit', 'name', 'state', 'use_policy', 'protection', 'expires_at', 'share']),
  from: z.string().nullable(),
  to: z.string().nullable(),
});
export type AuditChange = z.infer<typeof AuditChange>;

/** What an API key was limited to when it was created or rotated; `null`: no limit. */
export const KeyLimits = z.strictObject({
  stack_id: z.string().nullable(),
  services: z.array(z.string()).nullable(),
  tools: z.array(z.string()).nullable(),
  expires_at: z.string().nullable(),
  /** In words; `null` in entries of earlier versions. */
  use_policy: z.string().nullable().default(null),
});
export type KeyLimits = z.infer<typeof KeyLimits>;

/** A request with a credential, also for its first or next access token, or a child process that receives one. Parts that the entry does not record are `null`. */
export const AuditedUse = z.strictObject({
  /** The same in the entries `use` and `use_outcome` of one use; `null` for a denied one. */
  id: z.string().nullable(),
  kind: z.enum(['http', 'environment', 'test', 'refresh', 'connect', 'revoke']),
  /** RFC 6454; of a test also with another scheme, such as `postgresql://db.example.com:5432`. */
  origin: z.string().nullable(),
  /** The IP address that the request was sent to. */
  address: z.string().nullable(),
  method: z.string().nullable(),
  /** Without the query. */
  path: z.string().nullable(),
  /** As the caller stated it. */
  reason: z.string().nullable(),
  /** The approval that permitted the use. */
  approval_id: z.string().nullable(),
  /** The status code and the length of the response. */
  status: z.int().nullable(),
  bytes: z.int().nullable(),
});
export type AuditedUse = z.infer<typeof AuditedUse>;

export const AuditEntry = z.strictObject({
  /** Position in the organization's chain, from 1, without gaps. */
  position: z.int().min(1),
  at: z.string(),
  user: z.string(),
  edge: z.string(),
  /** The caller's API key; `null` for a local caller. */
  api_key_id: z.string().nullable().default(null),
  /** The user who created or last rotated that key, if not `user`. */
  made_by: z.string().nullable().default(null),
  /** Name and version of the MCP client, as the client claims. */
  claimed_client: z.string().nullable().default(null),
  action: z.enum(AUDIT_ACTIONS),
  credential_id: z.string().nullable(),
  /** The record that was written if it is not a credential: a stack, a key, a user. */
  record_id: z.string().nullable().default(null),
  /** The user who owns the credential or stack, if not `user`. */
  owner: z.string().nullable().default(null),
  service_id: z.string().nullable(),
  stack_id: z.string().nullable(),
  name: z.string().nullable(),
  /** Ids of the fields that were written; for an API key its scopes. */
  fields: z.array(z.string()),
  /** Ids of the other fields, which kept their values or lost them, if any field was written. */
  kept_fields: z.array(z.string()).default([]),
  removed_fields: z.array(z.string()).default([]),
  changes: z.array(AuditChange).default([]),
  /** Of the API key that was created or rotated; `null` for other actions and for entries of earlier versions. */
  limits: KeyLimits.nullable().default(null),
  /** The revision of the set of valid API keys that a change of a key wrote; `null` for other actions. */
  key_set_revision: z.int().nullable().default(null),
  /**
   * The number of equal denials or failed authentications that the entry counts, and for a rotation the number of keys or records
   * that were encrypted again; `null` for other allowed operations and in entries of earlier versions. Parts in which they differ are `null`; the time and the request are those of the last.
   */
  count: z.int().nullable().default(null),
  /** Of the actions `use` and `use_outcome`; `null` for other actions and for entries of earlier versions. */
  use: AuditedUse.nullable().default(null),
  /** The revision that was written or deleted; `null` if no record was. */
  revision: z.int().nullable(),
  outcome: z.enum(['allowed', 'denied']),
  reason: z.string().nullable(),
  request_id: z.string(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;
/** An entry before it has a position. */
export type NewAuditEntry = Omit<AuditEntry, 'position'>;

/** ISO 8601 with `Z` or an offset, or a date, which is midnight UTC. Converted to the format of entries. */
const PointInTime = z
  .union([Timestamp, z.iso.date()], 'must be a time such as 2026-01-31T12:00:00Z')
  .transform((text) => new Date(text).toISOString());

/** Filters for entries; all that are given must match. */
export const AuditQuery = z.strictObject({
  /** Whose log; default: that of the caller's organization. Others are for the operator. */
  organization: OrganizationName.optional(),
  action: z.string().optional(),
  user: z.string().optional(),
  credential_id: z.string().toLowerCase().optional(),
  record_id: z.string().toLowerCase().optional(),
  /** Any id of a service; the slug of a service that is no longer defined. */
  service_id: z.string().optional(),
  outcome: z.string().optional(),
  /** Inclusive. */
  since: PointInTime.optional(),
  /** Exclusive. */
  until: PointInTime.optional(),
});
export type AuditFilter = z.input<typeof AuditQuery>;

export const AUDIT_LIMIT_RULE = `must be a whole number from 1 to ${LIST_PAGE_MAX}`;
/** The number of entries, and the position that they are below. */
export const AuditPaging = z.strictObject({
  limit: z.int(AUDIT_LIMIT_RULE).min(1, AUDIT_LIMIT_RULE).max(LIST_PAGE_MAX, AUDIT_LIMIT_RULE),
  before: z.int().optional(),
});

export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** Pass it as `before` for the next page; `null` at the end. */
  readonly next: number | null;
}

const DAYS_RULE = `must be a whole number from 1 to ${USE_COUNT_DAYS_MAX}`;
export const UseCountInput = z.strictObject({
  days: z.int(DAYS_RULE).min(1, DAYS_RULE).max(USE_COUNT_DAYS_MAX, DAYS_RULE),
  service_id: z.string().optional(),
});

/** The uses of credentials by day. */
export const UseCounts = z.strictObject({
  /** In UTC, the oldest first, also days without a use. */
  days: z.array(z.strictObject({ date: z.string(), used: z.int(), refused: z.int() })),
  /** Earlier entries were not counted, because there are too many; `null` if all were. */
  complete_since: z.string().nullable(),
});
export type UseCounts = z.infer<typeof UseCounts>;

export const AUDIT_FINDING_KINDS = [
  'entry_changed',
  'entry_missing',
  'log_truncated',
  'record_rolled_back',
  'record_missing',
  'record_unlogged',
  'record_damaged',
  'vault_rolled_back',
] as const;

/** A finding of `audit verify`. Without findings the chain is intact. */
export interface AuditFinding {
  readonly kind: (typeof AUDIT_FINDING_KINDS)[number];
  /** Position in the chain, if the finding is about an entry. */
  readonly position: number | null;
  readonly credential_id: string | null;
  /** The record that the finding is about, if it is not a credential. */
  readonly record_id: string | null;
  readonly message: string;
}

export interface AuditReport {
  readonly ok: boolean;
  readonly entries: number;
  readonly credentials: number;
  readonly findings: readonly AuditFinding[];
}
