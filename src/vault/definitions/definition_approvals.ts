/**
 * Pins custom service definitions: the vault has an encrypted record of each definition that a person approved, with its
 * SHA-256. A definition file without an equal record is refused for storing and for use. Only a person approves.
 */

import { type Caller, isOperator, isPerson } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service, ServiceDefinition } from '../../contract/service/service.ts';
import { digestOf } from '../../services/canonical_json.ts';
import { checkConnections } from '../../services/custom/connection_rules.ts';
import type { CustomDefinition, RefusedState } from '../../services/custom/refused_service.ts';
import { ServicesFolder } from '../../services/custom/services_folder.ts';
import { toService } from '../../services/definition_file.ts';
import type { LoadedRow } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, NO_WRITES, removal } from '../records/entity_repository.ts';
import { idText } from '../records/record_codec.ts';

export type DefinitionState = 'approved' | RefusedState;

interface ApprovedDefinition {
  readonly slug: string;
  /** SHA-256, base64url, of the canonical JSON of `definition`. */
  readonly digest: string;
  /** As the file had it. */
  readonly definition: unknown;
  readonly approved_at: string;
}

export interface DefinitionReview {
  readonly service: Service;
  readonly file_name: string;
  readonly state: DefinitionState;
  /** The definition that was approved before; `undefined` without one, or if this version cannot read it. */
  readonly approved: Service | undefined;
}

type Parts = Pick<
  VaultDependencies,
  'store' | 'keys' | 'records' | 'audit_log' | 'services' | 'services_folder' | 'isHostAllowed' | 'now'
>;
const REPOSITORY_KIND = 'service_definition';

export class DefinitionApprovals {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #records: EntityRepository<ApprovedDefinition>;
  readonly #folder: ServicesFolder | undefined;
  /** Of the organization that has the records. */
  #organization_id: Buffer | undefined;
  #loading: Promise<void> | undefined;

  constructor(parts: Parts, guard: Guard) {
    this.#parts = parts;
    this.#guard = guard;
    this.#records = new EntityRepository(parts, REPOSITORY_KIND);
    this.#folder =
      parts.services_folder === undefined ? undefined : new ServicesFolder(parts.services_folder);
  }

  /** Takes all services out of the catalogue whose definition files are not approved. Called before the first operation. */
  async refuseUnapproved(keyring: OrganizationKeyring): Promise<void> {
    this.#organization_id = keyring.id;
    for (const found of this.#parts.services.customDefinitions()) {
      const state = stateOf(found, await this.#approvedOf(keyring, found.service.slug));
      if (state !== 'approved') this.#parts.services.refuse(found.service.slug, state);
    }
  }

  /**
   * Uses definitions that were added to the folder and approved by a person, in any process, since this one has read the
   * folder. A definition that it uses is not read again. Called before each request of a process that runs for long.
   */
  async loadApproved(): Promise<void> {
    const { services, services_folder } = this.#parts;
    if (this.#loading !== undefined) return this.#loading;
    if (services_folder === undefined || this.#folder?.isToRead(services.hasRefused) !== true) return;
    this.#loading = this.#admitApproved(services_folder).finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #admitApproved(folder: string): Promise<void> {
    const { services, keys } = this.#parts;
    try {
      services.readAdded(folder);
    } catch (error) {
      // The folder cannot be read, or others may change it: the definitions in use stay.
      if (!(error instanceof VaultError)) throw error;
    }
    if (!services.hasRefused || this.#organization_id === undefined) return;
    const keyring = await keys.organizationOf(this.#organization_id);
    if (keyring === undefined) return;
    for (const found of services.customDefinitions()) {
      const { slug } = found.service;
      if (services.findRefused(slug) === undefined) continue;
      const state = stateOf(found, await this.#approvedOf(keyring, slug));
      services.admit(found);
      if (state !== 'approved') services.refuse(slug, state);
    }
  }

  /** The states of all definition files. */
  async list(caller: Caller): Promise<readonly DefinitionReview[]> {
    const keyring = await this.#authorize(caller);
    const found = this.#parts.services.customDefinitions();
    return Promise.all(found.map((one) => this.#review(keyring, one)));
  }

  /** The definition file and the approved definition, for a person to compare. Throws NOT_FOUND for an unknown id, and INVALID_INPUT for a service that has no file. */
  async review(caller: Caller, service_id: string): Promise<DefinitionReview> {
    const keyring = await this.#authorize(caller);
    return this.#review(keyring, this.#customDefinition(service_id));
  }

  /**
   * Approves the definition that this process has read, which is the one that `review` returned, and uses it from now on.
   * Throws as `review`; INVALID_INPUT (`service_definition_invalid`) for a definition that breaks a rule for connections.
   */
  async approve(caller: Caller, service_id: string): Promise<Service> {
    // Before the file can be read again.
    const read = this.#parts.services.customDefinition(service_id);
    const keyring = await this.#authorize(caller);
    const found = read ?? this.#customDefinition(service_id);
    await this.#pin(caller, keyring, found);
    this.#parts.services.admit(found);
    return found.service;
  }

  /** Approves a definition that the caller has written to its file since this process read them. Throws as `approve`. */
  async approveNew(caller: Caller, definition: CustomDefinition): Promise<void> {
    const keyring = await this.#authorize(caller);
    await this.#pin(caller, keyring, definition);
  }

  /**
   * Adds a definition that a person accepted: validates it, records its approval and writes its file. FORBIDDEN unless the
   * person is the operator, whose definitions all organizations share. Otherwise throws as `approve` and `addService`.
   */
  async addNew(caller: Caller, definition: ServiceDefinition): Promise<Service> {
    const keyring = await this.#authorize(caller);
    const { services, services_folder } = this.#parts;
    if (!isOperator(caller) || services_folder === undefined)
      throw new VaultError('FORBIDDEN', 'Only the operator adds services, with `keyhold services add`.');
    const file_name = `${definition.slug}.json`;
    const { addService, checkNewService, definitionOf } = await import('../../services/add_service.ts');
    const service = checkNewService(definition, file_name, services);
    await this.#pin(caller, keyring, { service, file_name, json: definitionOf(service) });
    return addService(definition, file_name, services_folder, services);
  }

  /** Removes the approval, so that a file with the same content is refused. Changes nothing without one. */
  async forget(caller: Caller, slug: string): Promise<void> {
    const keyring = await this.#authorize(caller);
    const { store, audit_log, now } = this.#parts;
    const index = this.#records.indexOf(keyring, [slug]);
    await store.change([{ index }], ([loaded]) => {
      if (loaded === undefined) return { batch: NO_WRITES, result: undefined };
      const record = { id: idText(loaded.row.id), revision: loaded.row.revision };
      const facts = { record_id: record.id, service_id: slug, revision: record.revision };
      const entry = newEntry(caller, 'remove_service', now(), facts);
      const batch = { writes: [removal(record)], audit: [audit_log.append(keyring, entry)] };
      return { batch, result: undefined };
    });
  }

  async #pin(caller: Caller, keyring: OrganizationKeyring, found: CustomDefinition): Promise<void> {
    const { store, records, audit_log, now, isHostAllowed } = this.#parts;
    const { service, file_name, json } = found;
    checkConnections(service, file_name, isHostAllowed);
    const { slug } = service;
    const index = this.#records.indexOf(keyring, [slug]);
    const digest = digestOf(json);
    const new_id = records.newId();
    await store.change([{ index }], ([loaded]) => {
      if (this.#digestIn(keyring, loaded) === digest) return { batch: NO_WRITES, result: undefined };
      const id = loaded === undefined ? new_id : idText(loaded.row.id);
      const revision = (loaded?.row.revision ?? 0) + 1;
      const ref = { key: [slug], scope: this.#records.scope(keyring, []) };
      const meta = { slug, digest, definition: json, approved_at: now().toISOString() };
      const entry = newEntry(caller, 'approve_service', now(), {
        record_id: id,
        service_id: slug,
        revision,
      });
      const writes = [this.#records.put(keyring, ref, id, revision, meta)];
      return { batch: { writes, audit: [audit_log.append(keyring, entry)] }, result: undefined };
    });
  }

  #digestIn(keyring: OrganizationKeyring, loaded: LoadedRow | undefined): string | undefined {
    return this.#records.openOwn(keyring, loaded?.row)?.meta.digest;
  }

  /** A damaged record approves nothing. */
  async #approvedOf(keyring: OrganizationKeyring, slug: string): Promise<ApprovedDefinition | undefined> {
    const row = await this.#records.rowAt(keyring, [slug]);
    return this.#records.openOwn(keyring, row)?.meta;
  }

  async #review(keyring: OrganizationKeyring, found: CustomDefinition): Promise<DefinitionReview> {
    const { service, file_name } = found;
    const approved = await this.#approvedOf(keyring, service.slug);
    const state = stateOf(found, approved);
    return { service, file_name, state, approved: approved && readApproved(approved, file_name) };
  }

  #customDefinition(service_id: string): CustomDefinition {
    const { services } = this.#parts;
    const found = services.customDefinition(service_id);
    if (found !== undefined) return found;
    const { name } = services.get(service_id);
    throw new VaultError('INVALID_INPUT', `${name} is a built-in service, which needs no approval.`);
  }

  async #authorize(caller: Caller): Promise<OrganizationKeyring> {
    const action = 'approve_service';
    const { keyring } = await this.#guard.authorizeIn(caller, undefined, 'org:admin', action);
    return this.#guard.auditDenials(caller, keyring, action, ['FORBIDDEN'], null, () => {
      if (isPerson(caller)) return keyring;
      const message =
        'A person decides on service definitions, with `keyhold services` on the machine of the vault.';
      throw new VaultError('FORBIDDEN', message);
    });
  }
}

function stateOf({ json }: CustomDefinition, approved: ApprovedDefinition | undefined): DefinitionState {
  if (approved === undefined) return 'new';
  return approved.digest === digestOf(json) ? 'approved' : 'changed';
}

function readApproved({ definition }: ApprovedDefinition, file_name: string): Service | undefined {
  try {
    return toService(definition, file_name);
  } catch (error) {
    if (error instanceof VaultError && error.code === 'INVALID_INPUT') return undefined;
    throw error;
  }
}
