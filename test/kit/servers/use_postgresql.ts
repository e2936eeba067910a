/** A PostgreSQL server for the tests of a file. */
import { afterAll, beforeAll } from 'vitest';
import { NO_POSTGRESQL, PASSWORD_RULES, type PostgresqlServer, startPostgresql } from './postgresql.ts';

/** Started before the first test, and stopped after the last. */
export function usePostgresql(): PostgresqlServer {
  let server: PostgresqlServer | undefined;
  const started = () => {
    if (server === undefined) throw new Error('PostgreSQL has not started');
    return server;
  };
  beforeAll(async () => {
    if (!NO_POSTGRESQL) server = await startPostgresql(PASSWORD_RULES);
  });
  afterAll(() => server?.stop());
  return {
    get port() {
      return started().port;
    },
    get data() {
      return started().data;
    },
    execute: (...given) => started().execute(...given),
    query: (...given) => started().query(...given),
    restart: (...given) => started().restart(...given),
    stop: () => started().stop(),
  };
}
