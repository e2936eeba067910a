/**
 * Finds out whether a group was committed whose connection broke before the server confirmed it. The link of an audit entry
 * is a keyed hash over a ciphertext with a random nonce: an entry with it can only come from that group.
 */
import type { Query, Rows, Session } from '../connection.ts';
import { BrokenConnectionError } from '../errors.ts';
import { BEGIN, COMMIT, ROLLBACK } from '../statements.ts';
import type { Group } from './group.ts';
import type { PendingChange } from './pending_changes.ts';
import { WRITE_TIMEOUT_MS, writeStatement } from './write_statement.ts';

/** The outcome of a group after its statement was sent and the connection broke. */
export class UnknownOutcome {
  readonly #group: Group;
  #is_sent_again = false;

  constructor(group: Group) {
    this.#group = group;
  }

  /**
   * Looks for the group, and sends its statement again if it is missing, once: the bytes of the first one may reach the server
   * later than the query. The server accepts one of the two, since both expect the same heads and records. After a
   * second lost connection, and for a group with keys, a late statement can still precede the next plan. Throws if
   * the connection breaks again, or if a synchronous standby has not confirmed.
   */
  async isCommitted(session: Session): Promise<boolean> {
    session.takeWarning();
    let is_committed = await wasCommitted(session, this.#group);
    if (!is_committed && !this.#is_sent_again) {
      this.#is_sent_again = true;
      is_committed = await sendAgain(session, this.#group);
    }
    if (session.takeWarning()) throw new BrokenConnectionError('the standby did not confirm the commit');
    return is_committed;
  }
}

async function sendAgain(session: Session, group: Group): Promise<boolean> {
  // The statement does not check whether other keys were added.
  const is_complete = group.keys.length === 0 && group.root_key === undefined;
  const statement = is_complete ? writeStatement(group) : undefined;
  if (statement === undefined) return false;
  try {
    await session.run([statement], WRITE_TIMEOUT_MS);
    return true;
  } catch (error) {
    if (error instanceof BrokenConnectionError) throw error;
    return wasCommitted(session, group);
  }
}

async function wasCommitted(session: Session, group: Group): Promise<boolean> {
  const [head] = group.heads;
  if (head === undefined) return hasRecord(session, group);
  const { organization, before, first_link } = head;
  // Both wait for a transaction of the lost connection that is in progress still. A lock finds no row that it inserts.
  if (before === undefined) await session.run([BEGIN, claimQuery(organization), ROLLBACK]);
  const results = await session.run([
    BEGIN,
    {
      text: 'SELECT 1 FROM keyhold.audit_chain WHERE organization = $1 FOR UPDATE',
      values: [organization],
    },
    {
      text: 'SELECT link FROM keyhold.audit_entry WHERE organization = $1 AND position = $2',
      values: [organization, String((before?.position ?? 0) + 1)],
    },
    COMMIT,
  ]);
  return firstBytes(results[2])?.equals(first_link) === true;
}

/** The changes that the group does not contain: its outcome does not settle them. */
export function othersOf({ done, failed }: Group, changes: readonly PendingChange[]): PendingChange[] {
  const planned = new Set([...done, ...failed.map(([change]) => change)]);
  return changes.filter((change) => !planned.has(change));
}

const NO_BYTES: Buffer = Buffer.alloc(0);

function claimQuery(organization: Buffer): Query {
  return {
    text: 'INSERT INTO keyhold.audit_chain VALUES ($1, 0, $2, $2) ON CONFLICT DO NOTHING',
    values: [organization, NO_BYTES],
  };
}

/**
 * For a group without audit entries: the nonce of a record's ciphertext is random too. Of a group of deletions, a record that
 * does not exist any more: another node may have deleted it meanwhile.
 */
async function hasRecord(session: Session, group: Group): Promise<boolean> {
  for (const { write } of group.records) {
    if (write === undefined || write === 'delete') continue;
    const { id, revision, sealed_meta } = write.row;
    const results = await session.run([
      BEGIN,
      {
        text: 'SELECT sealed_meta FROM keyhold.record WHERE id = $1 AND revision = $2 FOR UPDATE',
        values: [id, String(revision)],
      },
      COMMIT,
    ]);
    return firstBytes(results[1])?.equals(sealed_meta) === true;
  }
  const deleted = group.records.find(({ write, is_stored }) => write === 'delete' && is_stored);
  if (deleted === undefined) return false;
  const lock = { text: 'SELECT 1 FROM keyhold.record WHERE id = $1 FOR UPDATE', values: [deleted.id] };
  const [, rows = []] = await session.run([BEGIN, lock, COMMIT]);
  return rows.length === 0;
}

function firstBytes(rows: Rows | undefined): Buffer | undefined {
  const value = rows?.[0]?.[0];
  return Buffer.isBuffer(value) ? value : undefined;
}
