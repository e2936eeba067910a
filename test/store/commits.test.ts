/** `commit`: all of a batch is written or nothing, alone and together with other batches. */
import { spawnSync } from 'node:child_process';
import { renameSync, symlinkSync, unlinkSync } from 'node:fs';
import Driver from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import {
  COMMITS_PER_TRANSACTION_MAX,
  PENDING_COMMITS_MAX,
  STORE_BUSY_TIMEOUT_MS,
} from '../../src/contract/limits.ts';
import type { AuditAppend, Batch } from '../../src/store/store.ts';
import { IS_SLOW } from '../kit/run_size.ts';
import { ENGINES, openOn } from './engines.ts';
import {
  bytesOf,
  entry,
  newStorePath,
  none,
  openStore,
  put,
  readChain,
  record,
  remove,
} from './store_kit.ts';

/** The error of an append that rejects its chain. */
const BROKEN = { code: 'CORRUPT', reason: 'audit_broken', message: 'on purpose' };
const CONFLICT = {
  code: 'CONFLICT',
  reason: null,
  message: expect.stringMatching(/Your change was not made; try again/),
};

async function outcomes(commits: readonly Promise<void>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(commits);
  return settled.map((one) => {
    if (one.status === 'fulfilled') return 'done';
    const { reason: error } = one;
    if (!(error instanceof VaultError)) return error;
    return { code: error.code, reason: error.reason ?? null, message: error.message };
  });
}

/** An append that fails at one of its two steps. */
function failing(organization: string, step: 'checkHead' | 'sealEntry', error: Error): AuditAppend {
  const fail = () => {
    throw error;
  };
  return { ...entry(organization, 'never'), [step]: fail };
}

describe.each(ENGINES)('commit of a batch that fails, on $name', (engine) => {
  const conflicting: readonly (readonly [string, Batch['writes']])[] = [
    ['creating a record that exists', [put('a', 0)]],
    ['updating an old revision', [put('a', 1)]],
    ['updating a future revision', [put('a', 3)]],
    ['updating a missing record', [put('missing', 1)]],
    ['deleting an old revision', [remove('a', 1)]],
    ['deleting a missing record', [remove('missing', 1)]],
    ['creating a record with the index of another', [put('c', 0, { index: 'b' })]],
    ['moving a record to the index of another', [put('a', 2, { index: 'b' })]],
    ['creating two records with one index', [put('c', 0, { index: 'new' }), put('d', 0, { index: 'new' })]],
    ['a valid write before a conflicting one', [put('b', 1), put('a', 1)]],
    ['a valid write after a conflicting one', [put('a', 1), put('b', 1)]],
    ['a deletion before a conflicting write', [remove('b', 1), put('a', 1)]],
    ['requiring an empty scope that has a record left', [remove('a', 2), none('scope')]],
    ['requiring an empty scope before its last record is deleted', [none('scope'), remove('a', 2)]],
  ];

  test.each(conflicting)('%s rejects with CONFLICT and writes nothing', async (_, writes) => {
    const store = await openOn(engine);
    const made = [put('a', 0), put('b', 0)];
    await store.commit({ writes: made, audit: [entry('o', 'made')] });
    await store.commit({ writes: [put('a', 1)], audit: [entry('o', 'changed')] });

    // Alone in its transaction, and together with others that go through.
    const bad = { writes, audit: [entry('o', 'bad')] };
    expect(await outcomes([store.commit(bad)])).toEqual([CONFLICT]);
    const good = (name: string) => ({ writes: [put(name, 0)], audit: [entry('o', name)] });
    const group = [good('good 1'), bad, good('good 2'), bad, good('good 3')];
    expect(await outcomes(group.map((batch) => store.commit(batch)))).toEqual([
      'done',
      CONFLICT,
      'done',
      CONFLICT,
      'done',
    ]);

    expect(await store.get(record('a', 2).id)).toMatchObject(record('a', 2));
    expect(await store.get(record('b', 1).id)).toMatchObject(record('b', 1));
    for (const name of ['c', 'd', 'missing']) expect(await store.get(record(name, 1).id)).toBeUndefined();
    for (const name of ['good 1', 'good 2', 'good 3'])
      expect(await store.get(record(name, 1).id)).toBeDefined();
    expect(await readChain(store, 'o')).toEqual(['made', 'changed', 'good 1', 'good 2', 'good 3']);
    expect((await store.list(bytesOf('scope'), 100)).records).toHaveLength(5);
  });

  test('succeeds with check_none once all records of the scope are deleted', async () => {
    const store = await openOn(engine);
    const scoped = { scope: 'small' };
    await store.commit({ writes: [put('a', 0, scoped), put('b', 0, scoped), put('c', 0)], audit: [] });
    const removal = { writes: [remove('a', 1), remove('b', 1), none('small'), none('empty')], audit: [] };
    const later = { writes: [put('d', 0, scoped)], audit: [] };
    // In one transaction with the commit after it.
    expect(await outcomes([store.commit(removal), store.commit(later)])).toEqual(['done', 'done']);
    expect((await store.list(bytesOf('small'), 100)).records).toHaveLength(1);
    expect(await outcomes([store.commit({ writes: [none('small')], audit: [] })])).toEqual([CONFLICT]);
  });

  test('fails alone in its transaction if an audit entry cannot be sealed', async () => {
    const store = await openOn(engine);
    const error = new VaultError('CORRUPT', 'on purpose', { reason: 'audit_broken' });
    const bad = { writes: [put('bad', 0)], audit: [entry('o', 'half'), failing('p', 'sealEntry', error)] };
    const good = (name: string) => ({ writes: [put(name, 0)], audit: [entry('o', name), entry('p', name)] });
    // First at the start of the chains, then in the middle of them.
    for (const round of ['first', 'second']) {
      expect(await outcomes([store.commit(bad)])).toEqual([BROKEN]);
      const group = [bad, good(`${round} 1`), bad, good(`${round} 2`), bad];
      const results = await outcomes(group.map((batch) => store.commit(batch)));
      expect(results).toEqual([BROKEN, 'done', BROKEN, 'done', BROKEN]);
    }
    const texts = ['first 1', 'first 2', 'second 1', 'second 2'];
    expect(await readChain(store, 'o')).toEqual(texts);
    expect(await readChain(store, 'p')).toEqual(texts);
    expect(await store.get(record('bad', 1).id)).toBeUndefined();
  });

  test('fails alone in its transaction if an audit entry rejects the chain head', async () => {
    const path = await engine.create();
    await (await openOn(engine, path)).commit({
      writes: [],
      audit: [entry('o', 'made'), entry('p', 'made')],
    });
    const store = await openOn(engine, path);
    const error = new VaultError('CORRUPT', 'on purpose', { reason: 'audit_broken' });
    const bad = { writes: [put('bad', 0)], audit: [entry('o', 'half'), failing('p', 'checkHead', error)] };
    const good = { writes: [put('good', 0)], audit: [entry('o', 'good'), entry('p', 'good')] };
    expect(await outcomes([store.commit(bad), store.commit(good)])).toEqual([BROKEN, 'done']);
    expect(await readChain(store, 'o')).toEqual(['made', 'good']);
    expect(await readChain(store, 'p')).toEqual(['made', 'good']);
    expect(await store.get(record('bad', 1).id)).toBeUndefined();
  });

  test('adding a key that exists rejects with CONFLICT and writes nothing', async () => {
    const store = await openOn(engine);
    const key = (wrapped: string) => ({ owner: bytesOf('owner'), version: 1, wrapped: Buffer.from(wrapped) });
    await store.commit({ keys: [key('first')], writes: [], audit: [entry('o', 'first')] });
    const second = { keys: [key('second')], writes: [put('a', 0)], audit: [entry('o', 'second')] };
    expect(await outcomes([store.commit(second)])).toEqual([CONFLICT]);
    expect(await store.wrappedKey(bytesOf('owner'))).toEqual(key('first'));
    expect(await store.get(record('a', 1).id)).toBeUndefined();
    expect(await readChain(store, 'o')).toEqual(['first']);
  });
});

describe.each(ENGINES)('commits that are pending together, on $name', (engine) => {
  test('are executed in order: each can build on the one before', async () => {
    const store = await openOn(engine);
    const batches = Array.from({ length: 50 }, (_, revision) => ({
      writes: [put('a', revision)],
      audit: [entry('o', `${revision + 1}`)],
    }));
    expect(await outcomes(batches.map((batch) => store.commit(batch)))).toEqual(batches.map(() => 'done'));
    expect(await store.get(record('a', 50).id)).toMatchObject(record('a', 50));
    expect(await readChain(store, 'o')).toEqual(Array.from({ length: 50 }, (_, at) => `${at + 1}`));
  });

  test('of many organizations extend one chain each, also if a batch has entries of several', async () => {
    const path = await engine.create();
    const store = await openOn(engine, path);
    const organizations = Array.from({ length: 40 }, (_, at) => `organization ${at}`);
    for (const round of ['1', '2']) {
      const group = organizations.flatMap((name, at) => [
        { writes: [], audit: [entry(name, `${round}a`)] },
        {
          writes: [],
          audit: [entry(name, `${round}b`), entry(organizations[(at + 1) % 40] ?? '', `${round}c`)],
        },
      ]);
      expect(new Set(await outcomes(group.map((batch) => store.commit(batch))))).toEqual(new Set(['done']));
    }
    for (const name of organizations) {
      const texts = await readChain(store, name);
      expect(texts).toHaveLength(6);
      expect([...texts].sort()).toEqual(['1a', '1b', '1c', '2a', '2b', '2c']);
      // Only the last entry of each chain has a head MAC.
      const entries = await store.auditEntries(bytesOf(name), 1, 100);
      const with_mac = entries.filter(({ head_mac }) => head_mac.some((byte) => byte !== 0));
      expect(with_mac.map(({ position }) => position)).toEqual([6]);
    }
  });

  test('through two alternating connections extend one chain', async () => {
    const path = await engine.create();
    const stores = [await openOn(engine, path), await openOn(engine, path)];
    const expected: string[] = [];
    for (let round = 0; round < 20; round++) {
      const store = stores[round % 3 === 0 ? 0 : 1] ?? stores[0];
      await Promise.all(
        [1, 2].map((at) => store?.commit({ writes: [], audit: [entry('o', `${round}.${at}`)] })),
      );
      expected.push(`${round}.1`, `${round}.2`);
    }
    for (const store of stores) expect(await readChain(store, 'o')).toEqual(expected);
  });

  test('beyond the limit are rejected at once, and the accepted ones are written', {
    timeout: 120_000,
  }, async () => {
    const store = await openOn(engine);
    const over = 5;
    const commits = Array.from({ length: PENDING_COMMITS_MAX + over }, (_, at) =>
      store.commit({ writes: [put(`${at}`, 0)], audit: [] }),
    );
    const results = await outcomes(commits);
    expect(results.slice(PENDING_COMMITS_MAX)).toEqual(
      Array.from({ length: over }, () => ({
        code: 'UNAVAILABLE',
        reason: 'busy',
        message: expect.stringMatching(/Nothing was changed/),
      })),
    );
    expect(results.slice(0, PENDING_COMMITS_MAX).filter((outcome) => outcome !== 'done')).toEqual([]);
    expect(await store.get(record(`${PENDING_COMMITS_MAX - 1}`, 1).id)).toBeDefined();
    expect(await store.get(record(`${PENDING_COMMITS_MAX}`, 1).id)).toBeUndefined();
    // The queue is empty again.
    await store.commit({ writes: [put(`${PENDING_COMMITS_MAX}`, 0)], audit: [] });
  });
});

describe('a database that another process has locked', () => {
  test('delays a write until the lock is released', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    const other = new Driver(path);
    other.exec('BEGIN IMMEDIATE');
    let done = false;
    const commit = store.commit({ writes: [put('a', 0)], audit: [entry('o', 'a')] }).then(() => {
      done = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(done).toBe(false);
    // The event loop was not blocked, and reads work.
    expect(await store.get(record('a', 1).id)).toBeUndefined();
    other.exec('COMMIT');
    other.close();
    await commit;
    expect(await store.get(record('a', 1).id)).toBeDefined();
  });

  test.skipIf(!IS_SLOW)('for too long makes a write fail with reason busy', { timeout: 60_000 }, async () => {
    const path = newStorePath();
    const store = await openStore(path);
    const other = new Driver(path);
    other.exec('BEGIN IMMEDIATE');
    expect(await outcomes([store.commit({ writes: [put('a', 0)], audit: [] })])).toEqual([
      { code: 'UNAVAILABLE', reason: 'busy', message: expect.stringMatching(/Try again/) },
    ]);
    other.close();
    await store.commit({ writes: [put('a', 0)], audit: [] });
  });

  test.skipIf(!IS_SLOW)('limits the wait of each write on its own', { timeout: 60_000 }, async () => {
    const path = newStorePath();
    const store = await openStore(path);
    const other = new Driver(path);
    other.exec('BEGIN IMMEDIATE');
    const began_ms = performance.now();
    // More than fit into two transactions.
    const names = Array.from({ length: 2 * COMMITS_PER_TRANSACTION_MAX + 1 }, (_, at) => `${at}`);
    const early = outcomes(names.map((name) => store.commit({ writes: [put(name, 0)], audit: [] })));
    await new Promise((resolve) => setTimeout(resolve, STORE_BUSY_TIMEOUT_MS - 1_000));
    const late = outcomes([store.commit({ writes: [put('late', 0)], audit: [] })]);
    expect(await early).toEqual(names.map(() => expect.objectContaining({ reason: 'busy' })));
    expect(performance.now() - began_ms).toBeLessThan(STORE_BUSY_TIMEOUT_MS + 1_000);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    other.close();
    expect(await late).toEqual(['done']);
  });
});

test('a write beyond the size limit of the process fails with reason disk_full, and a later one succeeds', async ({
  skip,
}) => {
  const store = await openStore();
  const limit = (size: string) =>
    spawnSync('prlimit', [`--pid=${process.pid}`, `--fsize=${size}:unlimited`]).status === 0;
  // As `ulimit -f` sets it. Only on Linux, and the limit must not be fixed by somebody else.
  if (!limit('unlimited')) return skip();
  let failed: unknown[];
  limit('4096');
  try {
    failed = await outcomes([store.commit({ writes: [put('a', 0)], audit: [] })]);
  } finally {
    limit('unlimited');
  }
  expect(failed).toEqual([
    { code: 'UNAVAILABLE', reason: 'disk_full', message: expect.stringContaining('ulimit -f') },
  ]);
  await store.commit({ writes: [put('a', 0)], audit: [] });
});

describe.each(ENGINES)('close, on $name', (engine) => {
  test('finishes accepted commits and rejects later ones', async () => {
    const path = await engine.create();
    const store = await openOn(engine, path);
    const accepted = Array.from({ length: 300 }, (_, at) =>
      store.commit({ writes: [put(`${at}`, 0)], audit: [entry('o', `${at}`)] }),
    );
    const closing = store.close();
    const late = store.commit({ writes: [put('late', 0)], audit: [] });
    expect(await outcomes([late])).toEqual([
      { code: 'UNAVAILABLE', reason: null, message: 'The vault was closed. Open it again.' },
    ]);
    expect(new Set(await outcomes(accepted))).toEqual(new Set(['done']));
    await closing;
    await store.close();

    const again = await openOn(engine, path);
    expect(await readChain(again, 'o')).toHaveLength(300);
    expect(await again.get(record('late', 1).id)).toBeUndefined();
  });

  test('makes reads reject with advice to open the vault again', async () => {
    const store = await openOn(engine);
    await store.close();
    for (const read of [
      () => store.get(bytesOf('a')),
      () => store.find(bytesOf('a')),
      () => store.header(),
    ]) {
      await expect(read()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(/closed/),
      });
    }
  });

  test('waits for a commit that is in progress', async () => {
    const path = await engine.create();
    const store = await openOn(engine, path);
    const commit = store.commit({ writes: [put('a', 0)], audit: [] });
    await store.close();
    await commit;
    expect(await (await openOn(engine, path)).get(record('a', 1).id)).toBeDefined();
  });
});

test('a commit that cannot check the path of the file leaves no transaction open', async () => {
  const path = newStorePath();
  const [store, other] = [await openStore(path), await openStore(path)];
  await store.commit({ writes: [put('a', 0)], audit: [] });
  // A symbolic link to itself: stat fails with ELOOP.
  renameSync(path, `${path}.moved`);
  symlinkSync(path, path);
  await expect(store.commit({ writes: [put('b', 0)], audit: [] })).rejects.toThrow(VaultError);
  unlinkSync(path);
  renameSync(`${path}.moved`, path);
  expect(await outcomes([other.commit({ writes: [put('c', 0)], audit: [] })])).toEqual(['done']);
  expect(await outcomes([store.commit({ writes: [put('d', 0)], audit: [] })])).toEqual(['done']);
  expect(await store.get(record('b', 1).id)).toBeUndefined();
});
