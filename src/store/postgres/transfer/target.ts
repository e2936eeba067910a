/**
 * Receives a vault into a database. The rows go to the tables of the vault, which the table `move` marks as incomplete: no
 * process opens it before the mark is removed in the last step. A vault that was moved away before is kept in another schema.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../../contract/errors.ts';
import { incompleteMoveError, receivingError, targetNotEmptyError } from '../../errors.ts';
import type { Store, StoreHeader, StoreSnapshot } from '../../store.ts';
import type { FormerVault, Published, StoreReceiver, TransferTarget } from '../../transfer.ts';
import { Connection, type PostgresOptions, type Query, type Session } from '../connection.ts';
import { isPermissionMissing, notOwnerError, toStoreError, withoutDetail } from '../errors.ts';
import {
  createVault,
  DROP_TABLES,
  inTransaction,
  lockQuery,
  migrate,
  readFormat,
  readHeader,
} from '../schema.ts';
import { PostgresStore } from '../store.ts';
import { createMoveTable, DROP_MOVE_TABLE, readMoveRow } from './move_state.ts';
import { PostgresReceiver } from './receiver.ts';
import { openPostgresSnapshot } from './snapshot.ts';

/** The letters KHLM. Held by the session that receives. */
const RECEIVER_LOCK = 0x4b_48_4c_4d;
const TRY_LOCK = { text: `SELECT pg_try_advisory_lock(${RECEIVER_LOCK})` };
const UNLOCK = { text: `SELECT pg_advisory_unlock(${RECEIVER_LOCK})` };
/** Vaults that were moved away and kept. */
const KEPT_MAX = 1_000;
const CLOSED_WITHIN_MS = 2_000;
const POLL_MS = 100;

export class PostgresTarget implements TransferTarget {
  readonly #options: PostgresOptions;

  constructor(options: PostgresOptions) {
    this.#options = options;
  }

  async openExisting(): Promise<StoreSnapshot | undefined> {
    const has_vault = await this.#withSession(async (session) => {
      if ((await readFormat(session)) === 0) return false;
      if ((await readMoveRow(session))?.state === 'receiving') return false;
      await migrate(session);
      return (await readHeader(session)) !== undefined;
    });
    return has_vault ? openPostgresSnapshot(this.#options) : undefined;
  }

  async receive(transfer_id: string, header: StoreHeader, keeps_former = false): Promise<StoreReceiver> {
    const connection = this.#connect();
    try {
      const session = await connection.session();
      await lock(session);
      if (keeps_former && (await readMoveRow(session))?.state === 'moved') await assertNotInUse(session);
      await inTransaction(session, () => prepare(session, transfer_id, header, keeps_former));
      return new PostgresReceiver(connection, session);
    } catch (error) {
      await connection.close();
      throw toTransferError(error);
    }
  }

  async openReceived(_transfer_id: string): Promise<Store> {
    return new PostgresStore(this.#options);
  }

  async publish(transfer_id: string, former: FormerVault): Promise<Published> {
    return this.#locked(async (session) => {
      const row = await readMoveRow(session);
      if (row?.state !== 'receiving' || row.id !== transfer_id) throw incompleteMoveError();
      former.beforePublish?.();
      const text = `SELECT setval('keyhold.record_seq', greatest((SELECT max(seq) FROM keyhold.record), 1))`;
      await session.run([{ text }, DROP_MOVE_TABLE]);
      return { kept: undefined };
    });
  }

  async discard(): Promise<void> {
    await this.#locked(async (session) => {
      if ((await readFormat(session)) === 0) return;
      if ((await readMoveRow(session))?.state === 'receiving') await session.run([DROP_TABLES]);
    });
  }

  #connect(): Connection {
    return new Connection(this.#options, async () => undefined);
  }

  async #withSession<Result>(act: (session: Session) => Promise<Result>): Promise<Result> {
    const connection = this.#connect();
    try {
      return await act(await connection.session());
    } catch (error) {
      throw toTransferError(error);
    } finally {
      await connection.close();
    }
  }

  /** In a transaction, while no other process receives. */
  async #locked<Result>(act: (session: Session) => Promise<Result>): Promise<Result> {
    return this.#withSession(async (session) => {
      await lock(session);
      const result = await inTransaction(session, () => act(session));
      await session.run([UNLOCK]);
      return result;
    });
  }
}

function toTransferError(error: unknown): Error {
  return isPermissionMissing(error) ? notOwnerError(error) : toStoreError(error);
}

async function lock(session: Session): Promise<void> {
  const [rows] = await session.run([TRY_LOCK]);
  if (rows?.[0]?.[0] !== true) throw receivingError();
}

/** Inside a transaction: makes an empty vault that is marked as incomplete, unless an earlier run of the transfer did. */
async function prepare(
  session: Session,
  id: string,
  header: StoreHeader,
  keeps_former: boolean,
): Promise<void> {
  await session.run([lockQuery()]);
  const row = await readMoveRow(session);
  if (row?.state === 'receiving' && row.id === id) return;
  if (row?.state === 'receiving') await session.run([DROP_TABLES]);
  else if (row?.state === 'moved' && keeps_former) await keepFormer(session);
  if (!(await createVault(session, header))) throw targetNotEmptyError();
  await createMoveTable(session, { state: 'receiving', id, location: '' });
}

/** A process that has the former vault open would read and write the tables that are received. */
async function assertNotInUse(session: Session): Promise<void> {
  const others: Query = {
    text: `SELECT count(*)::integer FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'keyhold' AND pid <> pg_backend_pid()`,
  };
  // The server may not have noticed yet that a connection was closed.
  const until_ms = performance.now() + CLOSED_WITHIN_MS;
  for (;;) {
    const [[[count] = []] = []] = await session.run([others]);
    if (count === 0) return;
    if (performance.now() > until_ms) throw formerInUseError();
    await sleep(POLL_MS);
  }
}

/** Renames the schema of a vault that was moved away. */
async function keepFormer(session: Session): Promise<void> {
  const [rows = []] = await session.run([
    { text: `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'keyhold\\_replaced\\_%'` },
  ]);
  const taken = new Set(rows.map(([name]) => String(name)));
  for (let number = 1; number <= KEPT_MAX; number++) {
    const name = `keyhold_replaced_${number}`;
    if (taken.has(name)) continue;
    await session.run([{ text: `ALTER SCHEMA keyhold RENAME TO ${name}` }]).catch((error: unknown) => {
      throw isPermissionMissing(error) ? notRenamedError(name, error) : error;
    });
    return;
  }
  throw new VaultError(
    'UNAVAILABLE',
    `There are ${KEPT_MAX} former vaults in schemas of the database. Drop the ones that you do not need, then try again.`,
  );
}

function formerInUseError(): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'Another process has the former vault in this database open. Stop the servers, MCP clients and commands that use it, then run the command again.',
    { reason: 'busy' },
  );
}

function notRenamedError(name: string, cause: unknown): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    `The database has a former vault, and the database user may not rename its schema. As the owner of the database, run ALTER SCHEMA keyhold RENAME TO ${name} and docs/postgres_roles.sql. Then run the command again.`,
    { reason: 'database_denied', cause: withoutDetail(cause) },
  );
}
