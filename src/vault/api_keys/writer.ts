/** Writes and deletes API keys, each with its audit entry and the set of valid keys in one transaction. */
import type { NewApiKey } from '../../contract/api_key.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { KEYS_PER_USER_MAX } from '../../contract/limits.ts';
import type { Batch, RecordWrite } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { KnownUser } from '../organizations/registry.ts';
import { type EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import { idBytes, idText } from '../records/record_codec.ts';
import type { ApiKeySet } from './key_set.ts';
import { infoOf, type KeyMeta, limitsOf, makerOf, parseKey, unauthenticatedError } from './policy.ts';

/** A key record to write. A missing text means a new secret. */
export interface NewRecord {
  readonly id: string;
  readonly key: readonly string[];
  readonly revision: number;
  readonly text?: string;
  /** The user of a new key. The write conflicts if the user is removed first. */
  readonly user?: Pick<KnownUser, 'id' | 'revision'>;
  /** The key of the caller, if it is of the same organization. */
  readonly own_key_id?: string | undefined;
}

const SECRET_BYTES = 32;

type Removable = Pick<Versioned<KeyMeta>, 'id' | 'revision'>;

export class ApiKeyWriter {
  readonly #parts: VaultDependencies;
  readonly #records: EntityRepository<KeyMeta>;
  readonly #valid: ApiKeySet;

  constructor(parts: VaultDependencies, records: EntityRepository<KeyMeta>, valid: ApiKeySet) {
    this.#parts = parts;
    this.#records = records;
    this.#valid = valid;
  }

  /** The text of a new key with this id. */
  newText(id: string): string {
    return `kh_${id.replaceAll('-', '')}_${this.#parts.random(SECRET_BYTES).toString('base64url')}`;
  }

  async write(
    caller: Caller,
    keyring: OrganizationKeyring,
    { id, key, revision, text = this.newText(id), user: owner, own_key_id }: NewRecord,
    given: Omit<KeyMeta, 'secret_hash'>,
    action: 'create_key' | 'rotate_key',
  ): Promise<NewApiKey> {
    const { user } = given;
    const secret = { made_by: makerOf(caller, user), secret_hash: parseKey(text).secret_hash };
    const meta = { ...given, ...secret };
    const { audit_log, now } = this.#parts;
    const facts = { record_id: id, revision, owner: user, fields: meta.scopes, limits: limitsOf(meta) };
    const writes: RecordWrite[] = [
      ...(owner === undefined
        ? []
        : [{ do: 'check', expected_revision: owner.revision, id: idBytes(owner.id) } as const]),
      this.#records.put(keyring, { key, scope: keyring.id }, id, revision, meta),
    ];
    await this.#valid.commit(caller, keyring, (keys, key_set_revision) => {
      // Revoked since authentication: a key that is made now would outlive it.
      if (own_key_id !== undefined && !keys.has(own_key_id)) throw unauthenticatedError();
      const others = [...keys].filter(([one, valid]) => one !== id && valid.user === user);
      if (action === 'create_key' && others.length >= KEYS_PER_USER_MAX) throw tooManyKeys();
      keys.set(id, { revision, user });
      const entry = newEntry(caller, action, now(), { ...facts, key_set_revision });
      return { writes, audit: [audit_log.append(keyring, entry)] };
    });
    return { ...infoOf({ id, revision, meta }, null), key: text };
  }

  async delete(caller: Caller, keyring: OrganizationKeyring, found: Versioned<KeyMeta>): Promise<void> {
    await this.#valid.commit(caller, keyring, (keys, set_revision) => {
      keys.delete(found.id);
      return this.#deletionOf(caller, keyring, found.meta.user, [found], set_revision);
    });
  }

  /**
   * Deletes all keys of a user in one transaction with `related`, those too that are created until then. Returns their
   * ids.
   */
  async deleteAllOf(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    related: Batch,
  ): Promise<readonly string[]> {
    const isOfUser = ({ meta }: Versioned<KeyMeta>) => meta.user === user;
    const intact = await this.#records.list(keyring, keyring.id, Number.POSITIVE_INFINITY, isOfUser);
    const valid = await this.#valid.idsOf(keyring, user);
    // Rows that decrypt may not be valid, and rows of valid keys may be damaged or missing.
    const ids = new Set([...intact.map(({ id }) => id), ...valid]);
    const reads = [...ids].map((id) => ({ id: idBytes(id) }));
    let deleted: Removable[] = [];
    await this.#valid.commit(
      caller,
      keyring,
      (keys, set_revision, rows) => {
        for (const id of ids) keys.delete(id);
        const created = [...keys].filter(([, key]) => key.user === user);
        for (const [id] of created) keys.delete(id);
        deleted = [
          ...rows.flatMap((one) => (one ? [{ id: idText(one.row.id), revision: one.row.revision }] : [])),
          ...created.map(([id, { revision }]) => ({ id, revision })),
        ];
        const { writes, audit } = this.#deletionOf(caller, keyring, user, deleted, set_revision);
        return { writes: [...writes, ...related.writes], audit: [...audit, ...related.audit] };
      },
      reads,
    );
    return deleted.map(({ id }) => id);
  }

  #deletionOf(
    caller: Caller,
    keyring: OrganizationKeyring,
    user: string,
    keys: readonly Removable[],
    key_set_revision: number,
  ): Batch {
    const { audit_log, now } = this.#parts;
    const entries = keys.map(({ id, revision }) =>
      newEntry(caller, 'revoke_key', now(), { record_id: id, revision, owner: user, key_set_revision }),
    );
    return { writes: keys.map(removal), audit: entries.map((entry) => audit_log.append(keyring, entry)) };
  }
}

function tooManyKeys(): VaultError {
  const message = `A user has at most ${KEYS_PER_USER_MAX} API keys. Revoke one that is no longer used.`;
  return new VaultError('INVALID_INPUT', message);
}
