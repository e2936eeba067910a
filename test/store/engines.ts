/** The engines that the tests of the store interface run on. PostgreSQL is one server for each test file. */
import { afterAll, onTestFinished } from 'vitest';
import { openPostgres } from '../../src/store/postgres/store.ts';
import { openSqlite } from '../../src/store/sqlite/store.ts';
import type { OnCommit, Store } from '../../src/store/store.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  PASSWORD_RULES,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
  type PostgresqlServer,
  startPostgresql,
} from '../kit/servers/postgresql.ts';
import { HEADER, newStorePath } from './store_kit.ts';

export interface StoreEngine {
  readonly name: 'SQLite' | 'PostgreSQL';
  /** Where an empty store is, as text. */
  create(): Promise<string>;
  open(location: string, onCommit?: OnCommit): Store;
}

const SQLITE: StoreEngine = {
  name: 'SQLite',
  create: async () => newStorePath(),
  open: openSqlite,
};

let server: Promise<PostgresqlServer> | undefined;

/** The server of this test file, which is started when it is needed. */
export function sharedPostgresql(): Promise<PostgresqlServer> {
  server ??= startPostgresql(PASSWORD_RULES);
  return server;
}

afterAll(async () => {
  await (await server)?.stop();
});

/** The options for a database of the shared server, or for a proxy in front of it. */
export function postgresOptions(port: number, database: string) {
  return {
    hosts: [{ host: '127.0.0.1', port, tls: undefined }],
    database,
    user: POSTGRESQL_OWNER,
    readPassword: async () => POSTGRESQL_OWNER_PASSWORD,
  };
}

const POSTGRESQL: StoreEngine = {
  name: 'PostgreSQL',
  create: async () => {
    const { port } = await sharedPostgresql();
    return `${port}/${await createDatabase(await sharedPostgresql())}`;
  },
  open: (location, onCommit) => {
    const [port, database = ''] = location.split('/');
    return openPostgres(postgresOptions(Number(port), database), onCommit);
  },
};

export const ENGINES: readonly StoreEngine[] = NO_POSTGRESQL ? [SQLITE] : [SQLITE, POSTGRESQL];

/** Opens a connection that is closed at the end of the test. Creates the vault in an empty store. */
export async function openOn(engine: StoreEngine, location?: string, onCommit?: OnCommit): Promise<Store> {
  const store = engine.open(location ?? (await engine.create()), onCommit);
  onTestFinished(() => store.close());
  if ((await store.header()) === undefined) await store.create(HEADER, { writes: [], audit: [] });
  return store;
}
