/** A credential as a record: the contents of its sealed metadata, and its blind indexes. */
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import type { TokenGrant } from '../../services/oauth/grants.ts';
import type { StoredMeta, StoredRecord } from '../../store/store.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { indexOf } from '../records/blind_indexes.ts';
import {
  type CredentialValues,
  idText,
  type RecordCodec,
  type SealedRecord,
} from '../records/record_codec.ts';

export const CREDENTIAL_KIND = 'credential';

/** Identifies a credential within an organization. */
export interface CredentialRef {
  readonly user: string;
  /** Its id. */
  readonly stack: string;
  /** The slug. */
  readonly service: string;
  readonly name: string | null;
}

/** A credential without its values. */
export interface CredentialMeta extends CredentialRef {
  /** UUID version 7. */
  readonly id: string;
  readonly revision: number;
  readonly type: string;
  /** Ids of the fields that have a value. */
  readonly fields: readonly string[];
  /** The id of its unit; absent: the unit of its user. */
  readonly unit?: string | undefined;
  readonly created_at: string;
  readonly updated_at: string;
  readonly modified_by: string;
  readonly inactive: boolean;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  /** Limits its uses. */
  readonly use_policy?: UsePolicy | undefined;
  /** The revision at which a value was written last. Absent: unknown, as it was not counted then. */
  readonly values_revision?: number | undefined;
  /** Absent: stored by a version that did not bind credentials, or a field is missing that decides where to. */
  readonly destination?: Destination | undefined;
  readonly rejected?: Rejection | undefined;
  /** Of an access token that Keyhold obtained or refreshed. */
  readonly token?: TokenState | undefined;
  /** Only a person changes it. Absent: no, until a person decides or KEYHOLD_PROTECT does. */
  readonly protected?: boolean | undefined;
}

/** The service refused the values; until a secret is stored again or a test finds that it accepts them. */
export interface Rejection {
  /** HTTP status; absent for other protocols. */
  readonly status?: number | undefined;
  readonly at: string;
}

/** The origin and end of the access token of a credential. */
export interface TokenState {
  /** The grant that returned it; absent: a person connected the credential. */
  readonly grant?: TokenGrant | undefined;
  /** When it ends; `null`: unknown. */
  readonly expires_at: string | null;
  /** When it was returned. */
  readonly obtained_at?: string | undefined;
  /** Since when a person must connect the credential again: the provider refused its refresh token. */
  readonly needs_reconnect_since?: string | undefined;
  /** The revision before the refreshes that followed each other; absent: the last change was none. */
  readonly stable_revision?: number | undefined;
}

/** The revision of a credential, not counting the last refreshes of its access token: they change nothing else. */
export function stableRevisionOf({ revision, token }: Pick<CredentialMeta, 'revision' | 'token'>): number {
  return token?.stable_revision ?? revision;
}

/** Returns only the reference of a credential. */
export function refOf({ user, stack, service, name }: CredentialRef): CredentialRef {
  return { user, stack, service, name };
}

/** Whether both are of one credential. */
export function isSameRef(a: CredentialRef, b: CredentialRef): boolean {
  return a.user === b.user && a.stack === b.stack && a.service === b.service && a.name === b.name;
}

/** Stands in for the metadata of a row that does not decrypt. */
export function damagedCredential(ref: CredentialRef, row: StoredMeta): CredentialMeta {
  return {
    ...ref,
    id: idText(row.id),
    revision: row.revision,
    type: 'custom',
    fields: [],
    created_at: '',
    updated_at: '',
    modified_by: '',
    inactive: true,
    expires_at: null,
    last_used_at: null,
  };
}

type SealedMeta = Omit<CredentialMeta, 'id' | 'revision'>;

/** Seals and opens the credentials of one organization. */
export class CredentialCodec {
  readonly #records: RecordCodec;

  constructor(records: RecordCodec) {
    this.#records = records;
  }

  indexOf(keyring: OrganizationKeyring, { user, stack, service, name }: CredentialRef): Buffer {
    return indexOf(keyring, CREDENTIAL_KIND, [user, stack, service, name ?? '']);
  }

  scopeOf(keyring: OrganizationKeyring, user: string, stack: string): Buffer {
    return indexOf(keyring, `${CREDENTIAL_KIND}s of a stack`, [user, stack]);
  }

  newIdBytes(): Buffer {
    return this.#records.newIdBytes();
  }

  /** `row`: the meta's id as bytes, and the scope and index of its reference, which a writer has computed already. */
  seal(
    keyring: OrganizationKeyring,
    row: Pick<StoredMeta, 'id' | 'scope' | 'index'>,
    meta: CredentialMeta,
    values: CredentialValues,
  ): SealedRecord {
    const { id, scope, index } = row;
    const { user, stack, service, name, type, fields, created_at, updated_at, modified_by } = meta;
    const { inactive, expires_at, last_used_at, unit, destination, rejected, revision } = meta;
    // Without the id and revision, which are in the row. Field by field: leaving some out of a copy costs V8 more than sealing.
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
      unit,
      destination,
      rejected,
      token: meta.token,
      use_policy: meta.use_policy,
      protected: meta.protected,
      values_revision: meta.values_revision,
    };
    return this.#records.seal(keyring, { kind: CREDENTIAL_KIND, id, scope, index, revision }, sealed, values);
  }

  /** Throws CORRUPT if the row was changed or moved. */
  openMeta(keyring: OrganizationKeyring, row: StoredMeta): CredentialMeta {
    const sealed = this.#records.openMeta(keyring, row) as SealedMeta;
    return { id: idText(row.id), revision: row.revision, ...sealed };
  }

  /**
   * As `openMeta`, but decrypts a row object only once. Requires a row that was found by an index of this keyring.
   */
  openFound(keyring: OrganizationKeyring, row: StoredMeta): CredentialMeta {
    row.derived ??= this.openMeta(keyring, row);
    return row.derived as CredentialMeta;
  }

  /** Saves decrypting a row that was just sealed. */
  remember(row: StoredMeta, meta: CredentialMeta): void {
    row.derived = meta;
  }

  /**
   * As `openMeta`, but `undefined` for a damaged row, which must not hide the others of a list. A read of that
   * credential and the audit verification report the damage.
   */
  openIfIntact(keyring: OrganizationKeyring, row: StoredMeta): CredentialMeta | undefined {
    try {
      return this.openMeta(keyring, row);
    } catch (error) {
      if (error instanceof VaultError && error.code === 'CORRUPT') return undefined;
      throw error;
    }
  }

  /** As `openMeta`, but `undefined` for a missing row and one that does not decrypt, at the same cost (anti-enumeration). */
  tryOpenMeta(keyring: OrganizationKeyring, row: StoredMeta | undefined): CredentialMeta | undefined {
    const sealed = this.#records.tryOpenMeta(keyring, row) as SealedMeta | undefined;
    return row && sealed && { id: idText(row.id), revision: row.revision, ...sealed };
  }

  /** Throws CORRUPT if the row was changed or moved. */
  openValues(keyring: OrganizationKeyring, row: StoredRecord): Map<string, Secret> {
    return this.#records.openValues(keyring, row);
  }
}
