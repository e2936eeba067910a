/** Organizations as their administrators see them: whether there is one, and which units it has. */
import { type UnitInfo, UnitName } from '../../contract/api_key.ts';
import { actingIn, type Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { parseInput } from '../../contract/validation.ts';
import type { Guard } from '../guard.ts';
import type { Keyring, OrganizationKeyring } from '../keys/keyring.ts';
import type { OrganizationRegistry } from './registry.ts';

export class Organizations {
  readonly #keys: Keyring;
  readonly #guard: Guard;
  readonly #directory: OrganizationRegistry;

  constructor(keys: Keyring, guard: Guard, directory: OrganizationRegistry) {
    this.#keys = keys;
    this.#guard = guard;
    this.#directory = directory;
  }

  /** Whether there is one of this name: for who says so of a caller that the vault does not know yet. */
  async has(name: string): Promise<boolean> {
    return (await this.#keys.organization(name)) !== undefined;
  }

  /** The keys of the caller's organization, or of another one that it may act in. Throws FORBIDDEN or NOT_FOUND. */
  async keyringFor(caller: Caller, organization?: string): Promise<OrganizationKeyring> {
    const keyring = await this.#keys.organization(actingIn(caller, organization).organization);
    if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return keyring;
  }

  /** The units of an organization, newest first. */
  async listUnits(caller: Caller, organization?: string): Promise<readonly UnitInfo[]> {
    await this.#guard.authorize(caller, 'credentials:read');
    const keyring = await this.keyringFor(caller, organization);
    await this.#directory.firstUnit(actingIn(caller, organization), keyring);
    return this.#directory.units(keyring);
  }

  /** Makes a unit, or answers with the one of that name. */
  async createUnit(caller: Caller, name: string, organization?: string): Promise<UnitInfo> {
    const unit = parseInput(UnitName, name);
    const home = await this.#guard.authorize(caller, 'org:admin', 'create_unit');
    const actor = await this.#guard.auditDenials(caller, home, 'create_unit', ['FORBIDDEN'], () =>
      actingIn(caller, organization),
    );
    const { keyring } = await this.#directory.organization(caller, actor.organization);
    return this.#directory.unit(actor, keyring, unit);
  }
}
