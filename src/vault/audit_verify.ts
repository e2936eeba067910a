/**
 * Walks an organization's whole audit chain and holds it against the records: finds what was changed, removed, put in
 * another order, cut off, put back from an older copy, or written behind the log's back. Changes nothing.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { AuditEntry, AuditFinding, AuditReport } from '../contract/audit.ts';
import { equalBytes, FIRST_LINK, nextLink } from '../crypto/audit_chain.ts';
import type { Store, StoredEntry } from '../store/store.ts';
import { type AuditLog, isGenuine } from './audit_log.ts';
import type { CredentialCodec } from './credential_record.ts';
import type { OrganizationRing } from './key_ring.ts';
import { idBytes, idText } from './record_codec.ts';

const READ_AT_ONCE = 500;
/** A damaged file could have a finding for every row; nobody reads more than this. */
const FINDINGS_MAX = 1_000;

export type Progress = (done: number, total: number) => void;

export class AuditVerification {
  readonly #store: Store;
  readonly #log: AuditLog;
  readonly #codec: CredentialCodec;
  readonly #ring: OrganizationRing;
  readonly #findings: AuditFinding[] = [];
  /** Whether entries are missing that may have told of revisions. */
  #has_gaps = false;
  /** The last revision the log knows of each credential; `null` once it is deleted. */
  readonly #revisions = new Map<string, number | null>();
  /** The stacks that the log has seen, as [user, stack]. */
  readonly #stacks = new Map<string, readonly [string, string]>();

  constructor(store: Store, log: AuditLog, codec: CredentialCodec, ring: OrganizationRing) {
    this.#store = store;
    this.#log = log;
    this.#codec = codec;
    this.#ring = ring;
  }

  async run(progress?: Progress): Promise<AuditReport> {
    const entries = await this.#walkChain(progress);
    await this.#compareRecords();
    await this.#findUnlogged();
    const credentials = [...this.#revisions.values()].filter((revision) => revision !== null).length;
    return { ok: this.#findings.length === 0, entries, credentials, findings: this.#findings };
  }

  async #walkChain(progress?: Progress): Promise<number> {
    const end = await this.#store.auditEnd(this.#ring.id);
    if (end === undefined) {
      this.#report('log_truncated', null, null, 'The audit log is gone: not even its first entry is there.');
      return 0;
    }
    if (!isGenuine(this.#ring, end)) {
      this.#report(
        'log_truncated',
        end.position,
        null,
        'The end of the log was not written by this vault: it was cut off or put back.',
      );
    }
    let expected = 1;
    let link = FIRST_LINK;
    while (expected <= end.position) {
      const rows = await this.#store.auditEntries(this.#ring.id, expected, READ_AT_ONCE);
      if (rows.length === 0) break;
      for (const row of rows) {
        if (row.position > end.position) break;
        if (row.position !== expected) this.#missing(expected, row.position - 1);
        const sound =
          row.position === expected
            ? equalBytes(row.link, nextLink(this.#ring.keys, link, row.position, row.sealed).link)
            : true;
        this.#take(row, sound);
        link = row.link;
        expected = row.position + 1;
      }
      progress?.(expected - 1, end.position);
      await breathe();
    }
    if (expected <= end.position) this.#missing(expected, end.position);
    return end.position;
  }

  #missing(from: number, to: number): void {
    this.#has_gaps = true;
    this.#report(
      'entry_missing',
      from,
      null,
      from === to ? `Entry ${from} is missing.` : `Entries ${from} to ${to} are missing.`,
    );
  }

  #take(row: StoredEntry, link_is_sound: boolean): void {
    let entry: AuditEntry;
    try {
      entry = this.#log.open(this.#ring, row);
    } catch {
      this.#has_gaps = true;
      this.#report('entry_changed', row.position, null, `Entry ${row.position} was changed or moved.`);
      return;
    }
    if (!link_is_sound)
      this.#report(
        'entry_changed',
        row.position,
        null,
        `Entry ${row.position} does not follow from the one before it.`,
      );
    if (entry.stack_id !== null)
      this.#stacks.set(JSON.stringify([entry.user, entry.stack_id]), [entry.user, entry.stack_id]);
    if (entry.credential_id === null || entry.outcome !== 'allowed') return;
    this.#follow(entry.credential_id, entry);
  }

  /** Revisions count up by one, and a deleted credential does not come back: anything else was done around the vault. */
  #follow(id: string, { position, action, revision }: AuditEntry): void {
    const known = this.#revisions.get(id);
    const before = action === 'delete' ? revision : (revision ?? 0) - 1;
    if (known === null || (known !== undefined && (before ?? 0) < known)) {
      this.#report(
        'record_rolled_back',
        position,
        id,
        `By entry ${position}, a credential had been put back from an older copy.`,
      );
    } else if (!this.#has_gaps && before !== (known ?? 0)) {
      this.#report(
        'record_unlogged',
        position,
        id,
        `By entry ${position}, a credential was newer than the log: entries were cut off before it.`,
      );
    }
    this.#revisions.set(id, action === 'delete' ? null : revision);
  }

  async #compareRecords(): Promise<void> {
    let seen = 0;
    for (const [id, logged] of this.#revisions) {
      if (++seen % READ_AT_ONCE === 0) await breathe();
      const row = await this.#store.get(idBytes(id));
      if (row === undefined) {
        if (logged !== null && (await this.#newest(id))?.action !== 'delete') {
          this.#report('record_missing', null, id, 'A credential that the log knows is not there.');
        }
        continue;
      }
      // Another process may have written since the chain was walked: only an older revision tells of tampering.
      if (logged === null || row.revision < logged) {
        this.#report(
          'record_rolled_back',
          null,
          id,
          'A credential was put back from an older copy of the vault.',
        );
      }
      try {
        this.#codec.openMeta(this.#ring, row);
        this.#codec.openValues(this.#ring, row);
      } catch {
        this.#report('record_damaged', null, id, 'A credential does not open: it was changed or moved.');
      }
    }
  }

  async #findUnlogged(): Promise<void> {
    for (const [user, stack] of this.#stacks.values()) {
      let after: number | undefined;
      do {
        const page = await this.#store.list(
          this.#codec.scopeOf(this.#ring, user, stack),
          READ_AT_ONCE,
          after,
        );
        for (const row of page.records) {
          const id = idText(row.id);
          const logged = this.#revisions.get(id);
          if (logged === null || (logged !== undefined && row.revision <= logged)) continue;
          const newest = await this.#newest(id);
          if (newest !== undefined && (newest.revision ?? 0) >= row.revision) continue;
          this.#report(
            'record_unlogged',
            null,
            id,
            'A credential is newer than the log: entries were cut off, or it was written around the vault.',
          );
        }
        after = page.next;
        await breathe();
      } while (after !== undefined);
    }
  }

  /** The newest entry about a credential, as of now: others may have written since the chain was walked. */
  async #newest(credential_id: string): Promise<AuditEntry | undefined> {
    return this.#log.newest(this.#ring, { credential_id, outcome: 'allowed' }).catch(() => undefined);
  }

  #report(
    kind: AuditFinding['kind'],
    position: number | null,
    credential_id: string | null,
    message: string,
  ): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push({ kind, position, credential_id, message });
  }
}
