/** `change`: rows are loaded, planned on and written in one transaction, alone and together with other changes. */
import Driver from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Batch, Store } from '../../src/store/store.ts';
import { ENGINES, openOn } from './engines.ts';
import { bytesOf, entry, openStore, put, readChain, record } from './store_kit.ts';

const readOf = (name: string) => ({ index: record(name, 1).index });
const storedRevision = async (store: Store, name: string) =>
  (await store.find(record(name, 1).index))?.revision ?? 0;

/** Writes the next revision of a record, whichever that is, and resolves with it. */
function writeNext(store: Store, name: string, onPlan: (revision: number) => void = () => undefined) {
  return store.change([readOf(name)], ([loaded]) => {
    const revision = loaded?.row.revision ?? 0;
    onPlan(revision);
    const batch: Batch = { writes: [put(name, revision)], audit: [entry('o', `${name} ${revision + 1}`)] };
    return { batch, result: revision + 1 };
  });
}

/** Makes reads of this index fail as SQLite does after some I/O errors: it ends the transaction. */
function failReads(index: Buffer): void {
  const database = new Driver(':memory:');
  const statements: { get: (this: { database: Driver.Database }, ...of: unknown[]) => unknown } =
    Object.getPrototypeOf(database.prepare('SELECT 1'));
  database.close();
  const genuine = statements.get;
  statements.get = function (...of) {
    if (!(of[0] instanceof Buffer && of[0].equals(index))) return genuine.apply(this, of);
    this.database.exec('ROLLBACK');
    throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });
  };
  onTestFinished(() => {
    statements.get = genuine;
  });
}

describe.each(ENGINES)('change on $name', (engine) => {
  test('sees what earlier changes of the same transaction wrote', async () => {
    const store = await openOn(engine);
    const revisions = await Promise.all(Array.from({ length: 100 }, () => writeNext(store, 'one')));
    expect(revisions).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
    expect(await readChain(store, 'o')).toHaveLength(100);
  });

  test('with a plan that throws changes nothing and does not disturb the others', async () => {
    const store = await openOn(engine);
    const planned: number[] = [];
    const failing = store.change([], () => {
      throw new RangeError('no');
    });
    const others = [
      writeNext(store, 'one', (revision) => planned.push(revision)),
      writeNext(store, 'one', (revision) => planned.push(revision)),
    ];
    await expect(failing).rejects.toThrow(RangeError);
    expect(await Promise.all(others)).toEqual([1, 2]);
    // Once more if the head of the chain had to be loaded.
    expect(planned.slice(-2)).toEqual([0, 1]);
  });

  test('is planned again if another write of its transaction fails', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('there', 0)], audit: [] });
    const seen: number[] = [];
    const failing = store.commit({ writes: [put('one', 0), put('there', 0)], audit: [entry('o', 'never')] });
    const succeeding = writeNext(store, 'one', (revision) => seen.push(revision));
    await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await succeeding).toBe(1);
    expect(seen.at(-1)).toBe(0);
    expect(await storedRevision(store, 'one')).toBe(1);
    expect(await readChain(store, 'o')).toEqual(['one 1']);
  });

  test('with a slow plan lets others of its group use a later transaction', async () => {
    const path = await engine.create();
    await openOn(engine, path);
    const groups: number[] = [];
    const store = await openOn(engine, path, (batches) => groups.push(batches));
    const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6);
    const revisions = await Promise.all(Array.from({ length: 6 }, () => writeNext(store, 'one', wait)));
    expect(revisions).toEqual([1, 2, 3, 4, 5, 6]);
    expect(groups.reduce((sum, group) => sum + group)).toBe(6);
    expect(Math.max(...groups)).toBeLessThanOrEqual(2);
  });

  test('loads rows by index and by id, with and without values, as another process has written them', async () => {
    const path = await engine.create();
    const store = await openOn(engine, path);
    const other = await openOn(engine, path);
    await writeNext(other, 'one');
    const { sealed_values, ...row } = record('one', 1);
    const { index, id } = row;
    const reads = [{ index }, { id }, { index, values: true }, { id, values: true }, readOf('missing')];
    const loaded = await store.change(reads, (rows) => ({
      batch: { writes: [], audit: [] },
      result: [...rows],
    }));
    const without_values = { row, sealed_values: undefined };
    const with_values = { row, sealed_values };
    expect(loaded).toEqual([without_values, without_values, with_values, with_values, undefined]);
    expect(await store.find(bytesOf('nothing'))).toBeUndefined();
  });
});

describe('change on SQLite', () => {
  test('leaves nothing half written if loading its rows ends the transaction', async () => {
    const store = await openStore();
    await writeNext(store, 'before');
    failReads(readOf('failing').index);
    const first = writeNext(store, 'first');
    const second = writeNext(store, 'second', () => undefined);
    const failing = store.change([readOf('failing')], () => ({
      batch: { writes: [], audit: [] },
      result: undefined,
    }));
    const third = writeNext(store, 'third');
    await expect(failing).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const outcomes = await Promise.allSettled([first, second, third]);
    const names = ['first', 'second', 'third'];
    for (const [at, name] of names.entries()) {
      const is_done = outcomes[at]?.status === 'fulfilled';
      expect([name, await storedRevision(store, name)]).toEqual([name, is_done ? 1 : 0]);
    }
    const done = names.filter((_, at) => outcomes[at]?.status === 'fulfilled');
    expect(await readChain(store, 'o')).toEqual(['before 1', ...done.map((name) => `${name} 1`)]);
    expect(await writeNext(store, 'after')).toBe(1);
  });
});
