/** The connections of the PostgreSQL store: how they are opened, closed and checked, and a vault whose creation is interrupted. */
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { openPostgres, type PostgresStore } from '../../../src/store/postgres/store.ts';
import type { RecordPut } from '../../../src/store/store.ts';
import { createDatabase, NO_POSTGRESQL, type PostgresqlServer } from '../../kit/servers/postgresql.ts';
import { startTcpProxy, type TcpProxy } from '../../kit/servers/tcp_proxy.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { entry, HEADER, put, readChain, record } from '../store_kit.ts';

const EMPTY = { writes: [], audit: [] };
const LONG_VALUE = Buffer.alloc(20_000, 7);

interface Setup {
  readonly server: PostgresqlServer;
  readonly database: string;
  readonly proxy: TcpProxy;
  readonly store: PostgresStore;
}

async function openThroughProxy(outage_timeout_ms?: number): Promise<Setup> {
  const server = await sharedPostgresql();
  const database = await createDatabase(server);
  const proxy = await startTcpProxy(server.port);
  const options = postgresOptions(proxy.port, database);
  const store = openPostgres(outage_timeout_ms === undefined ? options : { ...options, outage_timeout_ms });
  onTestFinished(async () => {
    await store.close();
    await proxy.close();
  });
  return { server, database, proxy, store };
}

/** The process ids of the server for the connections of stores. */
async function backends({ server, database }: Pick<Setup, 'server' | 'database'>): Promise<number[]> {
  const text = `SELECT pid FROM pg_stat_activity WHERE datname = '${database}' AND application_name = 'keyhold'`;
  return (await server.query(text)).map(({ pid }) => Number(pid));
}

describe.skipIf(NO_POSTGRESQL)('the creation of a vault whose confirmation is lost', () => {
  /** Cuts the connection after the first COMMIT, once `isMade`. */
  async function createInterrupted({ proxy, store }: Setup, isMade: () => Promise<unknown>) {
    await store.header();
    let is_cut = false;
    proxy.onRequest((data) => {
      if (is_cut || !data.includes('COMMIT')) return;
      is_cut = true;
      proxy.holdResponses();
      void expect
        .poll(isMade, { timeout: 10_000, interval: 20 })
        .toBeTruthy()
        .then(() => proxy.cut());
    });
    return store.create(HEADER, { writes: [], audit: [entry('o', 'created')] });
  }

  test('is reported as created by the process that created it, and is made once', async () => {
    const setup = await openThroughProxy();
    const { server, database, store } = setup;
    const isMade = async () =>
      (await server.query(`SELECT to_regclass('keyhold.vault') AS name`, database))[0]?.name;
    expect(await createInterrupted(setup, isMade)).toBe(true);
    expect(await store.header()).toEqual(HEADER);
    expect(await readChain(store, 'o')).toEqual(['created']);
  });

  test('is not reported as created if another process has created another vault meanwhile', async () => {
    const setup = await openThroughProxy();
    const { server, database, proxy, store } = setup;
    await store.header();
    const other = openPostgres(postgresOptions(server.port, database));
    onTestFinished(() => other.close());
    let is_cut = false;
    proxy.onRequest((data) => {
      if (is_cut || !data.includes('INSERT INTO keyhold.vault')) return;
      is_cut = true;
      proxy.cut();
      proxy.refuse(true);
      void other
        .create({ ...HEADER, root_key_id: Buffer.alloc(16, 9) }, EMPTY)
        .finally(() => proxy.refuse(false));
    });
    expect(await store.create(HEADER, EMPTY)).toBe(false);
    expect((await store.header())?.root_key_id).toEqual(Buffer.alloc(16, 9));
  });
});

describe.skipIf(NO_POSTGRESQL)('a store that is closed', () => {
  test('ends within seconds if the server does not respond', async () => {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const store = openPostgres(postgresOptions(server.port, database));
    await store.create(HEADER, EMPTY);
    await store.commit({ writes: [put('a', 0)], audit: [entry('o', 'a')] });
    const frozen = await backends({ server, database });
    expect(frozen).toHaveLength(2);
    for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    try {
      const began_ms = performance.now();
      await store.close();
      expect(performance.now() - began_ms).toBeLessThan(4_000);
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    }
  });

  test('first completes the reads that wait, and keeps no connection', async () => {
    const setup = await openThroughProxy();
    const { store } = setup;
    await store.create(HEADER, EMPTY);
    await store.commit({ writes: [put('a', 0)], audit: [entry('o', 'a')] });
    const { id } = record('a', 1);
    const reads = Array.from({ length: 5_000 }, () => store.get(id));
    await store.close();
    for (const row of await Promise.all(reads)) expect(row?.revision).toBe(1);
    await expect(store.get(id)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect.poll(() => backends(setup)).toEqual([]);
  });

  test('does not repeat reads during an outage, and opens no connection after it', async () => {
    const setup = await openThroughProxy(60_000);
    const { store, proxy } = setup;
    await store.create(HEADER, EMPTY);
    const { id } = record('a', 1);
    proxy.refuse(true);
    proxy.cut();
    const read = store.get(id).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await store.close();
    proxy.refuse(false);
    expect(await read).toMatchObject({ code: 'UNAVAILABLE' });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await backends(setup)).toEqual([]);
  });
});

describe.skipIf(NO_POSTGRESQL)('a store is not ready', () => {
  test('while its database accepts no writes', async () => {
    const { server, database, store } = await openThroughProxy();
    await store.create(HEADER, EMPTY);
    expect(await store.isReady()).toBe(true);
    await server.execute(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
    await server.execute('ALTER SYSTEM SET default_transaction_read_only = on');
    await server.execute('SELECT pg_reload_conf()');
    try {
      await expect.poll(() => store.isReady()).toBe(false);
      expect(await store.isReady()).toBe(false);
    } finally {
      await server.execute('ALTER SYSTEM RESET default_transaction_read_only');
      await server.execute('SELECT pg_reload_conf()');
      await server.execute(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
    }
    await expect.poll(() => store.isReady()).toBe(true);
  });
});

describe.skipIf(NO_POSTGRESQL)('the check of the store', () => {
  test('finds a damaged page of a long value', async () => {
    const { server, database, store } = await openThroughProxy();
    await store.create(HEADER, EMPTY);
    await store.commit({
      writes: [{ ...put('b', 0), sealed_values: LONG_VALUE } as RecordPut],
      audit: [],
    });
    expect(await store.check()).toMatchObject({ ok: true });
    await server.execute('CHECKPOINT');
    const [{ path } = {}] = await server.query(
      `SELECT pg_relation_filepath(reltoastrelid) AS path FROM pg_class WHERE oid = 'keyhold.record'::regclass`,
      database,
    );
    const file = join(server.data, String(path));
    // So that no page is in the memory of the server.
    await server.restart();
    const descriptor = openSync(file, 'r+');
    writeSync(descriptor, Buffer.alloc(statSync(file).size), 0);
    closeSync(descriptor);
    await expect(store.check()).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});

describe.skipIf(NO_POSTGRESQL)('environment variables of libpq', () => {
  afterEach(() => vi.unstubAllEnvs());

  test.each([
    ['PGSSLNEGOTIATION', 'direct'],
    ['PGSSLMODE', 'require'],
    ['PGHOST', 'missing.invalid'],
  ])('do not change the connection: %s=%s', async (name, value) => {
    const { store } = await openThroughProxy();
    vi.stubEnv(name, value);
    const header = { ...HEADER, created_at: 'é' };
    expect(await store.create(header, EMPTY)).toBe(true);
    expect(await store.header()).toEqual(header);
  });
});
