/**
 * The move of a vault file to another store, kept in the file, so that every process that has it open sees it in its next write
 * transaction. The bit in the format makes that check one read of a number that is in memory.
 */
import type { Database } from 'better-sqlite3';
import type { VaultError } from '../../../contract/errors.ts';
import { conflictError, movedError } from '../../errors.ts';
import { isSameMove, type VaultMove } from '../../move.ts';
import { formatOf, MOVED_BIT } from '../schema.ts';

interface MoveRow {
  readonly id: string;
  readonly location: string;
  readonly is_done: number;
}

/** Returns a function that finds the error for writes, if the vault is being moved or was moved. */
export function moveFinder(database: Database): () => VaultError | undefined {
  const version = database.prepare<[], number>('PRAGMA user_version').pluck();
  return () => {
    if (((version.get() ?? 0) & MOVED_BIT) === 0) return undefined;
    const move = readMove(database);
    return move && movedError(move);
  };
}

export function readMove(database: Database): VaultMove | undefined {
  const version = Number(database.pragma('user_version', { simple: true }));
  if ((version & MOVED_BIT) === 0) return undefined;
  const row = database.prepare<[], MoveRow>('SELECT id, location, is_done FROM move').get();
  return row && { ...row, is_done: row.is_done === 1 };
}

/** Inside a transaction. Throws CONFLICT if the present move is not the expected one. */
export function writeMove(
  database: Database,
  expected: VaultMove | undefined,
  next: VaultMove | undefined,
): void {
  const present = readMove(database);
  if (isSameMove(present, next)) return;
  if (!isSameMove(present, expected)) throw conflictError();
  const format = formatOf(database);
  database.exec(`
    CREATE TABLE IF NOT EXISTS move (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      id TEXT NOT NULL,
      location TEXT NOT NULL,
      is_done INTEGER NOT NULL
    ) STRICT;
    DELETE FROM move;
    PRAGMA user_version = ${next === undefined ? format : format | MOVED_BIT};
  `);
  if (next === undefined) return;
  const { id, location, is_done } = next;
  database.prepare('INSERT INTO move VALUES (1, ?, ?, ?)').run(id, location, is_done ? 1 : 0);
}
