/** The row cache: `find` returns the same object while a row is unchanged, and never a row that is not current. */
import Driver from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { RowCache } from '../../src/store/row_cache.ts';
import type { Store } from '../../src/store/store.ts';
import { ENGINES, openOn } from './engines.ts';
import { newStorePath, openStore, put, record, remove } from './store_kit.ts';

const indexOf = (index: string) => record(index, 1).index;

/** Finds a row as often as it takes to be cached and verified. */
async function findCached(store: Store, index: string) {
  for (let time = 0; time < 2; time++) await store.find(indexOf(index));
  return store.find(indexOf(index));
}

describe.each(ENGINES)('find on $name', (engine) => {
  test('returns the same object until its store writes or deletes the row, whatever else it writes', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('one', 0), put('two', 0)], audit: [] });
    const one = await findCached(store, 'one');
    const two = await findCached(store, 'two');
    expect(await store.find(indexOf('one'))).toBe(one);
    await store.commit({ writes: [put('one', 1)], audit: [] });
    expect(await store.find(indexOf('one'))).toMatchObject({ revision: 2 });
    expect(await store.find(indexOf('two'))).toBe(two);
    await store.commit({ writes: [remove('two', 1)], audit: [] });
    expect(await store.find(indexOf('two'))).toBeUndefined();
  });

  test('returns the object that an update wrote to a row that was cached', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('one', 0)], audit: [] });
    await findCached(store, 'one');
    const update = put('one', 1);
    await store.commit({ writes: [update], audit: [] });
    expect(update).toMatchObject({ row: await store.find(indexOf('one')) });
    expect(await store.find(indexOf('one'))).toBe(await store.findById(record('one', 1).id));
  });

  test('finds by id the object that it finds by index', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('one', 0)], audit: [] });
    await store.findById(record('one', 1).id);
    const row = await store.findById(record('one', 1).id);
    expect(await store.find(indexOf('one'))).toBe(row);
    const loaded = await store.change([{ index: indexOf('one') }], ([found]) => ({
      batch: { writes: [], audit: [] },
      result: found?.row,
    }));
    expect(loaded).toBe(row);
  });

  test('finds a row that moves by its new index only', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('one', 0)], audit: [] });
    await findCached(store, 'one');
    await store.commit({ writes: [put('one', 1, { index: 'elsewhere' })], audit: [] });
    expect(await findCached(store, 'one')).toBeUndefined();
    expect(await findCached(store, 'elsewhere')).toMatchObject({ revision: 2 });
    await store.commit({ writes: [put('one', 2, { index: 'elsewhere' })], audit: [] });
    expect(await store.find(indexOf('elsewhere'))).toMatchObject({ revision: 3 });
  });

  test('returns another record that was created with the index of a deleted one', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('one', 0, { index: 'shared' })], audit: [] });
    await findCached(store, 'shared');
    await store.commit({ writes: [remove('one', 1)], audit: [] });
    await store.commit({ writes: [put('two', 0, { index: 'shared' })], audit: [] });
    expect(await findCached(store, 'shared')).toMatchObject({ id: record('two', 1).id });
    await store.commit({ writes: [put('one', 0)], audit: [] });
    expect(await findCached(store, 'one')).toMatchObject({ id: record('one', 1).id });
    expect(await store.find(indexOf('shared'))).toMatchObject({ id: record('two', 1).id });
  });

  test('does not keep a row that is not committed', async () => {
    const store = await openOn(engine);
    await store.commit({ writes: [put('one', 0)], audit: [] });
    const before = await findCached(store, 'one');
    const failing = store.commit({ writes: [put('one', 1), remove('missing', 1)], audit: [] });
    await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await store.find(indexOf('one'))).toBe(before);
  });
});

describe('find on SQLite', () => {
  test('keeps a row when it is read for the second time', async () => {
    const store = await openStore();
    await store.commit({ writes: [put('one', 0)], audit: [] });
    const [first, second, third] = [0, 1, 2].map(() => store.find(indexOf('one')));
    expect(await second).not.toBe(await first);
    expect(await third).toBe(await second);
  });

  test('returns the row as another process has left it, whichever column that changed', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await store.commit({ writes: [put('one', 0)], audit: [] });
    const other = new Driver(path);
    const changes = [
      "kind = 'other'",
      "scope = x'00'",
      'revision = 2',
      'key_version = 2',
      "sealed_meta = x'00'",
    ];
    for (const change of changes) {
      const before = await findCached(store, 'one');
      other.exec(`UPDATE record SET ${change}`);
      // A read snapshot lasts up to 1 ms.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
      const after = await store.find(indexOf('one'));
      expect([change, after]).not.toEqual([change, before]);
    }
    other.exec('DELETE FROM record');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    expect(await store.find(indexOf('one'))).toBeUndefined();
    other.close();
  });
});

describe('a full row cache', () => {
  test('is cleared and can be filled again', () => {
    const cache = new RowCache(() => 1);
    const row = (name: string) => record(name, 1);
    const count = 20_000;
    for (let at = 0; at < count; at++) cache.add(row(`record ${at}`));
    expect(cache.byIndex(row('record 0').index)).toBeUndefined();
    expect(cache.byIndex(row(`record ${count - 1}`).index)?.row).toEqual(row(`record ${count - 1}`));
    cache.add(row('record 0'));
    expect(cache.byId(row('record 0').id)?.row).toEqual(row('record 0'));
  });
});
