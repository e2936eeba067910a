/** Organizations as their administrators see them: whether there is one, and which units it has. */
import { type UnitInfo, UnitName } from '../../contract/api_key.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { parseInput } from '../../contract/validation.ts';
import { targetOf } from '../api_keys/policy.ts';
import { actorIn, type Guard } from '../guard.ts';
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
  async ringFor(caller: Caller, organization?: string): Promise<OrganizationKeyring> {
    targetOf(caller, organization);
    const keyring = await this.#keys.organization(organization ?? caller.organization);
    if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return keyring;
  }

  /** The units of an organization, newest first. */
  async listUnits(caller: Caller, organization?: string): Promise<readonly UnitInfo[]> {
    await this.#guard.authorize(caller, 'credentials:read');
    const keyring = await this.ringFor(caller, organization);
    await this.#directory.firstUnit(actorIn(caller, organization ?? caller.organization), keyring);
    return this.#directory.units(keyring);
  }

  /** Makes a unit, or answers with the one of that name. */
  async createUnit(caller: Caller, name: string, organization?: string): Promise<UnitInfo> {
    const unit = parseInput(UnitName, name);
    const home = await this.#guard.authorize(caller, 'org:admin', 'create_unit');
    await this.#guard.auditDenials(caller, home, 'create_unit', ['FORBIDDEN'], () =>
      targetOf(caller, organization),
    );
    const where = organization ?? caller.organization;
    const { keyring } = await this.#directory.organization(caller, where);
    return this.#directory.unit(actorIn(caller, where), keyring, unit);
  }
}
