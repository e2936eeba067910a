/**
 * Appends to the audit chains within a transaction. Each chain's last entry, and no other, carries the seal of the
 * end: whoever appends takes the seal off the entry that was last.
 */
import type { Database, Statement } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { AuditAppend } from '../store.ts';
import { isUniqueViolation } from './errors.ts';
import { POSITIONS_PER_ORGANIZATION } from './schema.ts';
import { headOf, LAST_ENTRIES, type LastEntryRow } from './statements.ts';

/** The end of a chain, as this process wrote it last or is about to. */
interface ChainHead {
  /** The place before the first one of the chain. */
  readonly start: number;
  readonly position: number;
  readonly link: Buffer;
  readonly end_seal: Buffer;
  /** The entry that is not in the table yet: only when the next one comes is it known whether it is the last. */
  readonly pending: { readonly key_version: number; readonly sealed: Buffer } | undefined;
}

/** Where the chains that a transaction has touched end, by organization. */
export type ChainHeads = Map<string, ChainHead>;

const NO_SEAL: Buffer = Buffer.alloc(32);
const KNOWN_ENDS_MAX = 1_000;

export class AuditChainWriter {
  readonly #sql: ReturnType<typeof prepare>;
  /** Spares looking up and checking the end of a chain that only this process writes to. */
  readonly #known_ends = new BoundedMap<string, ChainHead>(KNOWN_ENDS_MAX);

  constructor(database: Database) {
    this.#sql = prepare(database);
  }

  /** For a new transaction. */
  begin(): ChainHeads {
    return new Map();
  }

  /** Seals the next entry of a chain. Throws what the append throws. */
  append(append: AuditAppend, ends: ChainHeads): void {
    const key = append.organization.toString('latin1');
    const end = ends.get(key) ?? this.#knownEnd(key) ?? this.#storedEnd(append);
    this.#insertPending(end, NO_SEAL);
    const position = end.position + 1;
    if (position >= POSITIONS_PER_ORGANIZATION) {
      throw new VaultError(
        'UNAVAILABLE',
        'The audit log has reached its largest length. Nothing was changed.',
      );
    }
    const { sealed, link, end_seal } = append.sealEntry(position, position === 1 ? undefined : end.link);
    const pending = { key_version: append.key_version, sealed };
    ends.set(key, { start: end.start, position, link, end_seal, pending });
  }

  /** Before the commit: writes the entries that are still pending, as the ends. */
  finish(ends: ChainHeads): void {
    for (const end of ends.values()) this.#insertPending(end, end.end_seal);
  }

  /** After the commit. */
  remember(ends: ChainHeads): void {
    for (const [key, end] of ends) this.#known_ends.set(key, { ...end, pending: undefined });
  }

  /** After a transaction that was lost. */
  forget(): void {
    this.#known_ends.clear();
  }

  /** The end this process wrote last, unmarked, if it still is the end. */
  #knownEnd(key: string): ChainHead | undefined {
    const end = this.#known_ends.get(key);
    if (end === undefined) return undefined;
    const { changes } = this.#sql.unmark_known_end.run(
      NO_SEAL,
      end.start + end.position,
      end.link,
      end.end_seal,
    );
    return changes === 1 ? end : undefined;
  }

  /** The end of the chain as it was before this transaction, checked, and no longer marked as the end. */
  #storedEnd(append: AuditAppend): ChainHead {
    const number = this.#sql.chain.get(append.organization);
    if (number === undefined) {
      append.checkHead(undefined);
      return emptyChain(Number(this.#sql.add_chain.run(append.organization).lastInsertRowid));
    }
    const { start } = emptyChain(number);
    const end = headOf(this.#sql.last_entries.all(start, start + POSITIONS_PER_ORGANIZATION), start);
    append.checkHead(end);
    if (end === undefined) return emptyChain(number);
    this.#sql.unmark_end.run(NO_SEAL, start + end.position);
    return { start, position: end.position, link: end.link, end_seal: end.end_seal, pending: undefined };
  }

  #insertPending({ start, position, link, pending }: ChainHead, end_seal: Buffer): void {
    if (pending === undefined) return;
    try {
      this.#sql.append.run(start + position, pending.key_version, pending.sealed, link, end_seal);
    } catch (error) {
      if (isUniqueViolation(error)) throw brokenLog(error);
      throw error;
    }
  }
}

/** In the place of the next entry there is one that this vault did not write. */
function brokenLog(cause: unknown): VaultError {
  const message =
    'The audit log was tampered with, so nothing was written. Run `keyhold audit verify`, then restore a backup.';
  return new VaultError('CORRUPT', message, { reason: 'audit_broken', cause });
}

function emptyChain(number: number): ChainHead {
  const start = number * POSITIONS_PER_ORGANIZATION;
  return { start, position: 0, link: NO_SEAL, end_seal: NO_SEAL, pending: undefined };
}

function prepare(database: Database) {
  const chain: Statement<[Buffer], number> = database.prepare(
    'SELECT number FROM audit_chain WHERE organization = ?',
  );
  const last_entries: Statement<[number, number], LastEntryRow> = database.prepare(LAST_ENTRIES);
  return {
    chain: chain.pluck(),
    last_entries,
    add_chain: database.prepare('INSERT INTO audit_chain (organization) VALUES (?)'),
    append: database.prepare(
      'INSERT INTO audit_entry (place, key_version, sealed, link, end_seal) VALUES (?, ?, ?, ?, ?)',
    ),
    unmark_end: database.prepare('UPDATE audit_entry SET end_seal = ? WHERE place = ?'),
    unmark_known_end: database.prepare(
      'UPDATE audit_entry SET end_seal = ? WHERE place = ? AND link = ? AND end_seal = ?',
    ),
  };
}
