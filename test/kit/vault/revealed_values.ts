/** Opens a vault the way no edge can: with its keys, to see whether the values in it are the ones that were written. */
import { DEFAULT_STACK, LOCAL_ORGANIZATION, LOCAL_USER } from '../../../src/contract/caller.ts';
import { systemRandom } from '../../../src/crypto/random.ts';
import { loadSodium } from '../../../src/crypto/sodium.ts';
import { parseSettings } from '../../../src/settings/settings.ts';
import { openSqlite } from '../../../src/store/sqlite/store.ts';
import { CredentialCodec } from '../../../src/vault/credentials/codec.ts';
import { Keyring } from '../../../src/vault/keys/keyring.ts';
import { readRootKey } from '../../../src/vault/keys/root_key.ts';
import { RecordCodec } from '../../../src/vault/records/record_codec.ts';
import { scanRows } from '../../../src/vault/records/scan.ts';

export interface RevealedCredential {
  readonly credential_id: string;
  readonly revision: number;
  readonly values: Readonly<Record<string, string>>;
}

/**
 * Every credential of the default stack, by service and name (`linear`, `linear/work`). The vault must have a key
 * file; no other connection of this process may be open to it.
 */
export async function revealedValues(home: string): Promise<Map<string, RevealedCredential>> {
  const { store_path, root_key } = parseSettings({ KEYHOLD_HOME: home });
  if (root_key.kind !== 'file') throw new Error('this vault has no key file');
  const sodium = await loadSodium();
  const store = openSqlite(store_path);
  try {
    const keys = await Keyring.open(store, sodium, await readRootKey(root_key, undefined));
    const ring = await keys.organization(LOCAL_ORGANIZATION);
    if (ring === undefined) return new Map();
    const codec = new CredentialCodec(new RecordCodec(sodium, systemRandom, 'aes-256-gcm'));
    const revealed = new Map<string, RevealedCredential>();
    for await (const { id } of scanRows(store, codec.scopeOf(ring, LOCAL_USER, DEFAULT_STACK))) {
      const row = await store.get(id);
      if (row === undefined) continue;
      const meta = codec.openMeta(ring, row);
      const values = [...codec.openValues(ring, row)].map(([field, value]) => [field, value.reveal()]);
      const place = meta.name === null ? meta.service : `${meta.service}/${meta.name}`;
      revealed.set(place, {
        credential_id: meta.id,
        revision: meta.revision,
        values: Object.fromEntries(values),
      });
    }
    return revealed;
  } finally {
    await store.close();
  }
}
