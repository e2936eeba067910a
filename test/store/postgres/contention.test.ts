/** Two nodes that write to one organization in turn. */
import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgres } from '../../../src/store/postgres/store.ts';
import { createDatabase, NO_POSTGRESQL } from '../../kit/servers/postgresql.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { entry, HEADER, put } from '../store_kit.ts';

const PLANS_MAX = 4;

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
