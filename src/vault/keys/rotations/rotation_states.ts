/**
 * The state of the rotation of an organization's data key: one record, written first in the transaction that adds a version. It shows which
 * versions records may have: once all were encrypted again, one with an earlier version was put there by somebody who has a former key.
 */
import type { RecordWrite } from '../../../store/store.ts';
import type { VaultDependencies } from '../../dependencies.ts';
import { EntityRepository, type Versioned } from '../../records/entity_repository.ts';
import type { KeyVersions } from '../key_versions.ts';
import type { OrganizationKeyring } from '../keyring.ts';

export interface RotationState {
  readonly version: number;
  readonly is_done: boolean;
  /** How many records were encrypted again so far. */
  readonly records: number;
}

const KEY: readonly string[] = [];

export class RotationStates {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records'>;
  readonly #records: EntityRepository<RotationState>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records'>) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'key_rotation');
  }

  /** `undefined` before the first rotation. Throws CORRUPT for a damaged record. */
  find(keyring: OrganizationKeyring): Promise<Versioned<RotationState> | undefined> {
    return this.#records.find(keyring, KEY);
  }

  put(
    keyring: OrganizationKeyring,
    known: Pick<Versioned<RotationState>, 'id' | 'revision'> | undefined,
    state: RotationState,
  ): RecordWrite {
    const ref = { key: KEY, scope: this.#records.scope(keyring, KEY) };
    const id = known?.id ?? this.#parts.records.newId();
    return this.#records.put(keyring, ref, id, (known?.revision ?? 0) + 1, state);
  }

  /** The oldest version that records may have. A state that is missing or older than the newest version was removed by somebody. */
  async oldestRecordVersion(keyring: KeyVersions): Promise<number> {
    const newest = keyring.key_version;
    const row = await this.#records.rowAt(keyring, KEY);
    if (row === undefined || row.key_version < newest) return newest;
    const state = this.#records.openOwn(keyring, row)?.meta;
    return state === undefined || state.is_done ? newest : keyring.versionBefore(newest);
  }
}
