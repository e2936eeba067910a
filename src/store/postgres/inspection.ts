/** Reads the facts about the server and the role that decide whether a vault in the database is safe. Changes nothing. */
import type { ServerFacts } from '../engine.ts';
import { Connection, type PostgresOptions } from './connection.ts';
import { toStoreError } from './errors.ts';

/** The server compares the clocks: the time of the request is the error. */
const FACTS = `SELECT current_setting('server_version'), current_setting('server_version_num')::integer,
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
  rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
  current_setting('synchronous_commit'),
  round(extract(epoch FROM clock_timestamp() - $1::timestamptz) * 1000)::integer
  FROM pg_roles WHERE rolname = current_user`;

type FactsRow = readonly [
  version: string,
  version_number: number,
  is_encrypted: boolean,
  ...attributes: [boolean, boolean, boolean, boolean, boolean],
  synchronous_commit: string,
  clock_difference_ms: number,
];

const ATTRIBUTES = ['SUPERUSER', 'CREATEROLE', 'CREATEDB', 'REPLICATION', 'BYPASSRLS'];

/** Rejects with VaultError if the server cannot be used. */
export async function inspectServer(options: PostgresOptions): Promise<ServerFacts> {
  const connection = new Connection(options, async () => undefined);
  try {
    const session = await connection.session();
    // Warms the connection up, so that the second request takes one round trip.
    await session.run([{ text: FACTS, values: [new Date().toISOString()] }]);
    const [[row] = []] = await session.run([{ text: FACTS, values: [new Date().toISOString()] }]);
    const [version, version_number, is_encrypted, ...rest] = row as unknown as FactsRow;
    const [superuser, createrole, createdb, replication, bypassrls, synchronous_commit, difference] = rest;
    const attributes = [superuser, createrole, createdb, replication, bypassrls];
    return {
      version,
      version_number,
      is_encrypted,
      excess_rights: ATTRIBUTES.filter((_, at) => attributes[at]),
      synchronous_commit,
      clock_difference_ms: difference,
    };
  } catch (error) {
    throw toStoreError(error);
  } finally {
    await connection.close();
  }
}
