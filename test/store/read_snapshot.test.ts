/** Read snapshots: what reads of one event-loop iteration see, when a snapshot ends, and how changes are counted. */
import { stat } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setImmediate as nextIteration } from 'node:timers/promises';
import Driver from 'better-sqlite3';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ReadSnapshot } from '../../src/store/sqlite/read_snapshot.ts';
import type { SqliteStore } from '../../src/store/sqlite/store.ts';
import { newStorePath, openStore, put, record } from './store_kit.ts';

const NAME = 'the record';
const { index, id } = record(NAME, 1);

afterEach(() => {
  vi.restoreAllMocks();
});

/** A store with one record, and another connection that changes it. */
async function storeAndOther() {
  const path = newStorePath();
  const store = await openStore(path);
  await store.commit({ writes: [put(NAME, 0)], audit: [] });
  const other = new Driver(path);
  const change = other.prepare('UPDATE record SET revision = revision + 1');
  return { path, store, other, change: () => change.run() };
}

const revisionIn = async (store: SqliteStore) => (await store.find(index))?.revision;

describe('reads of one event-loop iteration', () => {
  test('see one state, and those of the next iteration see later writes', async () => {
    const { store, change } = await storeAndOther();
    await nextIteration();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    expect(await revisionIn(store)).toBe(1);
    // The second read opens the snapshot.
    expect(await revisionIn(store)).toBe(1);
    change();
    expect(await revisionIn(store)).toBe(1);
    await nextIteration();
    expect(await revisionIn(store)).toBe(2);
  });

  test('share a snapshot from the first on if the iteration before had several', async () => {
    const { store, change } = await storeAndOther();
    await nextIteration();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    for (let read = 0; read < 2; read++) expect(await revisionIn(store)).toBe(1);
    await nextIteration();
    expect(await revisionIn(store)).toBe(1);
    change();
    expect(await revisionIn(store)).toBe(1);
    // This iteration had two reads; the next one has one, after which one is expected.
    await nextIteration();
    expect(await revisionIn(store)).toBe(2);
    await nextIteration();
    expect(await revisionIn(store)).toBe(2);
    change();
    expect(await revisionIn(store)).toBe(3);
  });

  test('do not use the snapshot of the iteration before, even if it ends after the next poll', async () => {
    const { path, store, change } = await storeAndOther();
    await nextIteration();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    // The poll phase of this iteration is over: its setImmediate callbacks run after the next poll.
    expect(await revisionIn(store)).toBe(1);
    expect(await revisionIn(store)).toBe(1);
    const seen = new Promise((resolve) => {
      stat(path, () => {
        resolve(revisionIn(store));
      });
    });
    change();
    // Until the result of stat waits to be polled.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    expect(await seen).toBe(2);
  });

  test('see what others write even if the event loop never runs', async () => {
    const { store, change } = await storeAndOther();
    expect(await revisionIn(store)).toBe(1);
    change();
    const give_up_at = performance.now() + 2_000;
    let seen: number | undefined;
    do seen = await revisionIn(store);
    while (seen === 1 && performance.now() < give_up_at);
    expect(seen).toBe(2);
  });

  test('see at once what this store writes, and what its write conflicts with', async () => {
    const { store, change } = await storeAndOther();
    await store.commit({ writes: [put(NAME, 1)], audit: [] });
    expect(await revisionIn(store)).toBe(2);
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
      expect(await revisionIn(store)).toBe(revision);
      await second.commit({ writes: [put(NAME, revision)], audit: [] });
      expect(await revisionIn(store)).toBe(revision + 1);
    }
  });

  test('hold no lock after the iteration: another process can truncate the log', async () => {
    const { store, other } = await storeAndOther();
    await revisionIn(store);
    await revisionIn(store);
    await nextIteration();
    expect(other.pragma('wal_checkpoint(TRUNCATE)')).toEqual([{ busy: 0, log: 0, checkpointed: 0 }]);
  });

  test('see what others write from one read to the next if Node.js does not count its iterations', async () => {
    vi.spyOn(performance.nodeTiming, 'uvMetricsInfo', 'get').mockReturnValue(undefined as never);
    const { store, change } = await storeAndOther();
    for (let revision = 1; revision < 20; revision++) {
      expect(await revisionIn(store)).toBe(revision);
      change();
    }
  });
});

describe('the change counter', () => {
  /** A separate connection with a snapshot, and another connection that changes the file. */
  async function snapshotAndOther() {
    const { path, change, store } = await storeAndOther();
    const database = new Driver(path);
    onTestFinished(() => {
      database.close();
    });
    const snapshot = new ReadSnapshot(database);
    const readCounter = () => {
      snapshot.enter();
      return snapshot.changeCounter();
    };
    return { store, change, snapshot, readCounter };
  }

  test('differs after each change by another connection, and only then', async () => {
    const { change, snapshot, readCounter } = await snapshotAndOther();
    const seen = new Set<number>();
    const readNext = async () => {
      await nextIteration();
      const counter = readCounter();
      expect(seen).not.toContain(counter);
      seen.add(counter);
      await nextIteration();
      expect(readCounter()).toBe(counter);
      snapshot.end();
    };
    await readNext();
    change();
    await readNext();
    change();
    change();
    await readNext();
  });

  test('differs at once after another store of this process has written', async () => {
    const { store, snapshot, readCounter } = await snapshotAndOther();
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    for (let revision = 1; revision < 20; revision++) {
      const before = readCounter();
      readCounter();
      await store.commit({ writes: [put(NAME, revision)], audit: [] });
      expect(readCounter()).not.toBe(before);
    }
    snapshot.end();
  });

  test('differs from one read to the next if Node.js does not count its iterations', async () => {
    vi.spyOn(performance.nodeTiming, 'uvMetricsInfo', 'get').mockReturnValue(undefined as never);
    const { change, readCounter } = await snapshotAndOther();
    for (let time = 1; time < 20; time++) {
      const before = readCounter();
      expect(readCounter()).toBe(before);
      change();
      expect(readCounter()).not.toBe(before);
    }
  });

  test('is never older than the reads of its snapshot', async () => {
    const { store, change } = await storeAndOther();
    for (let revision = 2; revision < 50; revision++) {
      await nextIteration();
      await store.find(index);
      await nextIteration();
      change();
      // The second read opens a snapshot; only then does the cache compare the counter.
      await store.get(id);
      expect((await store.get(id))?.revision).toBe(revision);
      expect((await store.find(index))?.revision).toBe(revision);
    }
  });
});
