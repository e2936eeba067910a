/**
 * Runs the plans of a group of changes in memory, on rows that were loaded together: each change sees the writes of those
 * before it, and one that fails leaves nothing. The result is the net writes of the group, for one statement, which confirms
 * every assumption that was made about rows that were not loaded.
 */
import { VaultError } from '../../../contract/errors.ts';
import { conflictError, keyRotatedError } from '../../errors.ts';
import type {
  AuditAppend,
  Batch,
  LoadedRow,
  RecordWrite,
  RootKeyChange,
  StoredMeta,
  WrappedKey,
} from '../../store.ts';
import { keyOf } from '../statements.ts';
import {
  type GroupEntry,
  type GroupHead,
  type GroupRecord,
  Layer,
  type Loaded,
  Needs,
} from './group_state.ts';
import type { Head } from './known_heads.ts';
import type { PendingChange } from './pending_changes.ts';

export interface GroupOptions {
  readonly loaded: Loaded;
  /** The heads are locked: everything that a decision depends on must be loaded. */
  readonly is_locked: boolean;
  /** Whether the ids of new records are loaded too. */
  readonly checks_new_ids?: boolean;
  /** The head of a chain that needs no loading. */
  readonly knownHead: (organization: Buffer) => Head | undefined;
  /** Returns the cached object of an unchanged row. */
  readonly reuse: (row: StoredMeta) => StoredMeta;
}

export class Group {
  readonly needs: Needs = new Needs();
  readonly done: PendingChange[] = [];
  readonly failed: (readonly [PendingChange, unknown])[] = [];
  readonly #options: GroupOptions;
  readonly #all = new Layer();

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  get records(): readonly GroupRecord[] {
    return [...this.#all.records.values()];
  }

  get heads(): readonly GroupHead[] {
    return [...this.#all.heads.values()];
  }

  get entries(): readonly GroupEntry[] {
    return this.#all.entries;
  }

  get keys(): readonly WrappedKey[] {
    return this.#all.keys;
  }

  get root_key(): RootKeyChange | undefined {
    return this.#all.root_key;
  }

  /** Plans a change and applies its batch. A failure is kept in `failed`. */
  run(change: PendingChange): void {
    const layer = new Layer();
    if (this.#all.root_key !== undefined) this.needs.needs_isolation = true;
    try {
      const rows = change.reads.map((read) => this.#read(read));
      const batch = change.plan(rows);
      this.#apply(batch, layer);
      this.#checkReads(change, layer);
    } catch (error) {
      this.failed.push([change, error]);
      return;
    }
    this.done.push(change);
    for (const [key, record] of layer.records) this.#all.records.set(key, record);
    for (const [key, holder] of layer.holders) this.#all.holders.set(key, holder);
    for (const [key, head] of layer.heads) this.#all.heads.set(key, head);
    this.#all.keys.push(...layer.keys);
    this.#all.root_key = layer.root_key;
    this.#all.entries.push(...layer.entries);
  }

  #read(read: PendingChange['reads'][number]): LoadedRow | undefined {
    const id = 'id' in read ? keyOf(read.id) : this.#holder(keyOf(read.index), this.#all);
    const written = id === undefined ? undefined : this.#all.records.get(id);
    if (written?.write === undefined) return this.#loadedRow(read);
    if (written.write === 'delete') return undefined;
    const { row, sealed_values } = written.write;
    return { row, sealed_values: read.values ? sealed_values : undefined };
  }

  #loadedRow(read: PendingChange['reads'][number]): LoadedRow | undefined {
    const { by_id, by_index } = this.#options.loaded;
    const found = 'id' in read ? by_id.get(keyOf(read.id)) : by_index.get(keyOf(read.index));
    if (found === undefined) return undefined;
    // Moved away or deleted by an earlier change of the group.
    if ('index' in read && this.#holder(keyOf(read.index), this.#all) !== keyOf(found.row.id))
      return undefined;
    return {
      row: this.#options.reuse(found.row),
      sealed_values: read.values ? found.sealed_values : undefined,
    };
  }

  #apply(batch: Batch, layer: Layer): void {
    this.#changeKeys(batch, layer);
    for (const write of batch.writes) this.#write(write, layer);
    for (const append of batch.audit) this.#append(append, layer);
  }

  /** The row of the vault is the lock of all wrapped keys. */
  #changeKeys({ keys = [], root_key_id, root_key }: Batch, layer: Layer): void {
    if (keys.length === 0 && root_key === undefined) return;
    const { vault } = this.#options.loaded;
    this.needs.vault ||= vault === undefined;
    this.needs.needs_lock ||= vault === undefined && !this.#options.is_locked;
    this.needs.needs_isolation ||= root_key !== undefined && this.done.length + this.failed.length > 0;
    layer.root_key = root_key;
    if (vault !== undefined) {
      const expected = [root_key_id, root_key?.expected_root_key_id];
      if (expected.some((id) => id !== undefined && !id.equals(vault.root_key_id))) throw conflictError();
      const newest = Math.max(vault.newest_version, ...this.#all.keys.map(({ version }) => version));
      if (keys.some(({ version }) => version > 1 && version <= newest)) throw conflictError();
    }
    for (const key of keys) this.#addKey(key, layer);
  }

  #addKey(key: WrappedKey, layer: Layer): void {
    const name = `${keyOf(key.owner)} ${key.version}`;
    const exists = this.#options.loaded.keys.get(name);
    const is_added = [...this.#all.keys, ...layer.keys].some(
      ({ owner, version }) => owner.equals(key.owner) && version === key.version,
    );
    if (exists === true || is_added) throw conflictError();
    if (exists === undefined && this.#options.is_locked) this.needs.keys.set(name, key);
    layer.keys.push(key);
  }

  #write(write: RecordWrite, layer: Layer): void {
    if (write.do === 'check_none') {
      this.#checkNone(write.scope, layer);
      return;
    }
    const id = write.do === 'put' ? write.row.id : write.id;
    const is_new = write.do === 'put' && write.expected_revision === 0;
    const record = this.#record(id, write.expected_revision, layer, !is_new);
    if ((record.now?.revision ?? 0) !== write.expected_revision) throw conflictError();
    const key = keyOf(id);
    if (write.do !== 'put' && record.now === undefined) throw conflictError();
    if (write.do === 'check') {
      layer.records.set(key, record);
      return;
    }
    const old_index = record.now?.index;
    if (write.do === 'delete') {
      if (old_index !== undefined) layer.holders.set(keyOf(old_index), undefined);
      layer.records.set(key, { ...record, write: 'delete', now: undefined });
      return;
    }
    const { row } = write;
    if (old_index === undefined || !old_index.equals(row.index)) this.#takeIndex(row.index, key, layer);
    if (old_index !== undefined && !old_index.equals(row.index))
      layer.holders.set(keyOf(old_index), undefined);
    layer.records.set(key, {
      ...record,
      write,
      now: { revision: row.revision, index: row.index, scope: row.scope },
    });
  }

  #takeIndex(index: Buffer, id: string, layer: Layer): void {
    const key = keyOf(index);
    const holder = this.#holder(key, layer);
    if (holder !== undefined && holder !== id) throw conflictError();
    if (holder === undefined && !this.#isIndexKnown(key, layer) && this.#options.is_locked)
      this.needs.indexes.set(key, index);
    layer.holders.set(key, id);
  }

  #isIndexKnown(key: string, layer: Layer): boolean {
    return layer.holders.has(key) || this.#all.holders.has(key) || this.#options.loaded.by_index.has(key);
  }

  /** The id of the record that has an index; `undefined` if it is free or not loaded. */
  #holder(key: string, layer: Layer): string | undefined {
    if (layer.holders.has(key)) return layer.holders.get(key);
    if (this.#all.holders.has(key)) return this.#all.holders.get(key);
    const loaded = this.#options.loaded.by_index.get(key);
    return loaded && keyOf(loaded.row.id);
  }

  /** The state of a record; one that was not loaded is assumed to have the expected revision, or to be missing. */
  #record(id: Buffer, expected_revision: number, layer: Layer, is_assumed: boolean): GroupRecord {
    const key = keyOf(id);
    const written = layer.records.get(key) ?? this.#all.records.get(key);
    if (written !== undefined) return written;
    const { by_id } = this.#options.loaded;
    const loaded = by_id.get(key);
    const row = loaded?.row;
    const is_loaded = by_id.has(key);
    // A new record may have another random id in each plan; its INSERT fails if the id exists.
    const { is_locked, checks_new_ids = false } = this.#options;
    if (!is_loaded && is_locked && (is_assumed || checks_new_ids)) this.needs.ids.set(key, id);
    // Another program may have written a row with revision 0: it can be deleted.
    const is_stored = is_loaded ? row !== undefined : is_assumed;
    const revision = is_loaded ? (row?.revision ?? 0) : expected_revision;
    return {
      id,
      base_revision: revision,
      is_stored,
      base_index: row?.index,
      organization: loaded?.organization,
      write: undefined,
      now: !is_stored ? undefined : { revision, index: row?.index, scope: row?.scope },
    };
  }

  #checkNone(scope: Buffer, layer: Layer): void {
    const key = keyOf(scope);
    const ids = this.#options.loaded.scopes.get(key);
    if (ids === undefined) {
      this.needs.needs_lock ||= !this.#options.is_locked;
      this.needs.scopes.set(key, scope);
      return;
    }
    const present = (id: string) => layer.records.get(id) ?? this.#all.records.get(id);
    const is_left = (id: string) => {
      const record = present(id);
      return record?.write === undefined || record.now?.scope?.equals(scope) === true;
    };
    for (const id of ids) if (is_left(id)) throw conflictError();
    for (const { records } of [this.#all, layer])
      for (const [id, { now }] of records) {
        if (now?.scope?.equals(scope) && present(id)?.now?.scope?.equals(scope)) throw conflictError();
      }
  }

  #append(append: AuditAppend, layer: Layer): void {
    const key = keyOf(append.organization);
    const written = layer.heads.get(key) ?? this.#all.heads.get(key);
    const { loaded, knownHead } = this.#options;
    const known = written?.after ?? knownHead(append.organization);
    if (known === undefined && !loaded.heads.has(key)) {
      this.needs.organizations.set(key, append.organization);
      return;
    }
    const stored = known === undefined ? loaded.heads.get(key) : undefined;
    const before = known ?? stored;
    if (before !== undefined && append.key_version < before.key_version) throw keyRotatedError();
    if (known === undefined) append.checkHead(stored);
    const position = (before?.position ?? 0) + 1;
    if (position > POSITIONS_MAX) throw fullLogError();
    const { sealed, link, head_mac } = append.sealEntry(position, before?.link);
    const { organization, key_version } = append;
    layer.entries.push({ organization, position, key_version, sealed, link, head_mac });
    layer.heads.set(key, {
      organization,
      before: written === undefined ? before : written.before,
      after: { position, key_version, link, head_mac },
      first_link: written?.first_link ?? link,
    });
  }

  /** A row that a plan has read, and its batch does not write, must not change before the commit. */
  #checkReads({ reads }: PendingChange, layer: Layer): void {
    const { by_id, by_index } = this.#options.loaded;
    for (const read of reads) {
      const found = 'id' in read ? by_id.get(keyOf(read.id)) : by_index.get(keyOf(read.index));
      if (found === undefined) continue;
      const { id, revision } = found.row;
      const key = keyOf(id);
      if (!layer.records.has(key) && !this.#all.records.has(key))
        layer.records.set(key, this.#record(id, revision, layer, true));
    }
  }
}

/** As in a vault file. */
const POSITIONS_MAX = 2 ** 32 - 1;

function fullLogError(): VaultError {
  return new VaultError('UNAVAILABLE', 'The audit log has reached its largest length. Nothing was changed.');
}
