/** Looks up credentials by (user, stack, service, name). Never decrypts values. */
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { CredentialMeta, CredentialRef } from './codec.ts';

export class CredentialLookup {
  readonly #parts: Pick<VaultDependencies, 'store' | 'codec'>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'codec'>) {
    this.#parts = parts;
  }

  /** Throws CORRUPT if the row was changed or moved. */
  async find(keyring: OrganizationKeyring, ref: CredentialRef): Promise<CredentialMeta | undefined> {
    const { store, codec } = this.#parts;
    const row = await store.find(codec.indexOf(keyring, ref));
    return row && codec.openFound(keyring, row);
  }

  /** Also true for a damaged credential. */
  async has(keyring: OrganizationKeyring, ref: CredentialRef): Promise<boolean> {
    const { store, codec } = this.#parts;
    return (await store.find(codec.indexOf(keyring, ref))) !== undefined;
  }
}
