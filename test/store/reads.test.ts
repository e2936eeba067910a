/** Reads of the SQLite store: header, keys, lists, audit entries, checks, and the removal of replaced data. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import Driver from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { inspectSqliteFile } from '../../src/store/sqlite/file/vault_file.ts';
import type { SqliteStore } from '../../src/store/sqlite/store.ts';
import type { Store } from '../../src/store/store.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { ENGINES, openOn } from './engines.ts';
import { bytesOf, entry, newStorePath, openStore, put, record, remove } from './store_kit.ts';

async function storeNamed(store: Store, names: readonly string[], scope = 'scope'): Promise<void> {
  await Promise.all(names.map((name) => store.commit({ writes: [put(name, 0, { scope })], audit: [] })));
}

/** The whole list, in pages of `limit`. */
async function pages(store: Store, scope: string, limit: number): Promise<string[][]> {
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

describe.each(ENGINES)('the vault in a store, on $name', (engine) => {
  test('is missing in an empty file and is created once, by the first of two stores', async () => {
    const path = await engine.create();
    const [one, other] = [await openOn(engine, path), await openOn(engine, path)];
    const second = {
      root_key_id: Buffer.alloc(16, 2),
      root_key_source: 'env',
      passphrase_salt: Buffer.alloc(16),
      root_key_ref: undefined,
      root_key_sealed: undefined,
      created_at: '2026-01-02T00:00:00.000Z',
    };
    expect(await other.create(second, { writes: [], audit: [entry('o', 'second')] })).toBe(false);
    expect(await other.auditHead(bytesOf('o'))).toBeUndefined();
    for (const store of [one, other]) {
      expect(await store.header()).toMatchObject({ root_key_source: 'file', passphrase_salt: undefined });
    }
  });

  test('keeps every version of a key, and wrappedKey returns the newest', async () => {
    const store = await openOn(engine);
    const key = (version: number) => ({
      owner: bytesOf('owner'),
      version,
      wrapped: Buffer.from(`key ${version}`),
    });
    expect(await store.wrappedKey(bytesOf('owner'))).toBeUndefined();
    for (const version of [1, 2, 3]) await store.commit({ keys: [key(version)], writes: [], audit: [] });
    expect(await store.wrappedKey(bytesOf('owner'))).toEqual(key(3));
    expect(await store.wrappedKey(bytesOf('owner'), 1)).toEqual(key(1));
    expect(await store.wrappedKey(bytesOf('owner'), 4)).toBeUndefined();
    expect(await store.wrappedKey(bytesOf('unknown'))).toBeUndefined();
    expect(await store.keyVersions(bytesOf('owner'))).toEqual([1, 2, 3].map(key));
    expect(await store.keyVersions(bytesOf('unknown'))).toEqual([]);
  });
});

describe.each(ENGINES)('a list, on $name', (engine) => {
  test('of an empty scope has no records and no next page', async () => {
    const store = await openOn(engine);
    expect(await store.list(bytesOf('scope'), 100)).toEqual({ records: [], next: undefined });
  });

  test('returns the newest first, page by page, each record once, and none of another scope', async () => {
    const store = await openOn(engine);
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

  test('keeps its order after updates, and skips no record if some are deleted between two pages', async () => {
    const store = await openOn(engine);
    await storeNamed(store, numbered(9));
    await store.commit({ writes: [put('record 0', 1)], audit: [] });
    const first = await store.list(bytesOf('scope'), 3);
    expect(first.records.map(({ id }) => id)).toEqual([8, 7, 6].map((at) => record(`record ${at}`, 1).id));
    // The last record of this page and the first of the next one.
    await store.commit({ writes: [remove('record 6', 1), remove('record 5', 1)], audit: [] });
    await storeNamed(store, ['newer']);
    const second = await store.list(bytesOf('scope'), 3, first.next);
    expect(second.records.map(({ id }) => id)).toEqual([4, 3, 2].map((at) => record(`record ${at}`, 1).id));
  });

  test('and find return no values; get and getMany do', async () => {
    const store = await openOn(engine);
    await storeNamed(store, ['a']);
    const { sealed_values: _, ...meta } = record('a', 1);
    const [listed] = (await store.list(bytesOf('scope'), 1)).records;
    expect(listed).toMatchObject(meta);
    expect(listed).not.toHaveProperty('sealed_values');
    expect(await store.find(meta.index)).toEqual(meta);
    expect(await store.get(meta.id)).toEqual(record('a', 1));
    const many = await store.getMany([bytesOf('missing'), meta.id]);
    expect(many).toEqual([undefined, record('a', 1)]);
  });
});

describe.each(ENGINES)('audit entries, on $name', (engine) => {
  test('are read from any position, up to the limit, of one organization only', async () => {
    const store = await openOn(engine);
    for (const name of ['p', 'o', 'q']) {
      await Promise.all(numbered(10).map((text) => store.commit({ writes: [], audit: [entry(name, text)] })));
    }
    const positions = async (from: number, limit: number) =>
      (await store.auditEntries(bytesOf('o'), from, limit)).map(({ position }) => position);
    expect(await positions(1, 3)).toEqual([1, 2, 3]);
    expect(await positions(8, 100)).toEqual([8, 9, 10]);
    expect(await positions(11, 100)).toEqual([]);
    expect(await store.auditHead(bytesOf('o'))).toMatchObject({ position: 10, key_version: 1 });
    expect(await store.auditHead(bytesOf('unknown'))).toBeUndefined();
    expect(await store.auditEntries(bytesOf('unknown'), 1, 10)).toEqual([]);
  });
});

describe('replaced or deleted data', () => {
  /** Bytes of the main file and the write-ahead log. Read by another process: closing a file would drop our locks. */
  function bytesOnDisk(path: string): Buffer {
    const files = [path, `${path}-wal`].filter((file) => existsSync(file));
    return execFileSync('cat', files, { maxBuffer: 1 << 26 });
  }
  const old_values = record('a', 1).sealed_values;

  async function replaceAndDelete(store: SqliteStore): Promise<void> {
    await storeNamed(store, ['a', 'b']);
    await store.commit({ writes: [put('a', 1), remove('b', 1)], audit: [] });
  }

  test('is not in the main file or the log after scrub', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await replaceAndDelete(store);
    expect(bytesOnDisk(path).includes(old_values)).toBe(true);
    await store.scrub();
    const after = bytesOnDisk(path);
    for (const removed of [old_values, record('b', 1).sealed_values])
      expect(after.includes(removed)).toBe(false);
    expect(after.includes(record('a', 2).sealed_values)).toBe(true);
  });

  test('is overwritten shortly after the last write without scrub', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await replaceAndDelete(store);
    await expect.poll(() => bytesOnDisk(path).includes(old_values), { timeout: 20_000 }).toBe(false);
    expect(await store.get(record('a', 2).id)).toEqual(record('a', 2));
  });

  test('is not on disk after close', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await replaceAndDelete(store);
    await store.close();
    expect(bytesOnDisk(path).includes(old_values)).toBe(false);
    expect(existsSync(`${path}-wal`)).toBe(false);
  });

  test('is scrubbed only after other processes have finished reading', async () => {
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

describe('check', () => {
  test('reports an undamaged file and the size of the write-ahead log', async () => {
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

describe('inspectSqliteFile', () => {
  test('distinguishes a missing, an empty and a filled file, and throws for a folder', async () => {
    const path = newStorePath();
    expect(inspectSqliteFile(`${path}-not-there`)).toBe('absent');
    expect(inspectSqliteFile(path)).toBe('empty');
    await openStore(path);
    expect(inspectSqliteFile(path)).toBe('filled');
    expect(() => inspectSqliteFile(temporaryFolder())).toThrow(VaultError);
  });
});
