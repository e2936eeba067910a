/** Two nodes that write to one organization in turn. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgres } from '../../../src/store/postgres/store.ts';
import type { Store } from '../../../src/store/store.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
} from '../../kit/servers/postgresql.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { bytesOf, entry, HEADER, put } from '../store_kit.ts';

const PLANS_MAX = 4;
const ROUNDS = 15;
const ORGANIZATIONS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

describe.skipIf(NO_POSTGRESQL)('a node whose chain head another node has replaced', () => {
  async function twoNodes() {
    const server = await sharedPostgresql();
    const options = postgresOptions(server.port, await createDatabase(server));
    const [first, second] = [openPostgres(options), openPostgres(options)];
    onTestFinished(async () => {
      await Promise.all([first.close(), second.close()]);
    });
    await first.create(HEADER, { writes: [], audit: [] });
    await first.commit({ writes: [put('a', 0)], audit: [entry('o', 'a')] });
    await second.commit({ writes: [put('b', 0)], audit: [entry('o', 'b')] });
    return { first, second };
  }

  test('stores a record whose id differs in each plan with few plans', async () => {
    const { first } = await twoNodes();
    let plans = 0;
    await first.change([], () => {
      plans += 1;
      const name = randomBytes(8).toString('hex');
      return {
        batch: { writes: [put(name, 0, { index: 'c' })], audit: [entry('o', 'c')] },
        result: undefined,
      };
    });
    expect(plans).toBeLessThanOrEqual(PLANS_MAX);
  });

  test('refuses a record whose id exists with CONFLICT and few plans', async () => {
    const { first } = await twoNodes();
    let plans = 0;
    const change = first.change([], () => {
      plans += 1;
      return { batch: { writes: [put('b', 0)], audit: [entry('o', 'b again')] }, result: undefined };
    });
    await expect(change).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(plans).toBeLessThanOrEqual(2 * PLANS_MAX);
  });
});

describe.skipIf(NO_POSTGRESQL)('nodes that write to many organizations', () => {
  async function open() {
    const server = await sharedPostgresql();
    const database = await createDatabase(server);
    const options = postgresOptions(server.port, database);
    const stores = [openPostgres(options), openPostgres(options), openPostgres(options)] as const;
    onTestFinished(async () => {
      await Promise.all(stores.map((store) => store.close()));
    });
    await stores[0].create(HEADER, { writes: [], audit: [] });
    return { server, database, stores };
  }

  const append = (store: Store, organization: string, name: string) =>
    store.commit({ writes: [put(name, 0)], audit: [entry(organization, name)] });

  test('wait for each other without a deadlock, and lose no entry', async () => {
    const { server, database, stores } = await open();
    const all = stores.flatMap((store, node) =>
      ORGANIZATIONS.map(async (_, at) => {
        for (let round = 0; round < ROUNDS; round++) {
          // Each node in another order.
          const organization = ORGANIZATIONS[((node + 1) * (at + round)) % ORGANIZATIONS.length] ?? '';
          await append(store, organization, `${node} ${at} ${round}`);
        }
      }),
    );
    await Promise.all(all);
    const heads = await stores[0].auditHeads();
    const entries = heads.reduce((sum, { position }) => sum + position, 0);
    expect(entries).toBe(stores.length * ROUNDS * ORGANIZATIONS.length);
    await Promise.all(stores.map((store) => store.close()));
    const [{ deadlocks } = {}] = await server.query(
      `SELECT deadlocks::integer FROM pg_stat_database WHERE datname = '${database}'`,
    );
    expect(deadlocks).toBe(0);
  });

  test('a node writes to the other organizations while one of them is locked', async () => {
    const { server, database, stores } = await open();
    const [store] = stores;
    for (const organization of ['a', 'b']) await append(store, organization, `first of ${organization}`);
    const other = new pg.Client({
      host: '127.0.0.1',
      port: server.port,
      database,
      user: POSTGRESQL_OWNER,
      password: POSTGRESQL_OWNER_PASSWORD,
    });
    await other.connect();
    onTestFinished(() => other.end());
    await other.query('BEGIN');
    const lock = 'SELECT 1 FROM keyhold.audit_chain WHERE organization = $1 FOR UPDATE';
    await other.query(lock, [bytesOf('a')]);
    let is_written = false;
    const free = append(store, 'b', 'second of b');
    const locked = append(store, 'a', 'second of a').then(() => {
      is_written = true;
    });
    await free;
    expect(is_written).toBe(false);
    await other.query('ROLLBACK');
    await locked;
    const position = async (organization: string) => (await store.auditHead(bytesOf(organization)))?.position;
    expect(await Promise.all(['a', 'b'].map(position))).toEqual([2, 2]);
  });

  test('a node plans a change once while another node writes to its organization', async () => {
    const { stores } = await open();
    const [first, second] = stores;
    await append(first, 'a', '1');
    await append(second, 'a', '2');
    const plansOf = async (name: string) => {
      let plans = 0;
      const plan = () => {
        plans += 1;
        return { batch: { writes: [put(name, 0)], audit: [entry('a', name)] }, result: undefined };
      };
      await first.change([{ index: bytesOf(`index of ${name}`) }], plan, bytesOf('a'));
      return plans;
    };
    // The head that this node knows has changed: its first plan fails.
    expect(await plansOf('3')).toBeGreaterThan(1);
    await append(second, 'a', '4');
    expect(await plansOf('5')).toBe(1);
  });
});
