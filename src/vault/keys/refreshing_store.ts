/**
 * The store of an open vault. Loads the newer versions of data keys before it returns a row that needs one, and before it
 * repeats a change that another process has overtaken with a rotation, so that nothing above it waits for keys. Every record
 * is written with the newest version that this process knows, also one that was sealed before.
 */
import { VaultError } from '../../contract/errors.ts';
import type { VaultMove } from '../../store/move.ts';
import type {
  Batch,
  ChainHead,
  LoadedRow,
  Plan,
  RecordPage,
  RecordWrite,
  RowRead,
  Store,
  StoredMeta,
  StoredRecord,
  StoreHeader,
  WrappedKey,
} from '../../store/store.ts';
import { tamperedError } from '../audit/log.ts';
import type { RecordCodec } from '../records/record_codec.ts';
import type { Keyring } from './keyring.ts';

/** A rotation during each of them is unlikely. */
const ATTEMPTS_MAX = 5;

interface Versioned {
  readonly key_version: number;
}

export class RefreshingStore implements Store {
  readonly #store: Store;
  readonly #keys: Keyring;
  readonly #records: RecordCodec;
  readonly erasure: Store['erasure'];
  readonly clock?: NonNullable<Store['clock']>;

  constructor(store: Store, keys: Keyring, records: RecordCodec) {
    this.#store = store;
    this.#keys = keys;
    this.#records = records;
    this.erasure = store.erasure;
    if (store.clock !== undefined) this.clock = store.clock.bind(store);
  }

  async find(index: Buffer): Promise<StoredMeta | undefined> {
    const row = await this.#store.find(index);
    return row !== undefined && this.#isNewer(row) ? this.#known(row) : row;
  }

  async findById(id: Buffer): Promise<StoredMeta | undefined> {
    const row = await this.#store.findById(id);
    return row !== undefined && this.#isNewer(row) ? this.#known(row) : row;
  }

  async get(id: Buffer): Promise<StoredRecord | undefined> {
    const row = await this.#store.get(id);
    return row !== undefined && this.#isNewer(row) ? this.#known(row) : row;
  }

  async getMany(ids: readonly Buffer[]): Promise<readonly (StoredRecord | undefined)[]> {
    const rows = await this.#store.getMany(ids);
    return rows.some((row) => row !== undefined && this.#isNewer(row)) ? this.#known(rows) : rows;
  }

  async list(scope: Buffer, limit: number, after?: string) {
    const page = await this.#store.list(scope, limit, after);
    return page.records.some((row) => this.#isNewer(row)) ? this.#known(page) : page;
  }

  async recordsBelowVersion(
    organization: Buffer,
    version: number,
    limit: number,
    after?: string,
  ): Promise<RecordPage> {
    const page = await this.#store.recordsBelowVersion(organization, version, limit, after);
    return page.records.some((row) => this.#isNewer(row)) ? this.#known(page) : page;
  }

  async auditHead(organization: Buffer): Promise<ChainHead | undefined> {
    const head = await this.#store.auditHead(organization);
    return head !== undefined && this.#isNewer(head) ? this.#known(head) : head;
  }

  async auditEntries(organization: Buffer, from_position: number, limit: number) {
    const entries = await this.#store.auditEntries(organization, from_position, limit);
    return entries.some((entry) => this.#isNewer(entry)) ? this.#known(entries) : entries;
  }

  commit(batch: Batch): Promise<void> {
    return this.change([], () => ({ batch, result: undefined }), batch.audit[0]?.organization);
  }

  async change<Result>(
    reads: readonly RowRead[],
    plan: Plan<Result>,
    organization?: Buffer,
  ): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      // A row or a head whose version does not exist was tampered with: the plan then fails to decrypt it.
      const has_all = attempt === ATTEMPTS_MAX;
      const planOnKnown: Plan<Result> = (rows: readonly (LoadedRow | undefined)[]) => {
        if (!has_all && rows.some((loaded) => loaded !== undefined && this.#isNewer(loaded.row)))
          throw new VaultError('CONFLICT', 'A key was rotated.', { reason: 'key_rotated' });
        const { batch, result } = plan(rows);
        return { batch: { ...batch, writes: batch.writes.map((write) => this.#resealed(write)) }, result };
      };
      try {
        return await this.#store.change(reads, planOnKnown, organization);
      } catch (error) {
        if (!(error instanceof VaultError) || error.reason !== 'key_rotated') throw error;
        if (has_all) throw tamperedError();
        await this.#keys.refresh();
      }
    }
  }

  /** The same record, sealed with the newest key, if it was sealed before this process knew that one. */
  #resealed(write: RecordWrite): RecordWrite {
    if (write.do !== 'put') return write;
    const { organization, row, sealed_values } = write;
    const keyring = this.#keys.loaded(organization);
    if (keyring === undefined || row.key_version >= keyring.key_version) return write;
    const sealed_by = keyring.keysOf(row.key_version);
    return { ...write, ...this.#records.reseal(keyring, { ...row, sealed_values }, sealed_by) };
  }

  #isNewer({ key_version }: Versioned): boolean {
    return key_version > this.#keys.known_version;
  }

  async #known<Rows>(rows: Rows): Promise<Rows> {
    await this.#keys.refresh();
    return rows;
  }

  snapshot() {
    return this.#store.snapshot();
  }

  move() {
    return this.#store.move();
  }

  setMove(expected: VaultMove | undefined, next: VaultMove | undefined) {
    return this.#store.setMove(expected, next);
  }

  header() {
    return this.#store.header();
  }

  create(header: StoreHeader, batch: Batch) {
    return this.#store.create(header, batch);
  }

  wrappedKey(owner: Buffer, version?: number) {
    return this.#store.wrappedKey(owner, version);
  }

  keyVersions(owner: Buffer) {
    return this.#store.keyVersions(owner);
  }

  newestKeyVersion() {
    return this.#store.newestKeyVersion();
  }

  wrappedKeys(limit: number, after?: Pick<WrappedKey, 'owner' | 'version'>) {
    return this.#store.wrappedKeys(limit, after);
  }

  usage(scope: Buffer) {
    return this.#store.usage(scope);
  }

  auditHeads() {
    return this.#store.auditHeads();
  }

  isReady() {
    return this.#store.isReady();
  }

  check() {
    return this.#store.check();
  }

  scrub() {
    return this.#store.scrub();
  }

  close() {
    return this.#store.close();
  }
}
