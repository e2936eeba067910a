/** Plans: what is read and written at one moment, alone and in one transaction with others. */
import Driver from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite/store.ts';
import type { Batch, StoreNow } from '../../src/store/store.ts';
import { bytesOf, entry, newStorePath, openStore, put, readChain, record } from './store_kit.ts';

const revisionIn = (stored: Pick<StoreNow, 'find'>, name: string) =>
  stored.find(record(name, 1).index)?.revision ?? 0;
const storedRevision = async (store: SqliteStore, name: string) =>
  (await store.find(record(name, 1).index))?.revision ?? 0;

/** Writes the next revision of a record, whichever that is, and resolves with it. */
function next(store: SqliteStore, name: string, seen: (revision: number) => void = () => undefined) {
  return store.change((stored) => {
    const revision = revisionIn(stored, name);
    seen(revision);
    const batch: Batch = { writes: [put(name, revision)], audit: [entry('o', `${name} ${revision + 1}`)] };
    return { batch, result: revision + 1 };
  });
}

/** What SQLite does after some failures to read: it ends the transaction. */
function failReads(when: () => boolean): void {
  const database = new Driver(':memory:');
  const statements: { get: (this: { database: Driver.Database }, ...of: unknown[]) => unknown } =
    Object.getPrototypeOf(database.prepare('SELECT 1'));
  database.close();
  const genuine = statements.get;
  statements.get = function (...of) {
    if (!when()) return genuine.apply(this, of);
    this.database.exec('ROLLBACK');
    throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });
  };
  onTestFinished(() => {
    statements.get = genuine;
  });
}

describe('a plan', () => {
  test('sees what those before it in its transaction write', async () => {
    const store = await openStore();
    const revisions = await Promise.all(Array.from({ length: 100 }, () => next(store, 'one')));
    expect(revisions).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
    expect(await readChain(store, 'o')).toHaveLength(100);
  });

  test('that throws changes nothing and stands in nobody’s way', async () => {
    const store = await openStore();
    const planned: number[] = [];
    const refused = store.change(() => {
      throw new RangeError('no');
    });
    const others = [
      next(store, 'one', (seen) => planned.push(seen)),
      next(store, 'one', (seen) => planned.push(seen)),
    ];
    await expect(refused).rejects.toThrow(RangeError);
    expect(await Promise.all(others)).toEqual([1, 2]);
    expect(planned).toEqual([0, 1]);
  });

  test('that went with a write that fails is made again, from what there is without it', async () => {
    const store = await openStore();
    await store.commit({ writes: [put('there', 0)], audit: [] });
    const seen: number[] = [];
    const failing = store.commit({ writes: [put('one', 0), put('there', 0)], audit: [entry('o', 'never')] });
    const going_on = next(store, 'one', (revision) => seen.push(revision));
    await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await going_on).toBe(1);
    expect(seen.at(-1)).toBe(0);
    expect(await storedRevision(store, 'one')).toBe(1);
    expect(await readChain(store, 'o')).toEqual(['one 1']);
  });

  test('whose read ends the transaction leaves nothing half done', async () => {
    const store = await openStore();
    await next(store, 'before');
    let fails = false;
    failReads(() => fails);
    const first = next(store, 'first');
    const second = next(store, 'second', () => undefined);
    const failing = store.change((stored) => {
      fails = true;
      try {
        revisionIn(stored, 'first');
      } finally {
        fails = false;
      }
      return { batch: { writes: [], audit: [] }, result: undefined };
    });
    const third = next(store, 'third');
    await expect(failing).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const outcomes = await Promise.allSettled([first, second, third]);
    const names = ['first', 'second', 'third'];
    for (const [at, name] of names.entries()) {
      const is_done = outcomes[at]?.status === 'fulfilled';
      expect([name, await storedRevision(store, name)]).toEqual([name, is_done ? 1 : 0]);
    }
    const done = names.filter((_, at) => outcomes[at]?.status === 'fulfilled');
    expect(await readChain(store, 'o')).toEqual(['before 1', ...done.map((name) => `${name} 1`)]);
    expect(await next(store, 'after')).toBe(1);
  });

  test('that takes its time lets others of its group go into a transaction of their own', async () => {
    const path = newStorePath();
    await openStore(path);
    const groups: number[] = [];
    const store = openSqlite(path, (batches) => groups.push(batches));
    onTestFinished(() => store.close());
    const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6);
    const revisions = await Promise.all(Array.from({ length: 6 }, () => next(store, 'one', wait)));
    expect(revisions).toEqual([1, 2, 3, 4, 5, 6]);
    expect(groups.reduce((sum, group) => sum + group)).toBe(6);
    expect(Math.max(...groups)).toBeLessThanOrEqual(2);
  });

  test('reads values too, and what another process has written by then', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    const other = await openStore(path);
    await next(other, 'one');
    const read = await store.change((stored) => ({
      batch: { writes: [], audit: [] },
      result: stored.get(record('one', 1).id)?.sealed_values.toString(),
    }));
    expect(read).toBe('values of one, revision 1');
    expect(await store.find(bytesOf('nothing'))).toBeUndefined();
  });
});
