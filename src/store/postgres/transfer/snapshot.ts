/** A consistent view of a vault in a database: a transaction on a connection of its own. Writes go on meanwhile. */
import type { VaultMove } from '../../move.ts';
import type { StoreHeader, StoreSnapshot } from '../../store.ts';
import { Connection, type PostgresOptions, type Session } from '../connection.ts';
import { toStoreError } from '../errors.ts';
import { notAVault, readHeader } from '../schema.ts';
import { readMove } from './move_state.ts';
import { PostgresRowReader } from './row_reader.ts';

/** The reader may wait for the other store between two pages. */
const BEGIN = [
  { text: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' },
  { text: `SET LOCAL idle_in_transaction_session_timeout = '10min'` },
];

export async function openPostgresSnapshot(options: PostgresOptions): Promise<PostgresSnapshot> {
  const connection = new Connection(options, async () => undefined);
  try {
    const session = await connection.session();
    await session.run(BEGIN);
    const header = await readHeader(session);
    if (header === undefined) throw notAVault();
    return new PostgresSnapshot(connection, session, header, await readMove(session));
  } catch (error) {
    await connection.close();
    throw toStoreError(error);
  }
}

export class PostgresSnapshot extends PostgresRowReader implements StoreSnapshot {
  readonly #connection: Connection;
  readonly header: StoreHeader;
  readonly move: VaultMove | undefined;

  constructor(connection: Connection, session: Session, header: StoreHeader, move: VaultMove | undefined) {
    super(session);
    this.#connection = connection;
    this.header = header;
    this.move = move;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
