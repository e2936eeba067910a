/**
 * Builds the one statement that writes a group: a data-modifying CTE for each kind of write. It fails, and with it all of
 * its writes, unless every head and every record has the revision that the group was planned on.
 *
 * All parts of a statement see one snapshot, in no order (PostgreSQL documentation, "Data-Modifying Statements in WITH").
 * A part that takes unique values that another part frees counts the rows of the other one first, which executes it.
 */
import type { RecordPut } from '../../store.ts';
import type { Query } from '../connection.ts';
import { keyOf } from '../statements.ts';
import { IS_MOVED, MOVED_CONSTRAINT } from '../transfer/move_state.ts';
import type { Group } from './group.ts';
import type { GroupHead, GroupRecord } from './group_state.ts';
import { StatementBuilder } from './statement_builder.ts';

export const WRITE_TIMEOUT_MS = 10_000;

/** Part of the error message of a failed cast if another node has appended to a chain. */
const HEAD_CHANGED = 'keyhold_head_changed';
/** The same for a record. */
const RECORD_CHANGED = 'keyhold_record_changed';
/** The same for the wrapped keys, which the root key change does not match. */
export const KEYS_CHANGED = 'keyhold_keys_changed';

interface Written {
  readonly record: GroupRecord;
  readonly put: RecordPut;
}

/** `undefined` if the group writes nothing and depends on nothing. */
export function writeStatement(group: Group): Query | undefined {
  const statement = new GroupStatement();
  statement.addHeads(group.heads);
  statement.addRootKey(group);
  statement.addKeys(group);
  statement.addRecords(group);
  statement.addEntries(group);
  return statement.query();
}

/** Whether a group changes anything: otherwise there is nothing to find after a lost connection. */
export function hasWrites(group: Group): boolean {
  return (
    group.heads.length > 0 ||
    group.keys.length > 0 ||
    group.root_key !== undefined ||
    group.records.some(({ write }) => write !== undefined)
  );
}

class GroupStatement extends StatementBuilder {
  addHeads(heads: readonly GroupHead[]): void {
    const known = heads
      .flatMap(({ before, ...head }) => (before === undefined ? [] : [{ ...head, before }]))
      .sort((a, b) => a.organization.compare(b.organization));
    const first = heads.filter(({ before }) => before === undefined);
    if (known.length > 0) {
      const organizations = this.bytea(known.map(({ organization }) => organization));
      // A head that another node has locked will have changed: the statement fails without waiting for it.
      if (known.length > 1)
        this.add(
          'l',
          `locked AS MATERIALIZED (SELECT 1 FROM keyhold.audit_chain WHERE organization = ANY(${organizations})
            ORDER BY organization FOR UPDATE SKIP LOCKED)`,
        );
      const was = `${this.int8(known.map(({ before }) => before.position))}, ${this.bytea(known.map(({ before }) => before.link))}, ${this.bytea(known.map(({ before }) => before.head_mac))}`;
      this.add(
        'h',
        `head AS (UPDATE keyhold.audit_chain c SET position = u.position, link = u.link, head_mac = u.head_mac
          FROM unnest(${organizations}, ${was}, ${this.#headColumns(known)})
            AS u(organization, was_position, was_link, was_mac, position, link, head_mac)
          WHERE c.organization = u.organization AND c.position = u.was_position AND c.link = u.was_link
            AND c.head_mac = u.was_mac
            AND EXISTS (SELECT 1 FROM keyhold.audit_entry e WHERE e.organization = u.organization
              AND e.position = u.was_position AND e.link = u.was_link)
            ${known.length > 1 ? `AND (SELECT count(*) FROM locked) = cardinality(${organizations})` : ''} RETURNING 1)`,
      );
      this.expect('head', organizations, HEAD_CHANGED);
    }
    if (first.length === 0) return;
    const organizations = this.bytea(first.map(({ organization }) => organization));
    this.add(
      'n',
      `first AS (INSERT INTO keyhold.audit_chain (organization, position, link, head_mac)
        SELECT * FROM unnest(${organizations}, ${this.#headColumns(first)}))`,
    );
  }

  addRootKey({ root_key }: Group): void {
    if (root_key === undefined) return;
    const { expected_root_key_id, header, keys } = root_key;
    const { root_key_id, root_key_source, passphrase_salt, root_key_ref, root_key_sealed } = header;
    const optional = (value: Buffer | string | undefined) =>
      value === undefined ? [] : [Buffer.from(value)];
    // An array without elements is NULL for its first one.
    this.add(
      'r',
      `vault AS (UPDATE keyhold.vault SET root_key_id = (${this.bytea([root_key_id])})[1],
        root_key_source = (${this.text([root_key_source])})[1],
        passphrase_salt = (${this.bytea(optional(passphrase_salt))})[1],
        root_key_ref = (${this.text(root_key_ref === undefined ? [] : [root_key_ref])})[1],
        root_key_sealed = (${this.bytea(optional(root_key_sealed))})[1]
        WHERE root_key_id = (${this.bytea([expected_root_key_id])})[1] RETURNING 1)`,
    );
    this.failIf('(SELECT count(*) FROM vault) <> 1', KEYS_CHANGED);
    const owners = this.bytea(keys.map(({ owner }) => owner));
    const columns = [
      this.int4(keys.map(({ version }) => version)),
      this.bytea(keys.map(({ wrapped }) => wrapped)),
    ];
    this.add(
      'w',
      `rewrapped AS (UPDATE keyhold.wrapped_key k SET wrapped = u.wrapped
        FROM unnest(${owners}, ${columns.join(', ')}) AS u(owner, version, wrapped)
        WHERE k.owner = u.owner AND k.version = u.version RETURNING 1)`,
    );
    this.expect('rewrapped', owners, KEYS_CHANGED);
    this.failIf(`(SELECT count(*) FROM keyhold.wrapped_key) <> cardinality(${owners})`, KEYS_CHANGED);
  }

  addKeys({ keys }: Group): void {
    if (keys.length === 0) return;
    const columns = [
      this.bytea(keys.map(({ owner }) => owner)),
      this.int4(keys.map(({ version }) => version)),
      this.bytea(keys.map(({ wrapped }) => wrapped)),
    ];
    this.add(
      'k',
      `key AS (INSERT INTO keyhold.wrapped_key (owner, version, wrapped) SELECT * FROM unnest(${columns.join(', ')}))`,
    );
  }

  addRecords({ records, heads }: Group): void {
    const protected_by_head = new Set(heads.map(({ organization }) => keyOf(organization)));
    const deleted: GroupRecord[] = [];
    const inserted: Written[] = [];
    const updated: Written[] = [];
    const checked: GroupRecord[] = [];
    for (const record of records) {
      const { write, is_stored, base_revision, organization } = record;
      if (write === undefined) {
        if (organization === undefined || !protected_by_head.has(keyOf(organization))) checked.push(record);
      } else if (write === 'delete') {
        if (is_stored) deleted.push(record);
      } else (base_revision === 0 ? inserted : updated).push({ record, put: write });
    }
    this.#addDeletions(deleted);
    for (const wave of wavesOf(updated)) this.#addUpdates(wave);
    this.#addInserts(inserted);
    this.#addChecks(checked);
  }

  addEntries({ entries }: Group): void {
    if (entries.length === 0) return;
    const columns = [
      this.bytea(entries.map(({ organization }) => organization)),
      this.int8(entries.map(({ position }) => position)),
      this.int4(entries.map(({ key_version }) => key_version)),
      this.bytea(entries.map(({ sealed }) => sealed)),
      this.bytea(entries.map(({ link }) => link)),
    ];
    this.add(
      'e',
      `entry AS (INSERT INTO keyhold.audit_entry (organization, position, key_version, sealed, link)
        SELECT * FROM unnest(${columns.join(', ')}))`,
    );
  }

  #addDeletions(deleted: readonly GroupRecord[]): void {
    if (deleted.length === 0) return;
    const ids = this.bytea(deleted.map(({ id }) => id));
    const revisions = this.int8(deleted.map(({ base_revision }) => base_revision));
    this.add(
      'd',
      `deleted AS (DELETE FROM keyhold.record r USING unnest(${ids}, ${revisions}) AS u(id, revision)
        WHERE r.id = u.id AND r.revision = u.revision RETURNING 1)`,
    );
    this.failIf(IS_MOVED, MOVED_CONSTRAINT);
    this.expect('deleted', ids, RECORD_CHANGED);
    this.before.push('deleted');
  }

  #addUpdates(updated: readonly Written[]): void {
    const name = `updated_${this.before.length}`;
    const rows = updated.map(({ put }) => put.row);
    const ids = this.bytea(rows.map(({ id }) => id));
    const columns = [
      ids,
      this.int8(updated.map(({ record }) => record.base_revision)),
      this.bytea(rows.map(({ scope }) => scope)),
      this.bytea(rows.map(({ index }) => index)),
      this.int8(rows.map(({ revision }) => revision)),
      this.int4(rows.map(({ key_version }) => key_version)),
      this.bytea(rows.map(({ sealed_meta }) => sealed_meta)),
      this.bytea(updated.map(({ put }) => put.sealed_values)),
    ];
    this.add(
      `u${this.before.length}`,
      `${name} AS (UPDATE keyhold.record r SET scope = u.scope, blind_index = u.blind_index, revision = u.revision,
          key_version = u.key_version, sealed_meta = u.sealed_meta, sealed_values = u.sealed_values
        FROM unnest(${columns.join(', ')})
          AS u(id, was_revision, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
        WHERE r.id = u.id AND r.revision = u.was_revision ${this.afterParts('AND')} RETURNING 1)`,
    );
    this.expect(name, ids, RECORD_CHANGED);
    this.before.push(name);
  }

  #addInserts(inserted: readonly Written[]): void {
    if (inserted.length === 0) return;
    const puts = inserted.map(({ put }) => put);
    const rows = puts.map(({ row }) => row);
    const columns = [
      this.bytea(rows.map(({ id }) => id)),
      this.text(rows.map(({ kind }) => kind)),
      this.bytea(puts.map(({ organization }) => organization)),
      this.bytea(rows.map(({ scope }) => scope)),
      this.bytea(rows.map(({ index }) => index)),
      this.int8(rows.map(({ revision }) => revision)),
      this.int4(rows.map(({ key_version }) => key_version)),
      this.bytea(rows.map(({ sealed_meta }) => sealed_meta)),
      this.bytea(puts.map(({ sealed_values }) => sealed_values)),
    ];
    this.add(
      'p',
      `inserted AS (INSERT INTO keyhold.record (seq, id, kind, organization, scope, blind_index, revision, key_version, sealed_meta, sealed_values)
        SELECT nextval('keyhold.record_seq'), u.* FROM unnest(${columns.join(', ')}) AS u ${this.afterParts('WHERE')})`,
    );
  }

  #addChecks(checked: readonly GroupRecord[]): void {
    if (checked.length === 0) return;
    const ids = this.bytea(checked.map(({ id }) => id));
    const revisions = this.int8(checked.map(({ base_revision }) => base_revision));
    this.add(
      'c',
      `checked AS (SELECT 1 FROM keyhold.record r JOIN unnest(${ids}, ${revisions}) AS u(id, revision)
        ON r.id = u.id AND r.revision = u.revision FOR SHARE OF r)`,
    );
    this.expect('checked', ids, RECORD_CHANGED);
  }

  #headColumns(heads: readonly GroupHead[]): string {
    const columns = [
      this.int8(heads.map(({ after }) => after.position)),
      this.bytea(heads.map(({ after }) => after.link)),
      this.bytea(heads.map(({ after }) => after.head_mac)),
    ];
    return columns.join(', ');
  }
}

/** Orders updates in waves: one that takes the index of another record comes after the update that moves that record. */
function wavesOf(updated: readonly Written[]): Written[][] {
  const moved = new Map<string, Written>();
  for (const one of updated) {
    const { base_index } = one.record;
    if (base_index !== undefined && !base_index.equals(one.put.row.index)) moved.set(keyOf(base_index), one);
  }
  const waves: Written[][] = [];
  for (const one of updated) {
    let wave = 0;
    let blocking = moved.get(keyOf(one.put.row.index));
    while (blocking !== undefined && blocking !== one && wave < moved.size) {
      wave += 1;
      blocking = moved.get(keyOf(blocking.put.row.index));
    }
    waves[wave] = [...(waves[wave] ?? []), one];
  }
  return waves.filter((wave) => wave !== undefined);
}
