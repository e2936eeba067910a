/** The PostgreSQL store while the connection breaks or the server is missing: no acknowledged write is lost, none is made twice. */
import { setImmediate as nextIteration } from 'node:timers/promises';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { openPostgres, type PostgresStore } from '../../../src/store/postgres/store.ts';
import type { Batch, RecordPut, StoredMeta } from '../../../src/store/store.ts';
import { createDatabase, NO_POSTGRESQL, type PostgresqlServer } from '../../kit/servers/postgresql.ts';
import { startTcpProxy, type TcpProxy } from '../../kit/servers/tcp_proxy.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { bytesOf, entry, HEADER, put, readChain, record, remove } from '../store_kit.ts';

interface Setup {
  readonly server: PostgresqlServer;
  readonly proxy: TcpProxy;
  readonly database: string;
  readonly store: PostgresStore;
}

const proxies: TcpProxy[] = [];
/** The values of a record. */
const BREAKING = Buffer.from('the proxy cuts connections that send this');
/** A part of each write with an audit entry. */
const INSERT_ENTRY = 'INSERT INTO keyhold.audit_entry';

afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()));
});

/** A store whose connections go through a proxy. */
async function openThroughProxy(options: { readonly outage_timeout_ms?: number } = {}): Promise<Setup> {
  const server = await sharedPostgresql();
  const database = await createDatabase(server);
  const proxy = await startTcpProxy(server.port);
  proxies.push(proxy);
  const store = openPostgres({ ...postgresOptions(proxy.port, database), ...options });
  onTestFinished(() => store.close());
  await store.create(HEADER, { writes: [], audit: [] });
  return { server, proxy, database, store };
}

const batch = (name: string, revision = 0): Batch => ({
  writes: [put(name, revision)],
  audit: [entry('o', `${name} ${revision + 1}`)],
});

/** Resolves once the database has so many audit entries. */
async function untilEntries({ server, database }: Setup, count: number): Promise<void> {
  const entries = async () =>
    (await server.query('SELECT count(*)::int AS count FROM keyhold.audit_entry', database))[0]?.count;
  await expect.poll(entries, { timeout: 10_000, interval: 20 }).toBe(count);
}

const revisionOf = async (store: PostgresStore, name: string) =>
  ((await store.find(record(name, 1).index)) as StoredMeta | undefined)?.revision ?? 0;

describe.skipIf(NO_POSTGRESQL)('a commit whose confirmation is lost', () => {
  test('resolves once the store has found it in the database, and is not made twice', async () => {
    const setup = await openThroughProxy();
    const { store, proxy } = setup;
    await store.commit(batch('a'));
    proxy.holdResponses();
    let planned = 0;
    const update = store.change([], () => {
      planned += 1;
      return { batch: batch('a', 1), result: 'updated' };
    });
    await untilEntries(setup, 2);
    proxy.cut();
    expect(await update).toBe('updated');
    expect(planned).toBe(1);
    expect(await revisionOf(store, 'a')).toBe(2);
    expect(await readChain(store, 'o')).toEqual(['a 1', 'a 2']);
    await store.commit(batch('a', 2));
    expect(await readChain(store, 'o')).toEqual(['a 1', 'a 2', 'a 3']);
  });

  test('resolves if it was the first of its chain', async () => {
    const setup = await openThroughProxy();
    const { store, proxy } = setup;
    let planned = 0;
    const first = store.change([], () => {
      planned += 1;
      // Planned again once the head of the chain was read.
      if (planned === 2) proxy.holdResponses();
      return { batch: batch('a'), result: undefined };
    });
    await untilEntries(setup, 1);
    proxy.cut();
    await first;
    expect(planned).toBe(2);
    expect(await readChain(store, 'o')).toEqual(['a 1']);
  });

  test('is made again if the database has not received it', async () => {
    const setup = await openThroughProxy();
    const { store, proxy } = setup;
    await store.commit(batch('a'));
    proxy.holdRequests();
    const update = store.commit(batch('a', 1));
    await new Promise((resolve) => setTimeout(resolve, 100));
    proxy.cut();
    await update;
    expect(await revisionOf(store, 'a')).toBe(2);
    expect(await readChain(store, 'o')).toEqual(['a 1', 'a 2']);
  });

  test.each(['before', 'after'])(
    'is made once if its bytes reach the database late, %s the store sends it again',
    async (when) => {
      const setup = await openThroughProxy();
      const { store, proxy } = setup;
      await store.commit(batch('a'));
      let is_held = false;
      proxy.onRequest((data) => {
        if (!data.includes(INSERT_ENTRY)) return;
        proxy.holdRequests();
        is_held = true;
      });
      const update = store.change([{ index: record('a', 1).index }], ([loaded]) => {
        return { batch: batch('a', loaded?.row.revision), result: undefined };
      });
      await expect.poll(() => is_held).toBe(true);
      const sendHeldBytes = proxy.cutClients();
      let is_sent_again = false;
      proxy.onRequest(async (data) => {
        if (!data.includes(INSERT_ENTRY) || is_sent_again) return;
        is_sent_again = true;
        if (when === 'before') await sendHeldBytes();
      });
      await update;
      expect(is_sent_again).toBe(true);
      if (when === 'after') await sendHeldBytes();
      await store.commit(batch('a', 2));
      expect(await readChain(store, 'o')).toEqual(['a 1', 'a 2', 'a 3']);
    },
  );

  test('without an audit entry resolves too', async () => {
    const setup = await openThroughProxy();
    const { store, proxy, server, database } = setup;
    await store.commit({ writes: [put('a', 0)], audit: [] });
    proxy.holdResponses();
    const update = store.commit({ writes: [put('a', 1)], audit: [] });
    const revision = async () =>
      (await server.query('SELECT revision::int AS revision FROM keyhold.record', database))[0]?.revision;
    await expect.poll(revision).toBe(2);
    proxy.cut();
    await update;
    expect(await revisionOf(store, 'a')).toBe(2);
  });

  test('rejects with outcome_unknown if no database can be reached in time', async () => {
    const setup = await openThroughProxy({ outage_timeout_ms: 500 });
    const { store, proxy } = setup;
    await store.commit(batch('a'));
    proxy.holdResponses();
    const update = store.commit(batch('a', 1));
    await untilEntries(setup, 2);
    proxy.refuse(true);
    proxy.cut();
    await expect(update).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'outcome_unknown',
      message: expect.stringMatching(/may or may not have been made. Check the present state/),
    });
    proxy.refuse(false);
    expect(await revisionOf(store, 'a')).toBe(2);
    await store.commit(batch('a', 2));
  });

  test('rejects with outcome_unknown only the changes that were sent', async () => {
    const setup = await openThroughProxy({ outage_timeout_ms: 500 });
    const { store, proxy } = setup;
    await store.commit(batch('a'));
    proxy.holdResponses();
    const failed = store.change([], () => {
      throw new Error('refused by the plan');
    });
    const sent = store.commit(batch('a', 1));
    await untilEntries(setup, 2);
    proxy.refuse(true);
    proxy.cut();
    const outcomes = await Promise.allSettled([sent, failed]);
    expect(outcomes).toMatchObject([
      { reason: { reason: 'outcome_unknown' } },
      { reason: { message: 'refused by the plan' } },
    ]);
  });

  test('resolves for a deletion without an audit entry', async () => {
    const { store, proxy, server, database } = await openThroughProxy();
    await store.commit({ writes: [put('a', 0)], audit: [] });
    proxy.holdResponses();
    const deletion = store.commit({ writes: [remove('a', 1)], audit: [] });
    await expect.poll(() => server.query('SELECT 1 FROM keyhold.record', database)).toEqual([]);
    proxy.cut();
    await deletion;
  });

  test('is rejected if the change breaks every connection, and delays no other change', async () => {
    const { store, proxy } = await openThroughProxy({ outage_timeout_ms: 3_000 });
    await store.commit(batch('a'));
    let cuts = 0;
    proxy.onRequest((data) => {
      if (!data.includes(BREAKING) && !data.includes(BREAKING.toString('hex'))) return;
      cuts += 1;
      proxy.cut();
    });
    const others = ['b', 'c', 'd'].map((name) => store.commit(batch(name)));
    const breaking = store
      .commit({
        writes: [{ ...put('e', 0), sealed_values: BREAKING } as RecordPut],
        audit: [entry('o', 'e')],
      })
      .catch((error: unknown) => error);
    await Promise.all(others);
    await store.commit(batch('f'));
    expect(await breaking).toMatchObject({ code: 'UNAVAILABLE', reason: 'database_unreachable' });
    expect(cuts).toBeGreaterThan(1);
    await store.commit(batch('g'));
    expect((await readChain(store, 'o')).toSorted()).toEqual(
      ['a', 'b', 'c', 'd', 'f', 'g'].map((name) => `${name} 1`),
    );
  });
});

describe.skipIf(NO_POSTGRESQL)('a store whose server is missing', () => {
  test('rejects reads and writes with database_unreachable after the time limit, and works again later', async () => {
    const { store, proxy } = await openThroughProxy({ outage_timeout_ms: 300 });
    await store.commit(batch('a'));
    proxy.refuse(true);
    proxy.cut();
    // The store notices that its connections were closed.
    await new Promise((resolve) => setTimeout(resolve, 100));
    // On a busy machine the timer may have fired before the sockets were read.
    for (let iteration = 0; iteration < 2; iteration++) await nextIteration();
    const unreachable = { code: 'UNAVAILABLE', reason: 'database_unreachable' };
    await expect(store.commit(batch('b'))).rejects.toMatchObject(unreachable);
    await expect(store.get(record('a', 1).id)).rejects.toMatchObject(unreachable);
    expect(await store.isReady()).toBe(false);
    proxy.refuse(false);
    expect(await store.isReady()).toBe(true);
    await store.commit(batch('b'));
    expect(await readChain(store, 'o')).toEqual(['a 1', 'b 1']);
  });

  test('waits for the server with its first write if it has only read before', async () => {
    const { server, database } = await openThroughProxy();
    const proxy = await startTcpProxy(server.port);
    proxies.push(proxy);
    const store = openPostgres(postgresOptions(proxy.port, database));
    onTestFinished(() => store.close());
    await store.header();
    proxy.refuse(true);
    proxy.cut();
    const write = store.commit(batch('a'));
    await new Promise((resolve) => setTimeout(resolve, 300));
    proxy.refuse(false);
    await write;
    expect(await readChain(store, 'o')).toEqual(['a 1']);
  });

  test('keeps every acknowledged write of 20 callers while the server is killed and started again', {
    timeout: 60_000,
  }, async () => {
    const { server, store } = await openThroughProxy();
    const acknowledged = new Map<string, number>();
    let is_over = false;
    const callers = Array.from({ length: 20 }, async (_, caller) => {
      for (let revision = 0; !is_over; revision++) {
        await store.change([{ index: record(`${caller}`, 1).index }], ([loaded]) => {
          if ((loaded?.row.revision ?? 0) !== revision) throw new Error('made twice, or lost');
          return { batch: batch(`${caller}`, revision), result: undefined };
        });
        acknowledged.set(`${caller}`, revision + 1);
      }
    });
    for (let kill = 0; kill < 3; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await server.restart(200);
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    is_over = true;
    await Promise.all(callers);
    let entries = 0;
    for (const [name, revision] of acknowledged) {
      expect([name, await revisionOf(store, name)]).toEqual([name, revision]);
      entries += revision;
    }
    expect(await readChain(store, 'o')).toHaveLength(entries);
  });
});

describe.skipIf(NO_POSTGRESQL)('a database that was replaced by an older copy', () => {
  /** Copies the database, makes two more writes, and gives the copy the name of the database. */
  async function replaceByOlderCopy({ server, database, store }: Setup): Promise<void> {
    const disconnect = () =>
      server.execute(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid()`,
      );
    await disconnect();
    await server.execute(`CREATE DATABASE ${database}_copy TEMPLATE ${database}`);
    await store.commit(batch('a', 1));
    await store.commit({ writes: [remove('b', 1)], audit: [entry('p', 'removed')] });
    await disconnect();
    await server.execute(`ALTER DATABASE ${database} RENAME TO ${database}_newer`);
    await server.execute(`ALTER DATABASE ${database}_copy RENAME TO ${database}`);
  }

  const ROLLED_BACK = {
    code: 'CORRUPT',
    reason: 'store_rolled_back',
    message: expect.stringMatching(/older than what it confirmed/),
  };

  test('is neither read nor written by the process whose writes it has lost', async () => {
    const setup = await openThroughProxy();
    const { store, server, database } = setup;
    await store.commit(batch('a'));
    await store.commit({ writes: [put('b', 0)], audit: [entry('p', 'b')] });
    await replaceByOlderCopy(setup);
    await expect(store.commit(batch('c'))).rejects.toMatchObject(ROLLED_BACK);
    await expect(store.find(record('b', 1).index)).rejects.toMatchObject(ROLLED_BACK);
    await expect(store.auditHead(bytesOf('o'))).rejects.toMatchObject(ROLLED_BACK);
    expect(await server.query('SELECT 1 FROM keyhold.audit_entry', database)).toHaveLength(2);
  });

  test('is accepted by a process that starts later', async () => {
    const setup = await openThroughProxy();
    await setup.store.commit(batch('a'));
    await setup.store.commit({ writes: [put('b', 0)], audit: [entry('p', 'b')] });
    await replaceByOlderCopy(setup);
    const later = openPostgres(postgresOptions(setup.server.port, setup.database));
    onTestFinished(() => later.close());
    await later.commit(batch('a', 1));
    expect(await readChain(later, 'o')).toEqual(['a 1', 'a 2']);
  });
});
