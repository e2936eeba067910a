/** What the store gives back, page by page, and how it gets rid of what was replaced. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import Driver from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { inspectSqliteFile } from '../../src/store/sqlite/file.ts';
import type { SqliteStore } from '../../src/store/sqlite/store.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { bytesOf, entry, newStorePath, openStore, put, record, remove } from './store_kit.ts';

async function storeNamed(store: SqliteStore, names: readonly string[], scope = 'scope'): Promise<void> {
  await Promise.all(names.map((name) => store.commit({ writes: [put(name, 0, { scope })], audit: [] })));
}

/** The whole list, in pages of `limit`. */
async function pages(store: SqliteStore, scope: string, limit: number): Promise<string[][]> {
  const all: string[][] = [];
  let after: string | undefined;
  do {
    const page = await store.list(bytesOf(scope), limit, after);
    all.push(
      page.records.map(({ sealed_meta }) => sealed_meta.toString().replace(/^meta of |, revision \d+$/g, '')),
    );
    after = page.next;
  } while (after !== undefined);
  return all;
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `record ${at}`);

describe('a vault in a store', () => {
  test('is not there in an empty file, is made once, and by the first of two', async () => {
    const path = newStorePath();
    const [one, other] = [await openStore(path), await openStore(path)];
    const second = {
      root_key_id: Buffer.alloc(16, 2),
      root_key_source: 'env',
      passphrase_salt: Buffer.alloc(16),
      created_at: '2026-01-02T00:00:00.000Z',
    };
    expect(await other.create(second, { writes: [], audit: [entry('o', 'second')] })).toBe(false);
    expect(await other.auditHead(bytesOf('o'))).toBeUndefined();
    for (const store of [one, other]) {
      expect(await store.header()).toMatchObject({ root_key_source: 'file', passphrase_salt: undefined });
    }
  });

  test('keeps every version of a key and gives the newest', async () => {
    const store = await openStore();
    const key = (version: number) => ({
      owner: bytesOf('owner'),
      version,
      wrapped: Buffer.from(`key ${version}`),
    });
    expect(await store.wrappedKey(bytesOf('owner'))).toBeUndefined();
    for (const version of [1, 3, 2]) await store.commit({ keys: [key(version)], writes: [], audit: [] });
    expect(await store.wrappedKey(bytesOf('owner'))).toEqual(key(3));
    expect(await store.wrappedKey(bytesOf('owner'), 1)).toEqual(key(1));
    expect(await store.wrappedKey(bytesOf('owner'), 4)).toBeUndefined();
    expect(await store.wrappedKey(bytesOf('nobody'))).toBeUndefined();
  });
});

describe('a list', () => {
  test('is empty where nothing is, and ends without a next page', async () => {
    const store = await openStore();
    expect(await store.list(bytesOf('scope'), 100)).toEqual({ records: [], next: undefined });
  });

  test('has the newest first, page by page, each record once, and nothing of another scope', async () => {
    const store = await openStore();
    const names = numbered(25);
    await storeNamed(store, names);
    await storeNamed(store, ['elsewhere'], 'other scope');
    const newest_first = names.toReversed();
    for (const limit of [1, 7, 24, 25, 26]) {
      const all = await pages(store, 'scope', limit);
      expect(all.flat()).toEqual(newest_first);
      expect(all).toHaveLength(Math.ceil(25 / limit));
    }
    expect(await pages(store, 'other scope', 10)).toEqual([['elsewhere']]);
  });

  test('keeps its order when records change, and loses none when some are deleted between two pages', async () => {
    const store = await openStore();
    await storeNamed(store, numbered(9));
    await store.commit({ writes: [put('record 0', 1)], audit: [] });
    const first = await store.list(bytesOf('scope'), 3);
    expect(first.records.map(({ id }) => id)).toEqual([8, 7, 6].map((at) => record(`record ${at}`, 1).id));
    // The last of the page that was read, and the first of the one to come.
    await store.commit({ writes: [remove('record 6', 1), remove('record 5', 1)], audit: [] });
    await storeNamed(store, ['newer']);
    const second = await store.list(bytesOf('scope'), 3, first.next);
    expect(second.records.map(({ id }) => id)).toEqual([4, 3, 2].map((at) => record(`record ${at}`, 1).id));
  });

  test('and a look by index show no values; only a look by id does', async () => {
    const store = await openStore();
    await storeNamed(store, ['a']);
    const { sealed_values: _, ...meta } = record('a', 1);
    const [listed] = (await store.list(bytesOf('scope'), 1)).records;
    expect(listed).toMatchObject(meta);
    expect(listed).not.toHaveProperty('sealed_values');
    expect(await store.find(meta.index)).toEqual(meta);
    expect(await store.get(meta.id)).toEqual(record('a', 1));
  });
});

describe('audit entries', () => {
  test('are read from any place on, as many as asked for, of one organization only', async () => {
    const store = await openStore();
    for (const name of ['p', 'o', 'q']) {
      await Promise.all(numbered(10).map((text) => store.commit({ writes: [], audit: [entry(name, text)] })));
    }
    const positions = async (from: number, limit: number) =>
      (await store.auditEntries(bytesOf('o'), from, limit)).map(({ position }) => position);
    expect(await positions(1, 3)).toEqual([1, 2, 3]);
    expect(await positions(8, 100)).toEqual([8, 9, 10]);
    expect(await positions(11, 100)).toEqual([]);
    expect(await store.auditHead(bytesOf('o'))).toMatchObject({ position: 10, key_version: 1 });
    expect(await store.auditHead(bytesOf('nobody'))).toBeUndefined();
    expect(await store.auditEntries(bytesOf('nobody'), 1, 10)).toEqual([]);
  });
});

describe('what was replaced or deleted', () => {
  /** Bytes of the main file and the write-ahead log, read by a process of its own: this one has locks to lose. */
  function bytesOnDisk(path: string): Buffer {
    const files = [path, `${path}-wal`].filter((file) => existsSync(file));
    return execFileSync('cat', files, { maxBuffer: 1 << 26 });
  }
  const old_values = record('a', 1).sealed_values;

  async function replaceAndDelete(store: SqliteStore): Promise<void> {
    await storeNamed(store, ['a', 'b']);
    await store.commit({ writes: [put('a', 1), remove('b', 1)], audit: [] });
  }

  test('is gone from both files after a scrub', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await replaceAndDelete(store);
    expect(bytesOnDisk(path).includes(old_values)).toBe(true);
    await store.scrub();
    const after = bytesOnDisk(path);
    for (const gone of [old_values, record('b', 1).sealed_values]) expect(after.includes(gone)).toBe(false);
    expect(after.includes(record('a', 2).sealed_values)).toBe(true);
  });

  test('is gone by itself a moment after the last write', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await replaceAndDelete(store);
    await expect.poll(() => bytesOnDisk(path).includes(old_values), { timeout: 20_000 }).toBe(false);
    expect(await store.get(record('a', 2).id)).toEqual(record('a', 2));
  });

  test('is gone once the store is closed', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await replaceAndDelete(store);
    await store.close();
    expect(bytesOnDisk(path).includes(old_values)).toBe(false);
    expect(existsSync(`${path}-wal`)).toBe(false);
  });

  test('waits, when it is to be gone at once, for others to finish reading', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await storeNamed(store, ['a']);
    const reader = new Driver(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM record').get();
    await store.commit({ writes: [put('a', 1)], audit: [] });
    let done = false;
    const scrub = store.scrub().then(() => {
      done = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(done).toBe(false);
    reader.exec('COMMIT');
    reader.close();
    await scrub;
    expect(bytesOnDisk(path).includes(old_values)).toBe(false);
  });
});

describe('an examination', () => {
  test('says that every page is sound, and how much waits in the log', async () => {
    const store = await openStore();
    await storeNamed(store, numbered(10));
    const before = await store.check();
    expect(before).toMatchObject({ ok: true, detail: 'every page is sound' });
    expect(before.pending_bytes).toBeGreaterThan(0);
    await store.scrub();
    expect(await store.check()).toMatchObject({ ok: true, pending_bytes: 0 });
    expect((await store.check()).size_bytes).toBeGreaterThan(4096);
  });
});

describe('the place of a file', () => {
  test('is told apart: nothing, an empty file, a file with something in it', async () => {
    const path = newStorePath();
    expect(inspectSqliteFile(`${path}-not-there`)).toBe('absent');
    expect(inspectSqliteFile(path)).toBe('empty');
    await openStore(path);
    expect(inspectSqliteFile(path)).toBe('filled');
    expect(() => inspectSqliteFile(temporaryFolder())).toThrow(VaultError);
  });
});
