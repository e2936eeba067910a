/**
 * A credential as a record: what goes into its sealed meta, and under which blind indexes it stands.
 */
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import { blindIndex } from '../../crypto/blind_index.ts';
import type { StoredMeta, StoredRecord } from '../../store/store.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { type CredentialValues, idText, type RecordCodec } from '../records/record_codec.ts';

export const CREDENTIAL_KIND = 'credential';
const SCOPES_REMEMBERED_MAX = 1_000;

/** Where a credential is: unique within an organization. */
export interface CredentialRef {
  readonly user: string;
  /** Its id. */
  readonly stack: string;
  /** The slug. */
  readonly service: string;
  readonly name: string | null;
}

/** All of a credential but its values. */
export interface CredentialMeta extends CredentialRef {
  /** UUID version 7. */
  readonly id: string;
  readonly revision: number;
  readonly type: string;
  /** Ids of the fields that have a value. */
  readonly fields: readonly string[];
  /** The id of its unit; absent: that of its user. */
  readonly unit?: string | undefined;
  readonly created_at: string;
  readonly updated_at: string;
  readonly modified_by: string;
  readonly inactive: boolean;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  readonly last_test: { readonly at: string; readonly ok: boolean; readonly reason: string } | null;
}

type SealedMeta = Omit<CredentialMeta, 'id' | 'revision'>;

/** Seals and opens the credentials of one organization. */
export class CredentialCodec {
  /** Stacks come again and again; a few of their scopes are remembered. */
  readonly #scopes = new WeakMap<OrganizationKeyring, Map<string, Buffer>>();
  readonly #records: RecordCodec;

  constructor(records: RecordCodec) {
    this.#records = records;
  }

  indexOf(keyring: OrganizationKeyring, place: CredentialRef): Buffer {
    return blindIndex(keyring.keys.index, CREDENTIAL_KIND, [
      place.user,
      place.stack,
      place.service,
      place.name ?? '',
    ]);
  }

  scopeOf(keyring: OrganizationKeyring, user: string, stack: string): Buffer {
    const known = this.#scopes.get(keyring) ?? new Map<string, Buffer>();
    this.#scopes.set(keyring, known);
    const key = `${user.length}:${user}${stack}`;
    const scope =
      known.get(key) ?? blindIndex(keyring.keys.index, `${CREDENTIAL_KIND}s of a stack`, [user, stack]);
    if (known.size >= SCOPES_REMEMBERED_MAX) known.clear();
    known.set(key, scope);
    return scope;
  }

  newIdBytes(): Buffer {
    return this.#records.newIdBytes();
  }

  /** `row` has the bytes of the meta's id, and the blind indexes of its place: whoever writes has them already. */
  seal(
    keyring: OrganizationKeyring,
    row: Pick<StoredMeta, 'id' | 'scope' | 'index'>,
    meta: CredentialMeta,
    values: CredentialValues,
  ): StoredRecord {
    const { id, scope, index } = row;
    const { user, stack, service, name, type, fields, created_at, updated_at, modified_by } = meta;
    const { inactive, expires_at, last_used_at, last_test, unit, revision } = meta;
    // All but what stands in the row. Field by field: to leave some out of a copy costs V8 more than to seal it.
    const sealed: SealedMeta = {
      user,
      stack,
      service,
      name,
      type,
      fields,
      created_at,
      updated_at,
      modified_by,
      inactive,
      expires_at,
      last_used_at,
      last_test,
      unit,
    };
    return this.#records.seal(keyring, { kind: CREDENTIAL_KIND, id, scope, index, revision }, sealed, values);
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openMeta(keyring: OrganizationKeyring, row: StoredMeta): CredentialMeta {
    const sealed = this.#records.openMeta(keyring, row) as SealedMeta;
    return { id: idText(row.id), revision: row.revision, ...sealed };
  }

  /**
   * As `openMeta`, but `undefined` for a damaged row, for lists: it must not hide the others. Who asks for that one is
   * told, and so is whoever verifies the log.
   */
  openSound(keyring: OrganizationKeyring, row: StoredMeta): CredentialMeta | undefined {
    try {
      return this.openMeta(keyring, row);
    } catch (error) {
      if (error instanceof VaultError && error.code === 'CORRUPT') return undefined;
      throw error;
    }
  }

  /** As `openMeta`, but `undefined` for a row that is not there or does not open; as much work either way. */
  tryOpenMeta(keyring: OrganizationKeyring, row: StoredMeta | undefined): CredentialMeta | undefined {
    const sealed = this.#records.tryOpenMeta(keyring, row) as SealedMeta | undefined;
    return row && sealed && { id: idText(row.id), revision: row.revision, ...sealed };
  }

  /** Throws CORRUPT when the row is not what was sealed. */
  openValues(keyring: OrganizationKeyring, row: StoredRecord): Map<string, Secret> {
    return this.#records.openValues(keyring, row);
  }
}
