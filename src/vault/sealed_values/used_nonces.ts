/**
 * The nonces of sealed values that were stored, one record each until the value expires, so that no value is stored
 * twice by any process. Written in the transaction of the credential; without an audit entry of its own.
 */
import type { LoadedRow, RecordWrite, RowRead } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository } from '../records/entity_repository.ts';
import { HourlySweep } from '../records/hourly_sweep.ts';
import { scanRows } from '../records/scan.ts';
import { type SealedNonce, sealedValueError } from './reader.ts';

const DELETED_AT_ONCE_MAX = 500;

interface NonceMeta {
  readonly expires_at: string;
}

type NonceParts = Pick<VaultDependencies, 'store' | 'records' | 'now'>;

export class UsedNonces {
  readonly #parts: NonceParts;
  readonly #records: EntityRepository<NonceMeta>;
  readonly #sweep = new HourlySweep();

  constructor(parts: NonceParts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'sealed_nonce');
  }

  reads(keyring: OrganizationKeyring, nonces: readonly SealedNonce[]): RowRead[] {
    return nonces.map(({ nonce }) => ({ index: this.#records.indexOf(keyring, [nonce]) }));
  }

  /** The writes that remember the nonces. Throws INVALID_INPUT if one of the rows exists. */
  writes(
    keyring: OrganizationKeyring,
    nonces: readonly SealedNonce[],
    rows: readonly (LoadedRow | undefined)[],
  ): RecordWrite[] {
    if (rows.some((row) => row !== undefined)) throw sealedValueError();
    return nonces.map(({ nonce, expires_at }) => {
      const ref = { key: [nonce], scope: this.#records.scope(keyring, []) };
      return this.#records.put(keyring, ref, this.#parts.records.newId(), 1, { expires_at });
    });
  }

  /** Deletes expired nonces in the background, at most once an hour. */
  sweep(keyring: OrganizationKeyring): void {
    this.#sweep.run(keyring, () => this.#deleteExpired(keyring));
  }

  async #deleteExpired(keyring: OrganizationKeyring): Promise<void> {
    const now_ms = this.#parts.now().getTime();
    const writes: RecordWrite[] = [];
    for await (const row of scanRows(this.#parts.store, this.#records.scope(keyring, []))) {
      const meta = this.#records.openOwn(keyring, row)?.meta;
      if (meta === undefined || Date.parse(meta.expires_at) > now_ms) continue;
      writes.push({ do: 'delete', expected_revision: row.revision, id: row.id });
      if (writes.length === DELETED_AT_ONCE_MAX)
        await this.#parts.store.commit({ writes: writes.splice(0), audit: [] });
    }
    if (writes.length > 0) await this.#parts.store.commit({ writes, audit: [] });
  }
}
