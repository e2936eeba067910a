/** Wrapped keys in a store: pages of all of them, versions, the replacement of the root key, and records of earlier versions. */
import { describe, expect, test } from 'vitest';
import type { WrappedKey } from '../../src/store/store.ts';
import { ENGINES, openOn, type StoreEngine } from './engines.ts';
import { bytesOf, entry, HEADER, put, readChain, record } from './store_kit.ts';

const CONFLICT = { code: 'CONFLICT', reason: undefined };
const ORGANIZATION = bytesOf('organization');

function key(owner: string, version = 1, wrapped = `${owner} ${version}`): WrappedKey {
  return { owner: bytesOf(owner), version, wrapped: Buffer.from(wrapped) };
}

/** In the order of the store. */
function sorted(keys: readonly WrappedKey[]): readonly WrappedKey[] {
  return keys.toSorted((a, b) => Buffer.compare(a.owner, b.owner) || a.version - b.version);
}

async function storeWith(engine: StoreEngine, keys: readonly WrappedKey[], location?: string) {
  const store = await openOn(engine, location);
  for (const one of keys) await store.commit({ keys: [one], writes: [], audit: [] });
  return store;
}

const NEW_HEADER = { ...HEADER, root_key_id: Buffer.alloc(16, 9), root_key_source: 'env' };

/** The change of the root key from that of the kit, with every key wrapped again. */
function change(keys: readonly WrappedKey[], expected_root_key_id = HEADER.root_key_id) {
  const wrapped = keys.map((one) => ({ ...one, wrapped: Buffer.from(`new ${one.wrapped.toString()}`) }));
  return { expected_root_key_id, header: NEW_HEADER, keys: wrapped };
}

describe.each(ENGINES)('wrapped keys, on $name', (engine) => {
  test('are returned in pages, each key once', async () => {
    const keys = [...Array.from({ length: 7 }, (_, at) => key(`owner ${at}`)), key('owner 3', 2)];
    const store = await storeWith(engine, keys);
    const found: WrappedKey[] = [];
    for (
      let page = await store.wrappedKeys(3);
      page.length > 0;
      page = await store.wrappedKeys(3, found.at(-1))
    )
      found.push(...page);
    expect(found).toEqual(sorted(keys));
    expect(await store.newestKeyVersion()).toBe(2);
  });

  test('of a later version must be newer than every version in the vault', async () => {
    const store = await storeWith(engine, [key('a'), key('b'), key('a', 5)]);
    for (const version of [2, 5])
      await expect(store.commit({ keys: [key('b', version)], writes: [], audit: [] })).rejects.toMatchObject(
        CONFLICT,
      );
    await store.commit({ keys: [key('b', 6), key('c', 6), key('d')], writes: [], audit: [] });
    expect(await store.newestKeyVersion()).toBe(6);
  });

  test('that another root key wrapped are refused', async () => {
    const store = await storeWith(engine, []);
    const add = (root_key_id: Buffer) =>
      store.commit({ keys: [key('a')], root_key_id, writes: [], audit: [] });
    await expect(add(Buffer.alloc(16, 2))).rejects.toMatchObject(CONFLICT);
    expect(await store.wrappedKey(bytesOf('a'))).toBeUndefined();
    await add(HEADER.root_key_id);
    expect(await store.wrappedKey(bytesOf('a'))).toEqual(key('a'));
  });
});

describe.each(ENGINES)('the root key of a store, on $name', (engine) => {
  test('is replaced with every wrapped key and an audit entry in one transaction', async () => {
    const keys = [key('a'), key('b'), key('a', 2)];
    const path = await engine.create();
    const store = await storeWith(engine, keys, path);
    await store.commit({ writes: [], audit: [entry('o', 'first')], root_key: change(keys) });
    const other = await openOn(engine, path);
    for (const one of [store, other]) {
      expect(await one.header()).toEqual(NEW_HEADER);
      expect(await one.wrappedKeys(10)).toEqual(sorted(change(keys).keys));
      expect(await readChain(one, 'o')).toEqual(['first']);
    }
  });

  test('is unchanged if it is not the expected one, or a key was added, is missing or has another version', async () => {
    const keys = [key('a'), key('b')];
    const store = await storeWith(engine, keys);
    const wrong = [
      change(keys, Buffer.alloc(16, 3)),
      change([key('a')]),
      change([...keys, key('c')]),
      change([key('a'), key('c')]),
      change([key('a'), key('b', 2)]),
    ];
    for (const root_key of wrong)
      await expect(store.commit({ writes: [], audit: [entry('o', 'x')], root_key })).rejects.toMatchObject(
        CONFLICT,
      );
    expect(await store.header()).toEqual(HEADER);
    expect(await store.wrappedKeys(10)).toEqual(sorted(keys));
    expect(await readChain(store, 'o')).toEqual([]);
  });
});

describe.each(ENGINES)('records below a key version, on $name', (engine) => {
  const at = (name: string, key_version: number, organization = ORGANIZATION) => {
    const { sealed_values, ...row } = record(name, 1);
    return {
      do: 'put',
      expected_revision: 0,
      organization,
      row: { ...row, key_version },
      sealed_values,
    } as const;
  };

  test('are returned in pages, without those of other organizations', async () => {
    const store = await storeWith(engine, []);
    const names = Array.from({ length: 10 }, (_, number) => `r${number}`);
    await store.commit({
      writes: names.map((name, number) => at(name, number % 2 === 0 ? 1 : 4)),
      audit: [],
    });
    await store.commit({ writes: [at('other', 1, bytesOf('other'))], audit: [] });
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await store.recordsBelowVersion(ORGANIZATION, 4, 3, after);
      found.push(...page.records.map(({ id }) => id.toString('hex')));
      for (const one of page.records) expect(one.sealed_values.toString()).toMatch(/^values of r/);
      after = page.next;
    } while (after !== undefined);
    const old = names.filter((_, number) => number % 2 === 0);
    expect(found).toEqual(old.map((name) => record(name, 1).id.toString('hex')));
  });
});

describe.each(ENGINES)('an audit entry, on $name', (engine) => {
  const under = (key_version: number, text: string) => ({ ...entry('o', text), key_version });
  const ROTATED = { code: 'CONFLICT', reason: 'key_rotated' };

  test('with an earlier key version than the head is refused, whichever process wrote the head', async () => {
    const path = await engine.create();
    const [store, other] = [await openOn(engine, path), await openOn(engine, path)];
    const append = (one: typeof store, version: number, text: string) =>
      one.commit({ writes: [put(text, 0)], audit: [under(version, text)] });
    await append(store, 1, 'a');
    await append(other, 1, 'b');
    await append(store, 3, 'c');
    for (const one of [store, other]) await expect(append(one, 2, 'd')).rejects.toMatchObject(ROTATED);
    await append(other, 3, 'e');
    expect(await readChain(store, 'o')).toEqual(['a', 'b', 'c', 'e']);
    expect(await store.get(record('d', 1).id)).toBeUndefined();
  });

  test('is refused in the transaction of the entry with the later version', async () => {
    const store = await openOn(engine);
    const both = [under(3, 'new'), under(2, 'old')].map((one) => store.commit({ writes: [], audit: [one] }));
    const [first, second] = await Promise.allSettled(both);
    expect([first?.status, second]).toMatchObject(['fulfilled', { reason: ROTATED }]);
    expect(await readChain(store, 'o')).toEqual(['new']);
  });
});
