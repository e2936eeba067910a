/** How many statements a node sends to PostgreSQL for one operation: each waits for the network. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createDatabaseNodes, TRUST_RULES } from '../../kit/child/database_nodes.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../../kit/servers/postgresql.ts';

const GITHUB = { service_id: 'github' };
const TOKEN = { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_secret' } as const;
const NOT_TESTED = { last_used_at: null, last_test: null };

let server: PostgresqlServer;

beforeAll(async () => {
  if (!NO_POSTGRESQL) server = await startPostgresql(TRUST_RULES);
});
afterAll(() => server?.stop());

/** Returns the number of statements since the previous call, until the end of the test. */
function countStatements(): () => number {
  const genuine: (...given: unknown[]) => unknown = pg.Client.prototype.query;
  let count = 0;
  Reflect.set(pg.Client.prototype, 'query', function (this: pg.Client, ...given: unknown[]) {
    count += 1;
    return Reflect.apply(genuine, this, given);
  });
  onTestFinished(() => {
    Reflect.set(pg.Client.prototype, 'query', genuine);
  });
  return () => {
    const counted = count;
    count = 0;
    return counted;
  };
}

describe.skipIf(NO_POSTGRESQL)('the statements of one operation on PostgreSQL', () => {
  test('a status takes two, and one if the credential had the same id before', async () => {
    const { open } = await createDatabaseNodes(server);
    const [{ vault, caller }, other] = [await open(), await open()];
    const { credential_id } = await other.vault.store(other.caller(), TOKEN);
    const statements = countStatements();
    const status = async () => {
      statements();
      const shown = await vault.status(caller(), GITHUB);
      return { shown, sent: statements() };
    };
    await status();
    expect(await status()).toMatchObject({ shown: { credential_id, ...NOT_TESTED }, sent: 1 });
    await other.vault.delete(other.caller(), GITHUB);
    expect(await status()).toMatchObject({ shown: { status: 'missing', ...NOT_TESTED }, sent: 1 });
    const stored = await other.vault.store(other.caller(), TOKEN);
    const again = { credential_id: stored.credential_id, ...NOT_TESTED };
    expect(await status()).toMatchObject({ shown: again, sent: 2 });
    expect(await status()).toMatchObject({ shown: again, sent: 1 });
  });
});
