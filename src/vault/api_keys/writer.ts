/** Writes and deletes API keys, each with its audit entry and the set of valid keys in one transaction. */
import type { NewApiKey } from '../../contract/api_key.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { KEYS_PER_USER_MAX } from '../../contract/limits.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { type EntityRepository, removal, type Versioned } from '../records/entity_repository.ts';
import type { ApiKeySet } from './key_set.ts';
import { infoOf, type KeyMeta, limitsOf, makerOf, parseKey } from './policy.ts';

/** A key record to write. A missing text means a new secret. */
export interface NewRecord {
  readonly id: string;
  readonly key: readonly string[];
  readonly revision: number;
  readonly text?: string;
}

const SECRET_BYTES = 32;

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
    { id, key, revision, text = this.newText(id) }: NewRecord,
    given: Omit<KeyMeta, 'secret_hash'>,
    action: 'create_key' | 'rotate_key',
  ): Promise<NewApiKey> {
    const { user } = given;
    const secret = { made_by: makerOf(caller, user), secret_hash: parseKey(text).secret_hash };
    const meta = { ...given, ...secret };
    const { audit_log, now } = this.#parts;
    const facts = { record_id: id, revision, owner: user, fields: meta.scopes, limits: limitsOf(meta) };
    const entry = newEntry(caller, action, now(), facts);
    const write = this.#records.put(keyring, { key, scope: keyring.id }, id, revision, meta);
    await this.#valid.commit(
      caller,
      keyring,
      (keys) => {
        const others = [...keys].filter(([one, { user: owner }]) => one !== id && owner === user);
        if (action === 'create_key' && others.length >= KEYS_PER_USER_MAX) throw tooManyKeys();
        keys.set(id, { revision, user });
      },
      { writes: [write], audit: [audit_log.append(keyring, entry)] },
    );
    return { ...infoOf({ id, revision, meta }, null), key: text };
  }

  async delete(caller: Caller, keyring: OrganizationKeyring, found: Versioned<KeyMeta>): Promise<void> {
    const { audit_log, now } = this.#parts;
    const { id, revision, meta } = found;
    const entry = newEntry(caller, 'revoke_key', now(), { record_id: id, revision, owner: meta.user });
    await this.#valid.commit(caller, keyring, (keys) => keys.delete(id), {
      writes: [removal(found)],
      audit: [audit_log.append(keyring, entry)],
    });
  }
}

function tooManyKeys(): VaultError {
  const message = `A user has at most ${KEYS_PER_USER_MAX} API keys. Revoke one that is no longer used.`;
  return new VaultError('INVALID_INPUT', message);
}
