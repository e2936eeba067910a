/**
 * The move of a vault in a database. Constraints that no row fulfils refuse inserts and updates of every process, of any version,
 * at no cost for a vault that is not moved: to add one, the server waits for the transactions that write to the table. Deletions
 * look for the constraint. The table `move` names the new store, or marks a vault that is not complete.
 */
import { conflictError, movedError } from '../../errors.ts';
import { isSameMove, type VaultMove } from '../../move.ts';
import type { Query, Session } from '../connection.ts';
import { isPermissionMissing, notOwnerError } from '../errors.ts';
import { inTransaction, lockQuery } from '../schema.ts';

/** Part of the error message of the server. */
export const MOVED_CONSTRAINT = 'keyhold_moved';

/** Whether writes are refused. */
export const IS_MOVED = `EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'keyhold.record'::regclass AND conname = '${MOVED_CONSTRAINT}')`;

/** In the order in which writers lock them. */
const WRITTEN_TABLES = ['vault', 'audit_chain', 'wrapped_key', 'record'];

const HAS_MOVE: Query = {
  text: `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'keyhold' AND c.relname = 'move')`,
};
const READ: Query = { text: 'SELECT state, id, location FROM keyhold.move' };

type State = 'receiving' | 'moving' | 'moved';

export interface MoveRow {
  readonly state: State;
  readonly id: string;
  readonly location: string;
}

/** Whether the server refused a write because of a move. */
export function isMovedFailure(error: unknown): boolean {
  return error instanceof Error && error.message.includes(MOVED_CONSTRAINT);
}

/** The error for a write that the server refused because of a move; `undefined` if the move was ended meanwhile. */
export async function movedFailure(session: Session): Promise<Error | undefined> {
  const move = await readMove(session).catch(() => undefined);
  return move && movedError(move);
}

export async function readMoveRow(session: Session): Promise<MoveRow | undefined> {
  const [exists] = await session.run([HAS_MOVE]);
  if (exists?.[0]?.[0] !== true) return undefined;
  const [row] = (await session.run([READ]))[0] ?? [];
  if (row === undefined) return undefined;
  const [state, id, location] = row as readonly [State, string, string];
  return { state, id, location };
}

/** `undefined` for a vault that is received too. */
export async function readMove(session: Session): Promise<VaultMove | undefined> {
  const row = await readMoveRow(session);
  if (row === undefined || row.state === 'receiving') return undefined;
  return { id: row.id, location: row.location, is_done: row.state === 'moved' };
}

/** Inside a transaction. */
export async function createMoveTable(session: Session, row: MoveRow): Promise<void> {
  await session.run([
    {
      text: `CREATE TABLE keyhold.move (
        one smallint PRIMARY KEY CHECK (one = 1), state text NOT NULL, id text NOT NULL, location text NOT NULL)`,
    },
    // The role of the nodes is not known here. The schema limits who can read the table.
    { text: 'GRANT SELECT ON keyhold.move TO PUBLIC' },
    { text: 'INSERT INTO keyhold.move VALUES (1, $1, $2, $3)', values: [row.state, row.id, row.location] },
  ]);
}

export const DROP_MOVE_TABLE: Query = { text: 'DROP TABLE keyhold.move' };

/** See `Store.setMove`. */
export async function writeMove(
  session: Session,
  expected: VaultMove | undefined,
  next: VaultMove | undefined,
): Promise<void> {
  const change = inTransaction(session, async () => {
    await session.run([lockQuery()]);
    const present = await readMove(session);
    if (isSameMove(present, next)) return;
    if (!isSameMove(present, expected)) throw conflictError();
    if (next === undefined) {
      if (present !== undefined) await session.run([...constraintQueries('DROP'), DROP_MOVE_TABLE]);
      return;
    }
    const row: MoveRow = { state: next.is_done ? 'moved' : 'moving', id: next.id, location: next.location };
    if (present === undefined) {
      await session.run(constraintQueries('ADD'));
      return createMoveTable(session, row);
    }
    const values = [row.state, row.id, row.location];
    await session.run([{ text: 'UPDATE keyhold.move SET state = $1, id = $2, location = $3', values }]);
  });
  await change.catch((error: unknown) => {
    throw isPermissionMissing(error) ? notOwnerError(error) : error;
  });
}

function constraintQueries(change: 'ADD' | 'DROP'): Query[] {
  const definition = change === 'ADD' ? ' CHECK (false) NOT VALID' : '';
  return WRITTEN_TABLES.map((table) => ({
    text: `ALTER TABLE keyhold.${table} ${change} CONSTRAINT ${MOVED_CONSTRAINT}${definition}`,
  }));
}
