/** Reads that share a transaction: what they see of others, when they let go, and how changes are counted. */
import { stat } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import Driver from 'better-sqlite3';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { SqliteStore } from '../../src/store/sqlite/store.ts';
import { newStorePath, openStore, put, record, remove } from './store_kit.ts';

const NAME = 'the record';
const { index } = record(NAME, 1);

afterEach(() => {
  vi.restoreAllMocks();
});

/** A store with one record, and another connection that changes it from one statement to the next. */
async function storeAndOther() {
  const path = newStorePath();
  const store = await openStore(path);
  await store.commit({ writes: [put(NAME, 0)], audit: [] });
  const other = new Driver(path);
  const change = other.prepare('UPDATE record SET revision = revision + 1');
  return { path, store, other, change: () => change.run() };
}

const revisionIn = async (store: SqliteStore) => (await store.find(index))?.revision;

describe('reads of one turn of the event loop', () => {
  test('see one state, and in the next turn what was written by then', async () => {
    const { store, change } = await storeAndOther();
    await turn();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    expect(await revisionIn(store)).toBe(1);
    // The second is the first that shares.
    expect(await revisionIn(store)).toBe(1);
    change();
    expect(await revisionIn(store)).toBe(1);
    await turn();
    expect(await revisionIn(store)).toBe(2);
  });

  test('share from the first on where the turn before had several', async () => {
    const { store, change } = await storeAndOther();
    await turn();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    for (let read = 0; read < 2; read++) expect(await revisionIn(store)).toBe(1);
    await turn();
    expect(await revisionIn(store)).toBe(1);
    change();
    expect(await revisionIn(store)).toBe(1);
    // This turn had one read that shared, and another; the next one has one, after which none is expected.
    await turn();
    expect(await revisionIn(store)).toBe(2);
    await turn();
    expect(await revisionIn(store)).toBe(2);
    change();
    expect(await revisionIn(store)).toBe(3);
  });

  test('are not those of the turn before, which may have gone on until the next poll', async () => {
    const { path, store, change } = await storeAndOther();
    await turn();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    // Here the turn's polling is over: what is let go at its end is let go after the next poll.
    expect(await revisionIn(store)).toBe(1);
    expect(await revisionIn(store)).toBe(1);
    const seen = new Promise((resolve) => {
      stat(path, () => {
        resolve(revisionIn(store));
      });
    });
    change();
    // Until the answer waits to be polled.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    expect(await seen).toBe(2);
  });

  test('see what others write also where the event loop never turns', async () => {
    const { store, change } = await storeAndOther();
    expect(await revisionIn(store)).toBe(1);
    change();
    const give_up_at = performance.now() + 2_000;
    let seen: number | undefined;
    do seen = await revisionIn(store);
    while (seen === 1 && performance.now() < give_up_at);
    expect(seen).toBe(2);
  });

  test('see at once what this store writes, and what it was refused for', async () => {
    const { store, change } = await storeAndOther();
    await store.commit({ writes: [put(NAME, 1)], audit: [] });
    expect(await revisionIn(store)).toBe(2);
    store.version();
    change();
    await expect(store.commit({ writes: [put(NAME, 2)], audit: [] })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(await revisionIn(store)).toBe(3);
  });

  test('see at once what another store of this process writes', async () => {
    const { path, store } = await storeAndOther();
    const second = await openStore(path);
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    for (let revision = 1; revision < 20; revision++) {
      const before = store.version();
      expect(await revisionIn(store)).toBe(revision);
      await second.commit({ writes: [put(NAME, revision)], audit: [] });
      expect(await revisionIn(store)).toBe(revision + 1);
      expect(store.version()).not.toBe(before);
    }
  });

  test('hold nothing when the turn is over: another may empty the log', async () => {
    const { store, other } = await storeAndOther();
    store.version();
    await revisionIn(store);
    await revisionIn(store);
    await turn();
    expect(other.pragma('wal_checkpoint(TRUNCATE)')).toEqual([{ busy: 0, log: 0, checkpointed: 0 }]);
  });

  test('see what others write from one read to the next where Node.js does not count its turns', async () => {
    vi.spyOn(performance.nodeTiming, 'uvMetricsInfo', 'get').mockReturnValue(undefined as never);
    const { store, change } = await storeAndOther();
    for (let revision = 1; revision < 20; revision++) {
      expect(await revisionIn(store)).toBe(revision);
      const before = store.version();
      expect(store.version()).toBe(before);
      change();
      expect(store.version()).not.toBe(before);
    }
  });
});

describe('the version of a store', () => {
  test('is another after each change by others, and the same as long as there is none', async () => {
    const { store, change } = await storeAndOther();
    const seen = new Set<number>();
    const next = async () => {
      await turn();
      const version = store.version();
      expect(seen).not.toContain(version);
      seen.add(version);
      await revisionIn(store);
      await turn();
      expect(store.version()).toBe(version);
    };
    await next();
    change();
    await next();
    change();
    change();
    await next();
  });

  test('stays the same for what this store itself writes, of which it tells', async () => {
    const { store } = await storeAndOther();
    const told: Buffer[] = [];
    store.onWritten((id) => told.push(id));
    const before = store.version();
    const { id } = record(NAME, 1);
    const check = { do: 'check', expected_revision: 2, id } as const;
    await store.commit({ writes: [put(NAME, 1)], audit: [] });
    expect(told).toEqual([id]);
    await store.commit({ writes: [check], audit: [] });
    expect(told).toEqual([id]);
    await store.commit({ writes: [check, put('another', 0)], audit: [] });
    await store.commit({ writes: [remove(NAME, 2)], audit: [] });
    expect(told).toEqual([id, record('another', 1).id, id]);
    await turn();
    expect(store.version()).toBe(before);
  });

  test('has told of what was written by the time that anybody can read it, and of nothing that was refused', async () => {
    const { store } = await storeAndOther();
    const revisions: (number | undefined)[] = [];
    const told: Buffer[] = [];
    store.onWritten((id) => told.push(id));
    const { id } = record(NAME, 1);
    const outcomes = await Promise.allSettled([
      store.commit({ writes: [put(NAME, 1)], audit: [] }),
      store.commit({ writes: [put(NAME, 1)], audit: [] }),
      store.commit({ writes: [remove('nobody', 1)], audit: [] }),
      store.commit({ writes: [put('another', 0)], audit: [] }).then(async () => {
        revisions.push(await revisionIn(store), told.length);
      }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(told).toEqual([id, record('another', 1).id]);
    expect(revisions).toEqual([2, 2]);
  });

  test('is never older than the reads that share its transaction', async () => {
    const { store, change } = await storeAndOther();
    for (let revision = 2; revision < 50; revision++) {
      await turn();
      const before = store.version();
      await turn();
      change();
      // Two reads, the second of which begins to share; only then is the version asked for.
      await store.find(index);
      expect((await store.find(index))?.revision).toBe(revision);
      expect(store.version()).not.toBe(before);
    }
  });
});

describe('a row that is asked for', () => {
  test('stands as long as nothing of it is other than it was', async () => {
    const { store, other } = await storeAndOther();
    const row = await store.find(index);
    if (row === undefined) throw new Error('no row');
    expect(await store.stands(row)).toBe(true);
    for (const column of ['id', 'scope', 'index', 'sealed_meta'] as const) {
      const bytes = Buffer.from(row[column]);
      bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
      expect([column, await store.stands({ ...row, [column]: bytes })]).toEqual([column, false]);
    }
    for (const different of [{ kind: 'other' }, { revision: 2 }, { key_version: 2 }])
      expect([different, await store.stands({ ...row, ...different })]).toEqual([different, false]);
    other.exec('DELETE FROM record');
    await turn();
    expect(await store.stands(row)).toBe(false);
  });
});
