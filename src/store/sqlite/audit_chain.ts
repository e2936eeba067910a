/**
 * Appends to the audit chains inside a transaction. Only the last entry of a chain, its head, carries the head MAC: an
 * append removes it from the entry that was the head before.
 */
import type { Database, Statement } from 'better-sqlite3';
import { VaultError } from '../../contract/errors.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import { brokenLogError, keyRotatedError } from '../errors.ts';
import type { AuditAppend } from '../store.ts';
import { isUniqueViolation } from './errors.ts';
import { POSITIONS_PER_ORGANIZATION } from './schema.ts';
import { type EntryRow, headOf, LAST_ENTRIES } from './statements.ts';

/** The head of a chain as this process wrote it last, or is about to. */
interface KnownHead {
  /** The rowid before the first entry of the chain. */
  readonly start: number;
  readonly position: number;
  readonly key_version: number;
  readonly link: Buffer;
  readonly head_mac: Buffer;
  /** The entry that is not inserted yet: whether it is the head is known only when the transaction ends. */
  readonly pending: { readonly sealed: Buffer } | undefined;
}

/** The heads of the chains that a transaction has appended to, by organization. */
export type KnownHeads = Map<string, KnownHead>;

const NO_MAC: Buffer = Buffer.alloc(32);
const KNOWN_HEADS_MAX = 1_000;

export class AuditChainWriter {
  readonly #sql: ReturnType<typeof prepare>;
  /** Avoids reading and verifying the head of a chain that only this process appends to. */
  readonly #known_heads = new BoundedMap<string, KnownHead>(KNOWN_HEADS_MAX);

  constructor(database: Database) {
    this.#sql = prepare(database);
  }

  /** Call at the start of a transaction. */
  begin(): KnownHeads {
    return new Map();
  }

  /** Seals the next entry of a chain. Throws what the append throws. */
  append(append: AuditAppend, heads: KnownHeads): void {
    const key = append.organization.toString('latin1');
    const head = heads.get(key) ?? this.#takeKnownHead(key) ?? this.#takeStoredHead(append);
    assertNotOlder(append, head);
    this.#insertPending(head, NO_MAC);
    const position = head.position + 1;
    if (position >= POSITIONS_PER_ORGANIZATION) {
      throw new VaultError(
        'UNAVAILABLE',
        'The audit log has reached its largest length. Nothing was changed.',
      );
    }
    const { sealed, link, head_mac } = append.sealEntry(position, position === 1 ? undefined : head.link);
    const { key_version } = append;
    heads.set(key, { start: head.start, position, key_version, link, head_mac, pending: { sealed } });
  }

  /** Call before the commit: inserts the pending entries as heads. */
  finish(heads: KnownHeads): void {
    for (const head of heads.values()) this.#insertPending(head, head.head_mac);
  }

  /** Call after the commit. */
  remember(heads: KnownHeads): void {
    for (const [key, head] of heads) this.#known_heads.set(key, { ...head, pending: undefined });
  }

  /** Call after a rollback. */
  forget(): void {
    this.#known_heads.clear();
  }

  /** The head that this process wrote last, if it still is the head. Removes its MAC. */
  #takeKnownHead(key: string): KnownHead | undefined {
    const head = this.#known_heads.get(key);
    if (head === undefined) return undefined;
    const rowid = head.start + head.position;
    const { changes } = this.#sql.clear_known_mac.run(NO_MAC, rowid, head.link, head.head_mac);
    return changes === 1 ? head : undefined;
  }

  /** The stored head, verified by the append. Removes its MAC. */
  #takeStoredHead(append: AuditAppend): KnownHead {
    const number = this.#sql.chain.get(append.organization);
    if (number === undefined) {
      append.checkHead(undefined);
      return emptyChain(Number(this.#sql.add_chain.run(append.organization).lastInsertRowid));
    }
    const { start } = emptyChain(number);
    const head = headOf(this.#sql.last_entries.all(start, start + POSITIONS_PER_ORGANIZATION), start);
    if (head !== undefined) assertNotOlder(append, head);
    append.checkHead(head);
    if (head === undefined) return emptyChain(number);
    this.#sql.clear_mac.run(NO_MAC, start + head.position);
    const { position, key_version, link, head_mac } = head;
    return { start, position, key_version, link, head_mac, pending: undefined };
  }

  #insertPending({ start, position, key_version, link, pending }: KnownHead, head_mac: Buffer): void {
    if (pending === undefined) return;
    try {
      this.#sql.append.run(start + position, key_version, pending.sealed, link, head_mac);
    } catch (error) {
      if (isUniqueViolation(error)) throw brokenLogError(error);
      throw error;
    }
  }
}

function assertNotOlder(append: AuditAppend, head: { readonly key_version: number }): void {
  if (append.key_version >= head.key_version) return;
  throw keyRotatedError();
}

function emptyChain(number: number): KnownHead {
  const start = number * POSITIONS_PER_ORGANIZATION;
  return { start, position: 0, key_version: 0, link: NO_MAC, head_mac: NO_MAC, pending: undefined };
}

function prepare(database: Database) {
  const chain: Statement<[Buffer], number> = database.prepare(
    'SELECT number FROM audit_chain WHERE organization = ?',
  );
  const last_entries: Statement<[number, number], EntryRow> = database.prepare(LAST_ENTRIES);
  return {
    chain: chain.pluck(),
    last_entries,
    add_chain: database.prepare('INSERT INTO audit_chain (organization) VALUES (?)'),
    append: database.prepare(
      'INSERT INTO audit_entry (rowid, key_version, sealed, link, end_seal) VALUES (?, ?, ?, ?, ?)',
    ),
    clear_mac: database.prepare('UPDATE audit_entry SET end_seal = ? WHERE rowid = ?'),
    clear_known_mac: database.prepare(
      'UPDATE audit_entry SET end_seal = ? WHERE rowid = ? AND link = ? AND end_seal = ?',
    ),
  };
}
