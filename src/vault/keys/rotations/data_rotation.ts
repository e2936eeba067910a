/**
 * Rotates the data key of an organization: adds a version, then encrypts the records of earlier versions with it, in pages, while
 * others read and write. The revisions of the records stay the same. Its state is a record, so that the next run goes on with
 * what a killed process left.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { Caller } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { LoadedRow, RecordWrite } from '../../../store/store.ts';
import { newEntry } from '../../audit/entry.ts';
import type { VaultDependencies } from '../../dependencies.ts';
import { retryOnConflict } from '../../records/conflict_retry.ts';
import { loadedRecord } from '../../records/record_codec.ts';
import type { KeyVersions } from '../key_versions.ts';
import { RotationStates } from './rotation_states.ts';

/** So that a transaction stays short: each record costs about 50 microseconds. */
const RECORDS_AT_ONCE = 100;
/** Other processes may write with an earlier version until they have read a row or an entry of the new one. */
const PASSES_MAX = 3;

export interface DataRotationReport {
  readonly key_version: number;
  /** Encrypted again by this run. */
  readonly records: number;
  /** Whether this run went on with a rotation that had begun before. */
  readonly resumed: boolean;
}

type Parts = Pick<VaultDependencies, 'store' | 'keys' | 'records' | 'audit_log' | 'random' | 'now'>;

export class DataRotation {
  readonly #parts: Parts;
  readonly #states: RotationStates;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#states = new RotationStates(parts);
  }

  /** `progress`: gets the number of records that were encrypted again. */
  async run(
    caller: Caller,
    keyring: KeyVersions,
    progress: (records: number) => void,
  ): Promise<DataRotationReport> {
    const { version, resumed } = await retryOnConflict(() => this.#begin(caller, keyring));
    let records = 0;
    for (let pass = 1; pass <= PASSES_MAX; pass++) {
      const before = records;
      for await (const resealed of this.#resealAll(keyring, version)) {
        records += resealed;
        progress(records);
      }
      if (records === before) break;
    }
    await retryOnConflict(() => this.#finish(caller, keyring, version, records));
    keyring.oldest_record_version = await this.#states.oldestRecordVersion(keyring);
    return { key_version: version, records, resumed };
  }

  /** Goes on with the rotation that has begun, or begins one. */
  async #begin(caller: Caller, keyring: KeyVersions): Promise<{ version: number; resumed: boolean }> {
    const { store, keys, audit_log, random, now } = this.#parts;
    const known = await this.#states.find(keyring);
    if (known !== undefined && !known.meta.is_done) return { version: known.meta.version, resumed: true };
    const { keys: wrapped, root_key_id, next } = await keys.nextDataKey(keyring, random);
    const version = next.key_version;
    const entry = newEntry(caller, 'rotate_data_key', now(), {});
    await store.commit({
      keys: wrapped,
      root_key_id,
      writes: [this.#states.put(next, known, { version, is_done: false, records: 0 })],
      audit: [audit_log.append(next, entry)],
    });
    await keys.refresh();
    return { version, resumed: false };
  }

  async *#resealAll(keyring: KeyVersions, version: number): AsyncGenerator<number> {
    const { store } = this.#parts;
    let after: string | undefined;
    do {
      const page = await store.recordsBelowVersion(keyring.id, version, RECORDS_AT_ONCE, after);
      const reads = page.records.map(({ id }) => ({ id, values: true }));
      if (reads.length > 0) yield await store.change(reads, (rows) => this.#reseal(keyring, version, rows));
      after = page.next;
      await yieldToEventLoop();
    } while (after !== undefined);
  }

  /** Decides on the rows as the transaction finds them: one that was written or deleted meanwhile is left alone. */
  #reseal(keyring: KeyVersions, version: number, rows: readonly (LoadedRow | undefined)[]) {
    const writes: RecordWrite[] = [];
    for (const loaded of rows) {
      if (loaded === undefined || loaded.row.key_version >= version) continue;
      const resealed = this.#tryReseal(keyring, loaded);
      if (resealed !== undefined)
        writes.push({ do: 'put', expected_revision: loaded.row.revision, ...resealed });
    }
    return { batch: { writes, audit: [] }, result: writes.length };
  }

  /** `undefined` for a damaged record, which the audit verification reports, and one of another organization. */
  #tryReseal(keyring: KeyVersions, loaded: LoadedRow) {
    try {
      return this.#parts.records.reseal(keyring, loadedRecord(loaded));
    } catch (error) {
      if (error instanceof VaultError && error.code === 'CORRUPT') return undefined;
      throw error;
    }
  }

  async #finish(caller: Caller, keyring: KeyVersions, version: number, records: number): Promise<void> {
    const { store, audit_log, now } = this.#parts;
    const known = await this.#states.find(keyring);
    // Another process has finished it, or has begun the next one.
    if (known === undefined || known.meta.is_done || known.meta.version !== version) return;
    const total = known.meta.records + records;
    const entry = newEntry(caller, 'reencrypt_records', now(), { count: records });
    await store.commit({
      writes: [this.#states.put(keyring, known, { version, is_done: true, records: total })],
      audit: [audit_log.append(keyring, entry)],
    });
  }
}
