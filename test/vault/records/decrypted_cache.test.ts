/** The cache of decrypted records never returns a record that has changed. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { SqliteStore } from '../../../src/store/sqlite/store.ts';
import { DecryptedCache } from '../../../src/vault/records/decrypted_cache.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';
import { openStore, put, record, remove } from '../../store/store_kit.ts';

/** Caches the row at `index` under `key`, with its sealed metadata as content. */
async function rememberIn(store: SqliteStore, opened: DecryptedCache<string>, key: string, index: string) {
  const row = await store.find(record(index, 1).index);
  if (row === undefined) throw new Error(`there is nothing at ${index}`);
  // The cache admits a record on its second access.
  for (let times = 0; times < 2; times++) opened.remember(key, row, row.sealed_meta.toString());
}

async function contentIn(opened: DecryptedCache<string>, key: string): Promise<string | undefined> {
  return (await opened.get(key))?.content;
}

describe('a cached record', () => {
  test('a cached record is returned until the store writes or deletes that record', async () => {
    const store = await openStore();
    const opened = new DecryptedCache<string>(store, 8);
    await store.commit({ writes: [put('one', 0), put('two', 0)], audit: [] });
    await rememberIn(store, opened, '1', 'one');
    await rememberIn(store, opened, '2', 'two');
    await store.commit({ writes: [put('one', 1)], audit: [] });
    expect(await contentIn(opened, '1')).toBe(undefined);
    expect(await contentIn(opened, '2')).toBe('meta of two, revision 1');
    await store.commit({ writes: [remove('two', 1)], audit: [] });
    expect(await contentIn(opened, '2')).toBe(undefined);
  });

  test('a cached record written during its lookup is not returned to the next reader', async () => {
    const store = await openStore();
    await store.commit({ writes: [put('one', 0)], audit: [] });
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const slow: Pick<SqliteStore, 'version' | 'onWritten' | 'stands'> = {
      version: () => store.version(),
      onWritten: (told) => store.onWritten(told),
      stands: async (row) => {
        const stood = await store.stands(row);
        await held;
        return stood;
      },
    };
    const opened = new DecryptedCache<string>(slow, 8);
    await rememberIn(store, opened, '1', 'one');
    const looking = contentIn(opened, '1');
    await store.commit({ writes: [put('one', 1)], audit: [] });
    go();
    // It was valid when the lookup began.
    expect(await looking).toBe('meta of one, revision 1');
    expect(await contentIn(opened, '1')).toBe(undefined);
  });

  test('a moved record is cached under its new key only', async () => {
    const store = await openStore();
    const opened = new DecryptedCache<string>(store, 8);
    await store.commit({ writes: [put('one', 0)], audit: [] });
    await rememberIn(store, opened, 'old', 'one');
    await store.commit({ writes: [put('one', 1, { index: 'elsewhere' })], audit: [] });
    await rememberIn(store, opened, 'new', 'elsewhere');
    expect(await contentIn(opened, 'old')).toBe(undefined);
    expect(await contentIn(opened, 'new')).toBe('meta of one, revision 2');
    await store.commit({ writes: [put('one', 2, { index: 'elsewhere' })], audit: [] });
    expect(await contentIn(opened, 'new')).toBe(undefined);
  });

  test('a record moved away does not invalidate the record now at its index', async () => {
    const store = await openStore();
    const opened = new DecryptedCache<string>(store, 8);
    await store.commit({ writes: [put('one', 0, { index: 'place' })], audit: [] });
    await rememberIn(store, opened, 'place', 'place');
    await store.commit({ writes: [remove('one', 1)], audit: [] });
    await store.commit({ writes: [put('two', 0, { index: 'place' })], audit: [] });
    await rememberIn(store, opened, 'place', 'place');
    await store.commit({ writes: [put('one', 0)], audit: [] });
    await rememberIn(store, opened, 'elsewhere', 'one');
    expect(await contentIn(opened, 'place')).toBe('meta of two, revision 1');
    expect(await contentIn(opened, 'elsewhere')).toBe('meta of one, revision 1');
  });

  test('the cache is emptied when it is full, and each record can be cached again', async () => {
    const store = await openStore();
    const opened = new DecryptedCache<string>(store, 3);
    const names = Array.from({ length: 20 }, (_, at) => `record ${at}`);
    await store.commit({ writes: names.map((name) => put(name, 0)), audit: [] });
    for (const name of names) {
      await rememberIn(store, opened, name, name);
      expect(await contentIn(opened, name)).toBe(`meta of ${name}, revision 1`);
    }
    const known = await Promise.all(names.map((name) => opened.get(name)));
    expect(known.filter((one) => one !== undefined).length).toBeLessThanOrEqual(3);
  });
});

test('the vault subscribes to changes of the store once, not for each operation', async () => {
  const { vault, caller } = await openTestVault();
  const asked = vi.spyOn(SqliteStore.prototype, 'onWritten');
  onTestFinished(() => asked.mockRestore());
  const everything = async (round: number) => {
    for (const user of [`ana-${round}`, `ben-${round}`]) {
      const { key } = await vault.api_keys.create(caller(), { user });
      const theirs = await vault.api_keys.authenticate(key, 'rest', 'request');
      await vault.stacks.addService(theirs, 'default', 'linear', null);
      const place = { service_id: 'linear' };
      await vault.update(theirs, { ...place, credentials: { linear_api_key: 'lin_api_0123456789' } });
      for (let times = 0; times < 3; times++) await vault.status(theirs, place);
    }
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  };
  await everything(1);
  await everything(2);
  const times = asked.mock.calls.length;
  expect(times).toBeGreaterThan(0);
  await everything(3);
  await everything(4);
  expect(asked.mock.calls.length).toBe(times);
});
