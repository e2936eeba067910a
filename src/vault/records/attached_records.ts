/**
 * Records about an API key or a credential that are written without changing it and without an audit entry, such as when it
 * was last used. One each, found by the id of what it is about.
 */
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository } from './entity_repository.ts';
import { idBytes, idText } from './record_codec.ts';

/** The id and present revision of what a record is about. */
export interface Subject {
  readonly id: string;
  readonly revision: number;
}

export class AttachedRecords<Meta extends object> {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records'>;
  readonly #records: EntityRepository<Meta>;

  constructor(
    parts: Pick<VaultDependencies, 'store' | 'records'>,
    kind: 'api_key_use' | 'credential_use' | 'credential_test' | 'token_refresh',
  ) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, kind);
  }

  async get(keyring: OrganizationKeyring, id: string): Promise<Meta | undefined> {
    return (await this.#records.findIntact(keyring, [id]))?.meta;
  }

  /** Rejects with CONFLICT, and writes nothing, if the subject was changed or deleted. */
  async put(keyring: OrganizationKeyring, subject: Subject, meta: Meta): Promise<void> {
    // Not decrypted, so that a damaged record is overwritten.
    const row = await this.#records.rowAt(keyring, [subject.id]);
    const id = row === undefined ? this.#parts.records.newId() : idText(row.id);
    const ref = { key: [subject.id], scope: this.#records.scope(keyring, []) };
    const write = this.#records.put(keyring, ref, id, (row?.revision ?? 0) + 1, meta);
    const check = { do: 'check', expected_revision: subject.revision, id: idBytes(subject.id) } as const;
    await this.#parts.store.commit({ writes: [check, write], audit: [] });
  }

  /** Deletes the record of a deleted key or credential. A failure is ignored: the record is then unused. */
  async forget(keyring: OrganizationKeyring, subject_id: string): Promise<void> {
    const row = await this.#records.rowAt(keyring, [subject_id]).catch(() => undefined);
    if (row === undefined) return;
    const deletion = { do: 'delete', expected_revision: row.revision, id: row.id } as const;
    await this.#parts.store.commit({ writes: [deletion], audit: [] }).catch(() => undefined);
  }
}
