/** Operations on organizations and their units. Authorizes the caller; the registry reads and writes the records. */
import { type UnitInfo, UnitName } from '../../contract/api_key.ts';
import { actAs, type Caller, isOperator } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import { parseInput } from '../../contract/validation.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import type { Keyring, OrganizationKeyring } from '../keys/keyring.ts';
import type { OrganizationRegistry } from './registry.ts';

export class Organizations {
  readonly #keys: Keyring;
  readonly #guard: Guard;
  readonly #registry: OrganizationRegistry;

  constructor(keys: Keyring, guard: Guard, registry: OrganizationRegistry) {
    this.#keys = keys;
    this.#guard = guard;
    this.#registry = registry;
  }

  /** Returns whether the organization exists. For authentication, which has no caller yet. */
  async has(name: string): Promise<boolean> {
    return (await this.#keys.organization(name)) !== undefined;
  }

  /** The keys of the caller's organization or of another one it may act in. Throws FORBIDDEN or NOT_FOUND. */
  async keyringFor(caller: Caller, organization?: string): Promise<OrganizationKeyring> {
    const keyring = await this.#keys.organization(actAs(caller, organization).organization);
    if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return keyring;
  }

  /** The names of all organizations but `local`, newest first. Throws FORBIDDEN unless the caller is the operator. */
  async names(caller: Caller): Promise<readonly string[]> {
    const local = await this.#guard.authorize(caller, 'org:admin', NO_SINGLE_STACK);
    if (!isOperator(caller))
      throw new VaultError('FORBIDDEN', 'Only the operator may list the organizations.');
    return this.#registry.organizationNames(local);
  }

  /** The units of an organization, newest first. The default unit is created with the first user. */
  async listUnits(caller: Caller, organization?: string): Promise<readonly UnitInfo[]> {
    await this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
    const keyring = await this.keyringFor(caller, organization);
    return this.#registry.units(keyring);
  }

  /** Creates a unit, or returns the one with this name. */
  async createUnit(caller: Caller, name: string, organization?: string): Promise<UnitInfo> {
    const unit = parseInput(UnitName, name);
    const home = await this.#guard.authorize(caller, 'org:admin', NO_SINGLE_STACK, 'create_unit');
    const actor = await this.#guard.auditDenials(
      caller,
      home,
      'create_unit',
      ['FORBIDDEN'],
      NO_SINGLE_STACK,
      () => actAs(caller, organization),
    );
    // Refused before a new organization is created for it.
    if (!(await this.has(actor.organization))) assertNewName('unit', unit);
    const { keyring } = await this.#registry.organization(caller, actor.organization);
    return this.#registry.unit(actor, keyring, unit);
  }
}
