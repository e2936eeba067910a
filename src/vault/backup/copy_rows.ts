/** Copies all rows of a store, and makes the rows of two stores equal. Compares bytes and opens none. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import type { CopiedRecord, RowReader, StoredHead, WrappedKey } from '../../store/store.ts';
import { type StoreReceiver, TRANSFER_PAGE_BYTES, TRANSFER_PAGE_ROWS } from '../../store/transfer.ts';

/** Called with the number of rows that were copied since the last call. */
export type OnRows = (rows: number) => void;

/** Copies the rows that come after the last ones of the target: all, or the rest after a run that was killed. */
export async function copyRows(from: RowReader, to: StoreReceiver, onRows: OnRows): Promise<void> {
  for await (const keys of keyPages(from)) {
    await to.write({ keys });
    onRows(keys.length);
  }
  const { last_seq } = await to.counts();
  for await (const records of recordPages(from, last_seq)) {
    await to.write({ records });
    onRows(records.length);
  }
  await copyEntries(from, to, onRows);
}

/** Appends the entries that the target does not have. Rejects with CONFLICT if it has others than the source. */
export async function copyEntries(from: RowReader, to: StoreReceiver, onRows: OnRows): Promise<void> {
  const reached = headsByOrganization(await to.heads());
  for (const { organization } of await from.heads()) {
    const head = reached.get(organization.toString('hex'));
    if (head !== undefined && !(await hasEntry(from, head))) throw divergedError();
    let next = (head?.position ?? 0) + 1;
    for (;;) {
      const entries = await from.entries(organization, next);
      const last = entries.at(-1);
      if (last === undefined) break;
      await to.write({ entries: { organization, entries } });
      next = last.position + 1;
      onRows(entries.length);
      await yieldToEventLoop();
    }
  }
}

/** Whether the chain has this entry, at this position. */
export async function hasEntry(
  rows: RowReader,
  { organization, position, link }: StoredHead,
): Promise<boolean> {
  const [entry] = await rows.entries(organization, position);
  return entry?.position === position && entry.link.equals(link);
}

export async function hasEntries(rows: RowReader, heads: readonly StoredHead[]): Promise<boolean> {
  for (const head of heads) if (!(await hasEntry(rows, head))) return false;
  return true;
}

export function headsByOrganization(heads: readonly StoredHead[]): Map<string, StoredHead> {
  return new Map(heads.map((head) => [head.organization.toString('hex'), head]));
}

/**
 * Makes the keys and records of the target equal to those of the source. Returns how many differed. Without `writes` it only
 * counts.
 */
export async function equalizeRows(from: RowReader, to: StoreReceiver, writes: boolean): Promise<number> {
  let differences = 0;
  const sizeOfKey = ({ wrapped }: WrappedKey) => wrapped.length;
  const keys = new PendingWrites(sizeOfKey, async (changed, removed) => {
    differences += changed.length + removed.length;
    if (writes) await to.write({ removed_keys: removed, keys: changed });
  });
  await merge(rowsOf(keyPages(from)), rowsOf(keyPages(to)), compareKeys, isSameKey, keys);
  const sizeOf = ({ sealed_meta, sealed_values }: CopiedRecord) => sealed_meta.length + sealed_values.length;
  const records = new PendingWrites(sizeOf, async (changed, removed) => {
    differences += changed.length + removed.length;
    if (writes) await to.write({ removed_records: removed.map(({ seq }) => seq), records: changed });
  });
  const bySeq = (a: CopiedRecord, b: CopiedRecord) => a.seq - b.seq;
  await merge(rowsOf(recordPages(from)), rowsOf(recordPages(to)), bySeq, isSameRecord, records);
  return differences;
}

export async function* keyPages(rows: RowReader): AsyncGenerator<readonly WrappedKey[], void> {
  let page = await rows.keys(undefined);
  while (page.length > 0) {
    yield page;
    page = await rows.keys(page.at(-1));
  }
}

export async function* recordPages(
  rows: RowReader,
  after = 0,
): AsyncGenerator<readonly CopiedRecord[], void> {
  let page = await rows.records(after);
  while (page.length > 0) {
    yield page;
    await yieldToEventLoop();
    page = await rows.records(page.at(-1)?.seq ?? 0);
  }
}

async function* rowsOf<Row>(pages: AsyncIterable<readonly Row[]>): AsyncGenerator<Row, void> {
  for await (const page of pages) yield* page;
}

/** Goes through two sorted sequences at once. */
async function merge<Row>(
  from: AsyncGenerator<Row, void>,
  to: AsyncGenerator<Row, void>,
  compare: (a: Row, b: Row) => number,
  isSame: (a: Row, b: Row) => boolean,
  found: PendingWrites<Row>,
): Promise<void> {
  let wanted = await from.next();
  let present = await to.next();
  while (!wanted.done || !present.done) {
    const order = wanted.done ? 1 : present.done ? -1 : compare(wanted.value, present.value);
    if (!present.done && order > 0) await found.remove(present.value);
    const is_same = order === 0 && !wanted.done && !present.done && isSame(wanted.value, present.value);
    if (!wanted.done && order <= 0 && !is_same) await found.change(wanted.value);
    if (order <= 0) wanted = await from.next();
    if (order >= 0) present = await to.next();
  }
  await found.flush();
}

/** Differences that are written together, as many as fit into a page. */
class PendingWrites<Row> {
  readonly #sizeOf: (row: Row) => number;
  readonly #write: (changed: readonly Row[], removed: readonly Row[]) => Promise<void>;
  #changed: Row[] = [];
  #removed: Row[] = [];
  #bytes = 0;

  constructor(
    sizeOf: (row: Row) => number,
    write: (changed: readonly Row[], removed: readonly Row[]) => Promise<void>,
  ) {
    this.#sizeOf = sizeOf;
    this.#write = write;
  }

  async change(row: Row): Promise<void> {
    this.#changed.push(row);
    this.#bytes += this.#sizeOf(row);
    await this.#flushFull();
  }

  async remove(row: Row): Promise<void> {
    this.#removed.push(row);
    await this.#flushFull();
  }

  async flush(): Promise<void> {
    const [changed, removed] = [this.#changed, this.#removed];
    this.#changed = [];
    this.#removed = [];
    this.#bytes = 0;
    if (changed.length + removed.length > 0) await this.#write(changed, removed);
  }

  async #flushFull(): Promise<void> {
    const rows = this.#changed.length + this.#removed.length;
    if (rows >= TRANSFER_PAGE_ROWS || this.#bytes >= TRANSFER_PAGE_BYTES) await this.flush();
  }
}

function compareKeys(a: WrappedKey, b: WrappedKey): number {
  return Buffer.compare(a.owner, b.owner) || a.version - b.version;
}

function isSameKey(a: WrappedKey, b: WrappedKey): boolean {
  return a.wrapped.equals(b.wrapped);
}

function isSameRecord(a: CopiedRecord, b: CopiedRecord): boolean {
  return (
    a.kind === b.kind &&
    a.revision === b.revision &&
    a.key_version === b.key_version &&
    a.id.equals(b.id) &&
    a.scope.equals(b.scope) &&
    a.index.equals(b.index) &&
    a.organization.equals(b.organization) &&
    a.sealed_meta.equals(b.sealed_meta) &&
    a.sealed_values.equals(b.sealed_values)
  );
}

function divergedError(): VaultError {
  return new VaultError(
    'CONFLICT',
    'The target has audit entries that the vault does not have, so it is not a copy of it. Nothing was changed. If it was left by a move, delete it with `keyhold move STORE --cancel`, then try again.',
    { reason: 'vault_newer' },
  );
}
