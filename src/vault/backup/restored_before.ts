/**
 * Recognizes a vault that an earlier run has restored from the same backup, by the entry of that restore in its audit log. The run
 * may have been killed before it reported success.
 */
import type { AuditReport } from '../../contract/audit.ts';
import { LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { loadSodium } from '../../crypto/sodium.ts';
import type { RowReader, Store, StoredHead } from '../../store/store.ts';
import type { AuditLog } from '../audit/log.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { keyMissing } from '../keys/wrapped_keys.ts';
import { idText } from '../records/record_codec.ts';
import type { BackupReader } from './backup_reader.ts';
import { hasEntries, headsByOrganization } from './copy_rows.ts';
import type { BackupKeys } from './format.ts';
import type { BackupCounts } from './parts.ts';
import { openKeys, type SealingOptions, verifyCopy } from './verify_copy.ts';

/** The entry that a restore adds after the ones of the backup. */
export interface RestoreEntry {
  readonly local: OrganizationKeyring;
  readonly position: number;
  /** The id of the backup. */
  readonly record_id: string;
}

export interface RestoredBefore {
  readonly counts: BackupCounts;
  readonly organizations: number;
  readonly report: AuditReport;
  readonly heads: readonly StoredHead[];
  readonly anchor_keys: readonly [Buffer, ...Buffer[]];
}

export async function hasRestoreEntry(
  rows: RowReader,
  audit_log: AuditLog,
  { local, position, record_id }: RestoreEntry,
): Promise<boolean> {
  const [row] = await rows.entries(local.id, position);
  if (row?.position !== position) return false;
  const found = audit_log.open(local, row);
  return found.action === 'restore' && found.record_id === record_id;
}

/** Reads the whole backup. Returns `undefined` if the present vault is another one, or has another root key. */
export async function findRestored(
  present: Store,
  options: SealingOptions & { readonly backup: BackupReader; readonly keys: BackupKeys },
): Promise<RestoredBefore | undefined> {
  const { backup, keys: backup_keys } = options;
  const opened = await openKeys(present, backup_keys.root_key, options).catch((error: unknown) => {
    if (error instanceof VaultError && error.code !== 'UNAVAILABLE') return undefined;
    throw error;
  });
  if (opened === undefined) return undefined;
  const { keys, audit_log } = opened;
  let backup_heads: readonly StoredHead[] = [];
  let counts: BackupCounts | undefined;
  for await (const part of backup.parts(await loadSodium(), backup_keys.key)) {
    if (part.kind === 'heads') backup_heads = part.heads;
    if (part.kind === 'end') counts = part.counts;
  }
  const local = await keys.organization(LOCAL_ORGANIZATION);
  if (counts === undefined || local === undefined) throw keyMissing();
  const head = headsByOrganization(backup_heads).get(local.id.toString('hex'));
  const record_id = idText(Buffer.from(backup.header.id, 'hex'));
  const entry = { local, position: (head?.position ?? 0) + 1, record_id };
  const rows = await present.snapshot();
  try {
    if (!(await hasEntries(rows, backup_heads))) return undefined;
    if (!(await hasRestoreEntry(rows, audit_log, entry))) return undefined;
    return {
      counts,
      organizations: backup_heads.length,
      report: await verifyCopy(present, backup_keys.root_key, options),
      heads: await rows.heads(),
      anchor_keys: await keys.anchorKeys(),
    };
  } finally {
    await rows.close();
  }
}
