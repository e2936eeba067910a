/**
 * Where the former root key is until it is removed from there. The record is written in the transaction that replaces the root key,
 * so that a process that is killed before the removal, or cannot remove the key, leaves it: `keyhold doctor` names the key, and the
 * next rotation of the root key removes it.
 */
import { KEY_BYTES, rootKeyId } from '../../../crypto/key_hierarchy.ts';
import type { RecordWrite, StoreHeader } from '../../../store/store.ts';
import type { VaultDependencies } from '../../dependencies.ts';
import { EntityRepository, removal } from '../../records/entity_repository.ts';
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

const KEY: readonly string[] = ['former root key'];

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
    const known = await this.#records.find(local, KEY);
    const ref = { key: KEY, scope: this.#records.scope(local, KEY) };
    const meta = { ...former, root_key_id: header.root_key_id.toString('hex') };
    const id = known?.id ?? this.#parts.records.newId();
    return [this.#records.put(local, ref, id, (known?.revision ?? 0) + 1, meta)];
  }

  /** The former key, if it was not removed. Throws LOCKED if its keychain cannot be read. */
  async find(local: OrganizationKeyring): Promise<FormerRootKey | undefined> {
    const known = await this.#records.find(local, KEY);
    if (known === undefined || !(await isPresent(known.meta))) return undefined;
    return { source: known.meta.source, ref: known.meta.ref };
  }

  /** Removes the former key, if there is one. Throws the errors of the system and of the keychain; the record then remains. */
  async remove(local: OrganizationKeyring): Promise<void> {
    const known = await this.#records.find(local, KEY);
    if (known === undefined) return;
    const { source, ref } = known.meta;
    if (await isPresent(known.meta)) {
      if (source === 'file') destroyKeyFile(ref);
      else await (await keychain()).discard({ ref });
    }
    await this.#parts.store.commit({ writes: [removal(known)], audit: [] });
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
