/**
 * Restores a backup: receives its rows beside the vault, verifies the audit logs with the keys of the vault, adds the entry
 * `restore`, and then makes the result the vault. Until that last step the present vault is unchanged; a second run continues
 * one that was killed.
 */
import type { AuditReport } from '../../contract/audit.ts';
import { type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { damagedStream } from '../../crypto/secret_stream.ts';
import { loadSodium } from '../../crypto/sodium.ts';
import type { RowReader, Store, StoredHead, StoreHeader } from '../../store/store.ts';
import type { StoreReceiver, TransferTarget } from '../../store/transfer.ts';
import { AuditAnchor } from '../audit/anchor.ts';
import { newEntry } from '../audit/entry.ts';
import { keyMissing } from '../keys/wrapped_keys.ts';
import { idText } from '../records/record_codec.ts';
import type { BackupReader } from './backup_reader.ts';
import { hasEntries, headsByOrganization } from './copy_rows.ts';
import { type BackupKeys, storeHeaderOf } from './format.ts';
import type { BackupCounts, BackupPart } from './parts.ts';
import { findRestored, hasRestoreEntry, type RestoredBefore } from './restored_before.ts';
import { openKeys, type SealingOptions, verifyCopy } from './verify_copy.ts';

export interface LoadOptions extends SealingOptions {
  readonly backup: BackupReader;
  readonly keys: BackupKeys;
  readonly target: TransferTarget;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface RestoreOptions extends LoadOptions {
  /** Of the restored vault, if it differs from the one of the backup. */
  readonly header?: StoreHeader | undefined;
  /** The audit log records it. */
  readonly caller: Caller;
  readonly now: () => Date;
  readonly anchor_path: string | undefined;
  /** Opens the present vault. */
  readonly openPresent: () => Promise<Store>;
  /** Called before the restored vault can be opened. */
  readonly writeKeyFile: () => void;
  /** Replaces a vault that has entries that the backup does not have. */
  readonly replace: boolean;
  /** Restores although the verification has findings. */
  readonly accept: boolean;
}

export interface LoadedBackup {
  readonly counts: BackupCounts;
  readonly organizations: number;
  readonly report: AuditReport;
}

export interface RestoreSummary extends LoadedBackup {
  /** The path of the vault that was replaced. */
  readonly kept: string | undefined;
  /** An earlier run had restored this backup, and was killed before its end. */
  readonly was_restored: boolean;
}

/** Receives the whole backup into the target and verifies it. Does not make it the vault. */
export async function loadBackup(options: LoadOptions, header?: StoreHeader): Promise<LoadedBackup> {
  const { backup, keys, target, onProgress } = options;
  const { id, counts } = backup.header;
  const first_header = header ?? storeHeaderOf(backup.header);
  let receiver = await target.receive(id, first_header);
  try {
    let heads: readonly StoredHead[] = [];
    let done = 0;
    let last_seq = 0;
    let end: BackupCounts | undefined;
    for await (const part of backup.parts(await loadSodium(), keys.key)) {
      if (part.kind === 'heads') {
        heads = part.heads;
        receiver = await startAgain(receiver, target, id, first_header, heads);
        await receiver.write({ header: first_header });
        last_seq = (await receiver.counts()).last_seq;
      }
      if (part.kind === 'end') end = part.counts;
      done += await receive(receiver, part, last_seq);
      onProgress?.(done, counts.keys + counts.records + counts.entries);
    }
    const received = await receiver.counts();
    const is_whole = (['keys', 'records', 'entries'] as const).every(
      (kind) => received[kind] === end?.[kind] && received[kind] === counts[kind],
    );
    if (end === undefined || !is_whole) throw damagedStream();
    await receiver.close();
    const store = await target.openReceived(id);
    try {
      const report = await verifyCopy(store, keys.root_key, options);
      return { counts: end, organizations: heads.length, report };
    } finally {
      await store.close();
    }
  } catch (error) {
    await receiver.close().catch(() => undefined);
    throw error;
  }
}

export async function restoreBackup(options: RestoreOptions): Promise<RestoreSummary> {
  const { backup, target, accept, replace } = options;
  const { id } = backup.header;
  let loaded: LoadedBackup;
  try {
    loaded = await loadBackup(options, options.header);
  } catch (error) {
    if (!(error instanceof VaultError) || error.reason !== 'target_not_empty') throw error;
    return await completeRestored(options, error);
  }
  if (!loaded.report.ok && !accept) {
    await target.discard();
    throw findingsError(loaded.report.findings.length);
  }
  const prepared = await addRestoreEntry(options);
  try {
    const { kept } = await target.publish(id, {
      mayReplace: (present, received) => assertReplaceable(present, received, replace, prepared),
      beforePublish: options.writeKeyFile,
    });
    await acceptHeads(prepared.anchor, prepared.heads);
    return { ...loaded, kept, was_restored: false };
  } catch (error) {
    if (error instanceof RestoredBeforeError) {
      options.writeKeyFile();
      await acceptHeads(prepared.anchor, error.heads);
      await target.discard();
      return { ...loaded, kept: undefined, was_restored: true };
    }
    if (error instanceof VaultError && error.reason === 'vault_newer') await target.discard();
    throw error;
  }
}

/** For a target that receives nothing beside the present vault. Rejects with `error` if another run did not restore the backup. */
async function completeRestored(options: RestoreOptions, error: VaultError): Promise<RestoreSummary> {
  const store = await options.openPresent();
  try {
    const restored = await findRestored(store, options);
    if (restored === undefined) throw error;
    const { heads, anchor_keys, ...loaded } = restored;
    await acceptHeads(anchorOf(options, anchor_keys, store), heads);
    return { ...loaded, kept: undefined, was_restored: true };
  } finally {
    await store.close();
  }
}

/** The received vault with the entry of its restore. */
interface Prepared {
  readonly backup_heads: readonly StoredHead[];
  readonly heads: readonly StoredHead[];
  readonly anchor: AuditAnchor | undefined;
  /** Whether the chain of `local` continues after the backup with the entry of its restore. */
  hasRestoreEntry(rows: RowReader): Promise<boolean>;
}

async function addRestoreEntry(options: RestoreOptions): Promise<Prepared> {
  const { backup, target, caller, now } = options;
  const store = await target.openReceived(backup.header.id);
  try {
    const { keys, audit_log } = await openKeys(store, options.keys.root_key, options);
    const local = await keys.organization(LOCAL_ORGANIZATION);
    if (local === undefined) throw keyMissing();
    // Read now: the anchor is written when the store is closed.
    const anchor_keys = await keys.anchorKeys();
    const backup_heads = await store.auditHeads();
    const position = ((await store.auditHead(local.id))?.position ?? 0) + 1;
    const record_id = idText(Buffer.from(backup.header.id, 'hex'));
    const entry = newEntry(caller, 'restore', now(), { record_id });
    await store.commit({ writes: [], audit: [audit_log.append(local, entry)] });
    return {
      backup_heads,
      heads: await store.auditHeads(),
      anchor: anchorOf(options, anchor_keys, store),
      hasRestoreEntry: (rows) => hasRestoreEntry(rows, audit_log, { local, position, record_id }),
    };
  } finally {
    await store.close();
  }
}

function anchorOf(
  { anchor_path }: RestoreOptions,
  keys: RestoredBefore['anchor_keys'],
  store: Store,
): AuditAnchor | undefined {
  return anchor_path === undefined ? undefined : new AuditAnchor(anchor_path, async () => keys, store);
}

/** An earlier run that was killed may have received all and written its own entry: then everything is received again. */
async function startAgain(
  receiver: StoreReceiver,
  target: TransferTarget,
  id: string,
  header: StoreHeader,
  heads: readonly StoredHead[],
): Promise<StoreReceiver> {
  const expected = headsByOrganization(heads);
  const isBeyond = ({ organization, position }: StoredHead) =>
    position > (expected.get(organization.toString('hex'))?.position ?? 0);
  if (!(await receiver.heads()).some(isBeyond)) return receiver;
  await receiver.close();
  await target.discard();
  return target.receive(id, header);
}

/** Writes the rows that an earlier run did not write. Returns the number of rows. `last_seq`: of that run. */
async function receive(receiver: StoreReceiver, part: BackupPart, last_seq: number): Promise<number> {
  switch (part.kind) {
    case 'keys':
      await receiver.write({ keys: part.keys });
      return part.keys.length;
    case 'records':
      await receiver.write({ records: part.records.filter(({ seq }) => seq > last_seq) });
      return part.records.length;
    case 'entries': {
      const { organization } = part;
      const [first] = part.entries;
      const present = first && (await receiver.entries(organization, first.position));
      const last = present?.at(-1)?.position ?? 0;
      const entries = part.entries.filter(({ position }) => position > last);
      await receiver.write({ entries: { organization, entries } });
      return part.entries.length;
    }
    default:
      return 0;
  }
}

class RestoredBeforeError extends Error {
  readonly heads: readonly StoredHead[];

  constructor(heads: readonly StoredHead[]) {
    super('restored before');
    this.heads = heads;
  }
}

/** Rejects if the present vault has entries that the backup does not have, unless `replace`. */
async function assertReplaceable(
  present: RowReader | undefined,
  received: RowReader,
  replace: boolean,
  { backup_heads, hasRestoreEntry }: Prepared,
): Promise<void> {
  if (present === undefined) {
    if (replace) return;
    const message =
      'The present vault cannot be read, so it is unknown whether it is newer than the backup. Nothing was changed. To restore, add --replace: the present file is kept beside the new one.';
    throw new VaultError('CONFLICT', message, { reason: 'vault_newer' });
  }
  const heads = await present.heads();
  const has_backup = await hasEntries(present, backup_heads);
  if (has_backup && (await hasRestoreEntry(present))) throw new RestoredBeforeError(heads);
  if (replace || (await hasEntries(received, heads))) return;
  const difference = has_backup
    ? 'The present vault is newer than the backup'
    : 'The present vault has entries that the backup does not have, or is another vault';
  const message = `${difference}. Nothing was changed. To go back to the backup, add --replace: the present vault is kept beside the new one.`;
  throw new VaultError('CONFLICT', message, { reason: 'vault_newer' });
}

/** A vault that is restored on purpose is no rollback. */
async function acceptHeads(anchor: AuditAnchor | undefined, heads: readonly StoredHead[]): Promise<void> {
  try {
    await anchor?.accept(heads);
  } catch {
    // The folder of the key may be read-only, as in a container. The next verification reports the rollback.
  }
}

function findingsError(count: number): VaultError {
  return new VaultError(
    'CORRUPT',
    `The audit logs in the backup have ${count} ${count === 1 ? 'finding' : 'findings'}: see \`keyhold backup verify\`. Nothing was changed. To restore the backup as it is, add --accept.`,
    { reason: 'audit_broken' },
  );
}
