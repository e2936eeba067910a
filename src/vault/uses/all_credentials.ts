/**
 * The credentials of all users of an organization, for work in the background that is made as the users. For the operator only.
 * Reads page by page, so that memory is bounded.
 */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { Caller } from '../../contract/caller.ts';
import { CREDENTIAL_KIND, type CredentialMeta } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { scanRows } from '../records/scan.ts';
import type { StackRecords } from '../stacks/repository.ts';

/** Entries of the audit log that are read before other callers may run. */
const ENTRIES_AT_ONCE = 200;

/** The users of an organization, as far as its log was read. */
interface KnownUsers {
  read_to: number;
  readonly names: Set<string>;
}

export class AllCredentials {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  /** By organization. */
  readonly #users = new Map<string, KnownUsers>();

  constructor(parts: VaultDependencies, guard: Guard, stacks: StackRecords) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
  }

  /** Throws FORBIDDEN unless the caller is the operator. */
  async keyringOf(operator: Caller, organization: string): Promise<OrganizationKeyring> {
    return (await this.#guard.authorizeIn(operator, organization, 'org:admin', 'list_users')).keyring;
  }

  /** Skips damaged ones, which the verification of the audit log reports. */
  async *of(keyring: OrganizationKeyring, organization: string): AsyncGenerator<CredentialMeta> {
    const { store, codec } = this.#parts;
    for (const user of await this.#usersOf(keyring, organization)) {
      for (const stack of await this.#stacks.idsOf(keyring, user)) {
        for await (const row of scanRows(store, codec.scopeOf(keyring, user, stack))) {
          const meta = row.kind === CREDENTIAL_KIND ? codec.openIfIntact(keyring, row) : undefined;
          if (meta !== undefined) yield meta;
        }
      }
    }
  }

  /**
   * All users who ever had a credential. The audit log names them, also users of access tokens, who have no
   * record. Each call reads only the new entries.
   */
  async #usersOf(keyring: OrganizationKeyring, organization: string): Promise<readonly string[]> {
    const { store, audit_log } = this.#parts;
    const known = this.#users.get(organization) ?? { read_to: 0, names: new Set() };
    this.#users.set(organization, known);
    for (;;) {
      const rows = await store.auditEntries(keyring.id, known.read_to + 1, ENTRIES_AT_ONCE);
      for (const row of rows) {
        known.read_to = row.position;
        try {
          const { action, user, owner } = audit_log.open(keyring, row);
          if (action === 'store' || action === 'update' || action === 'move') known.names.add(owner ?? user);
        } catch {
          // The verification of the log reports it.
        }
      }
      if (rows.length === 0) return [...known.names];
      await yieldToEventLoop();
    }
  }
}
