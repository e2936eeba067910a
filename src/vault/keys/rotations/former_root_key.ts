/**
 * Where each former root key is until it is removed from there. Its record is written in the transaction that replaces the root key,
 * so that a process that is killed before the removal, or cannot remove the key, leaves it: `keyhold doctor` names the key, and the
 * next rotation of the root key removes it.
 */
import { KEY_BYTES, rootKeyId } from '../../../crypto/key_hierarchy.ts';
import type { RecordWrite, StoreHeader } from '../../../store/store.ts';
import type { VaultDependencies } from '../../dependencies.ts';
import { EntityRepository, removal, type Versioned } from '../../records/entity_repository.ts';
import { keyFileExists, readKeyFile } from '../key_file.ts';
import type { OrganizationKeyring } from '../keyring.ts';
import { destroyKeyFile } from '../next_key_file.ts';
import type { RootKeySource } from '../root_key.ts';

/** A root key that opens older copies of the vault only. */
export interface FormerRootKey {
  readonly source: 'file' | 'keychain';
  /** The path of the file, or the name of the entry. */
  readonly ref: string;
}

interface FormerMeta extends FormerRootKey {
  /** In hexadecimal: no other key is removed. */
  readonly root_key_id: string;
}

/** The list of the records. A record of one key alone, from before the list, has the same scope. */
const LIST: readonly string[] = ['former root key'];
/** Each rotation tries to remove all of them, so that more are never left in practice. Older ones are read after newer ones were removed. */
const FORMER_KEYS_MAX = 100;

export class FormerRootKeys {
  readonly #parts: Pick<VaultDependencies, 'store' | 'records'>;
  readonly #records: EntityRepository<FormerMeta>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records'>) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'key_rotation');
  }

  /** The writes that note the key of `header`, which is at `from`. None for a source that keeps no key, or none that Keyhold can remove. */
  async note(
    local: OrganizationKeyring,
    from: RootKeySource,
    header: StoreHeader,
  ): Promise<readonly RecordWrite[]> {
    const former = locationOf(from, header);
    if (former === undefined) return [];
    const meta = { ...former, root_key_id: header.root_key_id.toString('hex') };
    const key = [...LIST, meta.root_key_id];
    const known = await this.#records.find(local, key);
    const ref = { key, scope: this.#records.scope(local, LIST) };
    const id = known?.id ?? this.#parts.records.newId();
    return [this.#records.put(local, ref, id, (known?.revision ?? 0) + 1, meta)];
  }

  /** The former keys that were not removed, the newest first. One in a keychain that cannot be read is among them. */
  async list(local: OrganizationKeyring): Promise<readonly FormerRootKey[]> {
    const noted = await this.#readRecords(local);
    const present = await Promise.all(noted.map(({ meta }) => isPresent(meta).catch(() => true)));
    return noted.filter((_, at) => present[at]).map(({ meta: { source, ref } }) => ({ source, ref }));
  }

  /**
   * Removes all former keys that it can, at the same time, since a locked keychain responds only after a timeout. Then throws the
   * first error of the system or of the keychain; the records of the keys that are left remain.
   */
  async remove(local: OrganizationKeyring): Promise<void> {
    const removals = (await this.#readRecords(local)).map((noted) => this.#removeOne(noted));
    const failed = (await Promise.allSettled(removals)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  async #removeOne(noted: Versioned<FormerMeta>): Promise<void> {
    const { source, ref } = noted.meta;
    if (await isPresent(noted.meta)) {
      if (source === 'file') destroyKeyFile(ref);
      else await (await keychain()).discard({ ref });
    }
    await this.#parts.store.commit({ writes: [removal(noted)], audit: [] });
  }

  #readRecords(local: OrganizationKeyring): Promise<readonly Versioned<FormerMeta>[]> {
    return this.#records.list(local, this.#records.scope(local, LIST), FORMER_KEYS_MAX);
  }
}

function locationOf(from: RootKeySource, { root_key_ref }: StoreHeader): FormerRootKey | undefined {
  if (from.kind === 'file') return { source: from.kind, ref: from.path };
  if (from.kind === 'keychain' && root_key_ref !== undefined) return { source: from.kind, ref: root_key_ref };
  return undefined;
}

/** Another key may have the path or the name by now, such as on another machine. */
async function isPresent({ source, ref, root_key_id }: FormerMeta): Promise<boolean> {
  const key =
    source === 'keychain'
      ? await (await keychain()).find(ref)
      : keyFileExists(ref)
        ? Buffer.from(readKeyFile(ref), 'base64')
        : undefined;
  return key?.length === KEY_BYTES && rootKeyId(key).toString('hex') === root_key_id;
}

async function keychain() {
  const { Keychain } = await import('../keychain.ts');
  return new Keychain(undefined);
}
