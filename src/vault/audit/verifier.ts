/**
 * Compares an organization's whole audit chain with the records: detects changed, removed, reordered, truncated, rolled
 * back and unlogged records and entries. Changes nothing.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import {
  type AuditEntry,
  type AuditFinding,
  type AuditReport,
  READING_ACTIONS,
  REMOVING_ACTIONS,
} from '../../contract/audit.ts';
import { LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { constantTimeEqual, GENESIS_LINK, LINK_BYTES, nextLink } from '../../crypto/audit_chain.ts';
import type { Store, StoredEntry, StoredRecord } from '../../store/store.ts';
import { keySetIndex } from '../api_keys/key_set.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { listScope } from '../records/entity_repository.ts';
import { idBytes, idText } from '../records/record_codec.ts';
import { scanRows } from '../records/scan.ts';
import { LaterChanges, type Pace } from './later_changes.ts';
import { type AuditLog, isAuthenticHead } from './log.ts';
import { LoggedVersions } from './logged_versions.ts';
import { findBrokenOrganizations } from './organizations.ts';

/** A limit, since a damaged file can have a finding for every row. */
const FINDINGS_MAX = 1_000;

/** What every entry but the last has in place of a head MAC. */
const NO_HEAD_MAC: Buffer = Buffer.alloc(LINK_BYTES);

const FAST: Pace = { rows: 500, pause: () => yieldToEventLoop() };

export interface VerifyOptions {
  readonly progress?: ((done: number, total: number) => void) | undefined;
  readonly pace?: Pace;
  /** Takes an older copy of the vault for the newest state, if nothing else was found: it was restored on purpose. */
  readonly accept?: boolean | undefined;
}

/** The record that an entry or a finding is about. */
interface Subject {
  readonly credential_id: string | null;
  readonly record_id: string | null;
}
const NO_SUBJECT: Subject = { credential_id: null, record_id: null };

/** The newest revision of a record in the log. */
interface Logged {
  readonly subject: Subject;
  /** `null` once it is deleted. */
  readonly revision: number | null;
}

type VerifiedParts = Pick<VaultDependencies, 'store' | 'audit_log' | 'codec' | 'records' | 'keys' | 'anchor'>;

export class AuditVerifier {
  readonly #parts: VerifiedParts;
  readonly #store: Store;
  readonly #audit_log: AuditLog;
  readonly #keyring: OrganizationKeyring;
  readonly #options: VerifyOptions;
  readonly #pace: Pace;
  readonly #findings: AuditFinding[] = [];
  /** The newest revision of the set of valid API keys in the log. */
  #key_set_revision = 0;
  readonly #versions = new LoggedVersions();
  /** Whether entries that may have recorded revisions are missing. */
  #has_gaps = false;
  /** By the ids of the records. */
  readonly #logged = new Map<string, Logged>();
  readonly #later: LaterChanges;
  /** The users whose records are in the log. */
  readonly #users = new Set<string>();
  /** The stacks in the log, as [user, stack]. */
  readonly #stacks = new Map<string, readonly [string, string]>();

  constructor(parts: VerifiedParts, keyring: OrganizationKeyring, options: VerifyOptions = {}) {
    this.#parts = parts;
    this.#store = parts.store;
    this.#audit_log = parts.audit_log;
    this.#keyring = keyring;
    this.#options = options;
    this.#pace = options.pace ?? FAST;
    this.#later = new LaterChanges(parts, keyring, this.#pace);
  }

  async run(): Promise<AuditReport> {
    const entries = await this.#walkChain();
    await this.#compareRecords();
    await this.#checkKeySet();
    await this.#findUnlogged();
    await this.#checkOrganizations();
    const credentials = [...this.#logged.values()].filter(
      ({ subject, revision }) => subject.credential_id !== null && revision !== null,
    ).length;
    return { ok: this.#findings.length === 0, entries, credentials, findings: this.#findings };
  }

  async #walkChain(): Promise<number> {
    const end = await this.#store.auditHead(this.#keyring.id);
    if (end === undefined) {
      this.#report('log_truncated', null, NO_SUBJECT, 'The audit log is missing, including its first entry.');
      return 0;
    }
    if (!isAuthenticHead(this.#keyring, end)) {
      this.#report(
        'log_truncated',
        end.position,
        NO_SUBJECT,
        'The head of the log was not written by this vault: the log was truncated or rolled back.',
      );
    }
    this.#later.readAfter(end.position);
    let expected = 1;
    let link = GENESIS_LINK;
    while (expected <= end.position) {
      const rows = await this.#store.auditEntries(this.#keyring.id, expected, this.#pace.rows);
      if (rows.length === 0) break;
      for (const row of rows) {
        if (row.position > end.position) break;
        if (row.position !== expected) this.#reportMissing(expected, row.position - 1);
        const next = nextLink(this.#keyring.keysOf(row.key_version), link, row.position, row.sealed);
        this.#checkEntry(row, row.position !== expected || constantTimeEqual(row.link, next.link));
        if (row.position < end.position && !row.head_mac.equals(NO_HEAD_MAC)) {
          const message = `Entry ${row.position} has bytes that only the last entry may have.`;
          this.#report('entry_changed', row.position, NO_SUBJECT, message);
        }
        link = row.link;
        expected = row.position + 1;
      }
      this.#options.progress?.(expected - 1, end.position);
      await this.#pace.pause();
    }
    if (expected <= end.position) this.#reportMissing(expected, end.position);
    await this.#checkNewestVersion();
    return end.position;
  }

  async #checkNewestVersion(): Promise<void> {
    if (this.#has_gaps || this.#keyring.key_version <= this.#versions.newest) return;
    // Another process may have rotated the key since the chain was read.
    const head = await this.#store.auditHead(this.#keyring.id);
    const message = 'The rotation of the data key is missing at the end of the log: the log was truncated.';
    if (head !== undefined && head.key_version < this.#keyring.key_version)
      this.#report('log_truncated', null, NO_SUBJECT, message);
  }

  #reportMissing(from: number, to: number): void {
    this.#has_gaps = true;
    this.#report(
      'entry_missing',
      from,
      NO_SUBJECT,
      from === to ? `Entry ${from} is missing.` : `Entries ${from} to ${to} are missing.`,
    );
  }

  #checkEntry(row: StoredEntry, link_is_sound: boolean): void {
    let entry: AuditEntry;
    try {
      entry = this.#audit_log.open(this.#keyring, row);
    } catch (error) {
      if (error instanceof VaultError && error.reason === 'newer_format') throw error;
      this.#has_gaps = true;
      const message = `Entry ${row.position} was changed or moved.`;
      this.#report('entry_changed', row.position, NO_SUBJECT, message);
      return;
    }
    if (!link_is_sound) {
      const message = `Entry ${row.position} does not follow from the one before it.`;
      this.#report('entry_changed', row.position, NO_SUBJECT, message);
    }
    if (!this.#versions.follow(row.key_version, entry)) {
      const message = `Entry ${row.position} is encrypted with another version of the data key than the entries before it.`;
      this.#report('entry_changed', row.position, NO_SUBJECT, message);
    }
    this.#key_set_revision = entry.key_set_revision ?? this.#key_set_revision;
    const owner = entry.owner ?? entry.user;
    this.#users.add(owner);
    if (entry.stack_id !== null)
      this.#stacks.set(JSON.stringify([owner, entry.stack_id]), [owner, entry.stack_id]);
    if (entry.outcome === 'allowed' && !READING_ACTIONS.has(entry.action)) this.#trackRevision(entry);
  }

  /** Reports a revision that did not increase by one, or that follows a deletion: a write that bypassed the vault. */
  #trackRevision({ position, action, revision, credential_id, record_id }: AuditEntry): void {
    const id = credential_id ?? record_id;
    if (id === null) return;
    const subject = { credential_id, record_id };
    const known = this.#logged.get(id)?.revision;
    const removed = REMOVING_ACTIONS.has(action);
    const before = removed ? revision : (revision ?? 0) - 1;
    if (known === null || (known !== undefined && (before ?? 0) < known)) {
      const message = `By entry ${position}, a ${recordTerm(subject)} had been rolled back to an older copy.`;
      this.#report('record_rolled_back', position, subject, message);
    } else if (!this.#has_gaps && before !== (known ?? 0)) {
      const message = `By entry ${position}, a ${recordTerm(subject)} was newer than the log: entries were truncated before it.`;
      this.#report('record_unlogged', position, subject, message);
    }
    this.#logged.set(id, { subject, revision: removed ? null : revision });
  }

  async #compareRecords(): Promise<void> {
    let seen = 0;
    for (const [id, { subject, revision }] of this.#logged) {
      if (++seen % this.#pace.rows === 0) await this.#pace.pause();
      const what = recordTerm(subject);
      const row = await this.#store.get(idBytes(id));
      if (row === undefined) {
        const later = revision === null ? undefined : await this.#later.of(id);
        if (revision !== null && !(later && REMOVING_ACTIONS.has(later.action)))
          this.#report('record_missing', null, subject, `A ${what} in the log is missing.`);
        continue;
      }
      // Another process may have written since the chain was read: only an older revision is tampering.
      if (revision === null || row.revision < revision) {
        const message = `A ${what} was rolled back to an older copy of the vault.`;
        this.#report('record_rolled_back', null, subject, message);
      }
      const is_former = row.key_version < this.#versions.of_records;
      if (!is_former && this.#opens(row)) continue;
      const why = is_former
        ? 'has a former data key: it was damaged or forged'
        : 'does not decrypt: it was changed or moved';
      this.#report('record_damaged', null, subject, `A ${what} ${why}.`);
    }
  }

  #opens(row: StoredRecord): boolean {
    try {
      this.#parts.records.openMeta(this.#keyring, row);
      this.#parts.records.openValues(this.#keyring, row);
      return true;
    } catch {
      return false;
    }
  }

  async #checkKeySet(): Promise<void> {
    if (this.#key_set_revision === 0) return;
    const row = await this.#store.find(keySetIndex(this.#keyring));
    if (row === undefined)
      this.#report('record_missing', null, NO_SUBJECT, 'The list of valid API keys is missing.');
    else if (row.revision < this.#key_set_revision || row.key_version < this.#versions.of_records)
      this.#report('record_rolled_back', null, NO_SUBJECT, 'The list of valid API keys was rolled back.');
  }

  async #findUnlogged(): Promise<void> {
    for (const [user, stack] of this.#stacks.values())
      await this.#findUnloggedIn(this.#parts.codec.scopeOf(this.#keyring, user, stack), 'credential_id');
    const listOf = (kind: string, of: readonly string[] = []) => listScope(this.#keyring, kind, of);
    const lists = [
      // The API keys.
      this.#keyring.id,
      ...['organization', 'unit', 'user', 'service_definition'].map((kind) => listOf(kind)),
      ...[...this.#users].map((user) => listOf('stack', [user])),
    ];
    for (const list of lists) await this.#findUnloggedIn(list, 'record_id');
  }

  async #findUnloggedIn(scope: Buffer, named_as: keyof Subject): Promise<void> {
    for await (const row of scanRows(this.#store, scope, this.#pace.rows)) {
      const id = idText(row.id);
      const logged = this.#logged.get(id)?.revision;
      if (logged === null || (logged !== undefined && row.revision <= logged)) continue;
      const subject = { ...NO_SUBJECT, [named_as]: id };
      const later = await this.#later.of(id);
      if (later !== undefined && (later.revision ?? 0) >= row.revision) continue;
      const message = `A ${recordTerm(subject)} is newer than the log: entries were truncated, or the write bypassed the vault.`;
      this.#report('record_unlogged', null, subject, message);
    }
    await this.#pace.pause();
  }

  /** The log of `local` names the other organizations. One that was erased has no log of its own to show it. */
  async #checkOrganizations(): Promise<void> {
    const local = await this.#parts.keys.organization(LOCAL_ORGANIZATION);
    if (local === undefined || !local.id.equals(this.#keyring.id)) return;
    for await (const { record_id, kind, message } of findBrokenOrganizations(this.#parts, local))
      this.#report(kind, null, { ...NO_SUBJECT, record_id }, message);
    // Any other finding shows a change already.
    if (this.#findings.length > 0) return;
    if (this.#options.accept) await this.#parts.anchor?.accept();
    const rollback = await this.#parts.anchor?.verify();
    if (rollback !== undefined) this.#report(rollback.kind, null, NO_SUBJECT, rollback.message);
  }

  #report(kind: AuditFinding['kind'], position: number | null, subject: Subject, message: string): void {
    if (this.#findings.length < FINDINGS_MAX) this.#findings.push({ kind, position, ...subject, message });
  }
}

function recordTerm({ credential_id }: Subject): string {
  return credential_id === null ? 'record' : 'credential';
}
