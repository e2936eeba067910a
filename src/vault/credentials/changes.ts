/** What a write changes about a credential, and how the audit log names it. Pure functions. */
import type { AuditAction, AuditChange } from '../../contract/audit.ts';
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import { describePolicy } from '../../contract/use/rules.ts';
import type { CredentialValues } from '../records/record_codec.ts';
import type { CredentialMeta, Rejection, TokenState } from './codec.ts';

/** The destination that a person saw; `null`: a field is still missing. */
export type ApprovedDestination = Pick<Destination, 'origins' | 'fields'> | null;

/** The new state of a credential. Attributes that are left out keep their value. */
export interface CredentialChange {
  readonly type: string;
  readonly values: CredentialValues;
  readonly unit?: string | undefined;
  readonly inactive?: boolean | undefined;
  /** `null`: none. */
  readonly use_policy?: UsePolicy | null | undefined;
  /** The destination that a person approved for a credential of an earlier definition. Default: see `bindDestination`. */
  readonly destination?: Destination | undefined;
  /** The destination that a person approved for these values, for `bindDestination`. */
  readonly approved?: ApprovedDestination | undefined;
  readonly protected?: boolean | undefined;
  /** The service refused the values; `null`: it accepts them. Default: unchanged, cleared if a secret is stored. */
  readonly rejected?: Rejection | null | undefined;
  /** Default: as a write of these fields leaves it, see `tokenAfterWrite`. */
  readonly token?: TokenState | undefined;
  /** `null`: never. Default: unchanged, cleared if a secret is stored, since it was of the replaced secret. */
  readonly expires_at?: string | null | undefined;
}

export interface ExistingCredential {
  readonly meta: CredentialMeta;
  /** Decrypts the values. The request must have `needs_values`. */
  values(): CredentialValues;
}

/** Called inside the transaction, perhaps more than once. An exception undoes the write. */
export type Mutation = (current: ExistingCredential | undefined) => CredentialChange | 'delete';

/** Ends the transaction of a write that was only tried: nothing refuses it, and nothing is written. */
export class TriedWriteError extends Error {
  /** The credential as it would be. */
  readonly after: CredentialMeta;

  constructor(after: CredentialMeta) {
    super('the write was only tried');
    this.after = after;
  }
}

/** The given expiry in UTC. Throws INVALID_INPUT for a time in the past. */
export function checkedExpiry(
  { expires_at }: { readonly expires_at?: string | null | undefined },
  now: Date,
): string | null | undefined {
  if (expires_at === undefined || expires_at === null) return expires_at;
  const at = new Date(expires_at);
  if (at.getTime() > now.getTime()) return at.toISOString();
  throw new VaultError('INVALID_INPUT', 'expires_at must be in the future.');
}

/** Attributes that belong to the present secrets: they are cleared if a secret is stored, unless the change sets it. */
export function ofSecrets(
  { rejected, expires_at }: CredentialChange,
  before: CredentialMeta | undefined,
  stores_secret: boolean,
): Pick<CredentialMeta, 'rejected' | 'expires_at'> {
  const kept = stores_secret ? undefined : before;
  return {
    rejected: (rejected === undefined ? kept?.rejected : rejected) ?? undefined,
    expires_at: (expires_at === undefined ? kept?.expires_at : expires_at) ?? null,
  };
}

/** Former and present owner, unit, name, limits, protection, expiry and state, as far as they differ. A unit of `null` is that of the owner. */
export function changesOf(before: CredentialMeta | undefined, after: CredentialMeta): AuditChange[] {
  if (before === undefined) return [];
  const compared: readonly AuditChange[] = [
    { what: 'user', from: before.user, to: after.user },
    { what: 'stack', from: before.stack, to: after.stack },
    { what: 'unit', from: before.unit ?? null, to: after.unit ?? null },
    { what: 'name', from: before.name, to: after.name },
    { what: 'use_policy', from: describePolicy(before.use_policy), to: describePolicy(after.use_policy) },
    { what: 'protection', from: protectionOf(before), to: protectionOf(after) },
    { what: 'expires_at', from: before.expires_at, to: after.expires_at },
    { what: 'state', from: stateOf(before), to: stateOf(after) },
  ];
  return compared.filter(({ from, to }) => from !== to);
}

/** The action to log for an update that wrote no field. */
export function actionOf(changes: readonly AuditChange[]): AuditAction {
  const changed = new Set(changes.map(({ what }) => what));
  if (changed.has('user') || changed.has('stack') || changed.has('unit')) return 'move';
  if (changed.has('name')) return 'rename';
  if (changed.has('state')) return 'set_inactive';
  return changed.has('protection') ? 'set_protected' : 'update';
}

function protectionOf(meta: CredentialMeta): string {
  return meta.protected === true ? 'protected' : 'unprotected';
}

function stateOf({ inactive }: CredentialMeta): string {
  return inactive ? 'inactive' : 'active';
}

/** The other fields of a write that stored values: those that stay and those that are removed. */
export function otherFields(
  before: CredentialMeta | undefined,
  after: CredentialMeta,
  written: readonly string[],
) {
  if (before === undefined || written.length === 0) return {};
  return {
    kept_fields: after.fields.filter((field) => !written.includes(field)),
    removed_fields: before.fields.filter((field) => !after.fields.includes(field)),
  };
}
