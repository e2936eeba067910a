/**
 * The catalogue of built-in and custom services, found by slug, UUID or alias.
 *
 * A custom definition can never use a name of a built-in service: it could send that service's credentials to hosts of
 * its choosing. No invalid custom definition is skipped: loading fails.
 */
import path from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { ID_MAX_CHARACTERS, QUERY_MAX_CHARACTERS, SERVICES_MAX } from '../contract/limits.ts';
import { findNameProblem, nameSkeleton } from '../contract/name_rules.ts';
import type { Service } from '../contract/service/service.ts';
import { errnoOf } from '../io/errno.ts';
import { builtInServices, type CatalogueEntry, entryOf, idsOf, lazyEntry } from './built_in.ts';
import {
  type CustomDefinition,
  notApproved,
  type RefusedService,
  type RefusedState,
} from './custom/refused_service.ts';
import { checkDefinitionFolder } from './custom_rules.ts';
import { definitionError } from './definition.ts';
import { jsonFiles, readCustomFile, toService } from './definition_file.ts';
import { rankServices, suggestSlugs } from './search.ts';

export class ServiceCatalogue {
  readonly #services = new Map<string, CatalogueEntry>();
  /** Keys are slugs, UUIDs and aliases in lower case. A Map, so that no id reaches the prototype of an object. */
  readonly #by_id = new Map<string, CatalogueEntry>();
  /** File names of the custom services, by slug. */
  readonly #custom_files = new Map<string, string>();
  /** The definitions that were read from the folder, by slug. Others are of this program. */
  readonly #read = new Map<string, CustomDefinition>();
  /** Definitions that no person has approved, by slug. Only `findRefused` finds them. */
  readonly #refused = new Map<string, RefusedService>();
  #sorted: readonly Service[] | undefined;
  /** The services by the skeletons of their names. Built for the first custom service: most processes load none. */
  #by_skeleton: Map<string, Service> | undefined;

  /**
   * Reads the built-in definitions, then `*.json` in `folder`, which may be missing; names that start with a dot are
   * skipped. Throws INVALID_INPUT (`service_definition_invalid`) with file, path and reason for the first invalid custom
   * definition, and UNAVAILABLE (`unreadable`) for an unreadable file or folder.
   */
  static load(options: { readonly folder?: string } = {}): ServiceCatalogue {
    const catalogue = new ServiceCatalogue();
    // The build checks that no two have the same id.
    for (const built_in of builtInServices()) catalogue.#register(lazyEntry(built_in));
    if (catalogue.#services.size === 0) {
      const message = 'The built-in service definitions are missing. Install Keyhold again.';
      throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable' });
    }
    if (options.folder !== undefined) catalogue.#loadCustom(options.folder);
    return catalogue;
  }

  /** The services of another vault, which has validated them. Throws INVALID_INPUT if two have the same id. */
  static of(services: readonly Service[]): ServiceCatalogue {
    const catalogue = new ServiceCatalogue();
    for (const service of services) {
      catalogue.#assertFree(service, service.slug);
      catalogue.#register(entryOf(service));
    }
    return catalogue;
  }

  /**
   * The service with this slug, UUID or alias, in upper or lower case. Throws NOT_FOUND with the nearest slugs; the
   * message does not repeat the id. Throws FORBIDDEN (`service_not_approved`) for a definition that is not approved.
   */
  get(service_id: string): Service {
    const service = this.find(service_id);
    if (service !== undefined) return service;
    const refused = this.findRefused(service_id);
    if (refused !== undefined) throw notApproved(refused);
    const nearest = suggestSlugs(service_id, this.#all());
    const hint =
      nearest.length === 0 ? 'List the services to see their ids.' : `Nearest: ${nearest.join(', ')}.`;
    throw new VaultError('NOT_FOUND', `No such service. ${hint}`);
  }

  /** Like `get`, but returns undefined for an unknown service and one whose definition is not approved. */
  find(service_id: string): Service | undefined {
    if (service_id.length > ID_MAX_CHARACTERS) return undefined;
    return this.#by_id.get(service_id.toLowerCase())?.read();
  }

  /**
   * All services sorted by slug; with a query, those that match it, the best match first (`rankServices`). Throws
   * INVALID_INPUT if the query is too long.
   */
  list(query = ''): Service[] {
    if (query.length > QUERY_MAX_CHARACTERS) {
      throw new VaultError('INVALID_INPUT', `A query has at most ${QUERY_MAX_CHARACTERS} characters.`);
    }
    this.#sorted ??= this.#all().sort((a, b) => (a.slug < b.slug ? -1 : 1));
    return query.trim() === '' ? [...this.#sorted] : rankServices(this.#sorted, query);
  }

  /**
   * Reads the files that were added to the folder since `load`, and those that are refused, again. Their services stay refused
   * until `admit`. An invalid one is skipped: the next start reports it.
   */
  readAdded(folder: string): void {
    for (const slug of [...this.#refused.keys()]) this.removeCustom(slug);
    const known = new Set(this.#custom_files.values());
    const added = jsonFiles(folder).filter((name) => !known.has(name));
    if (added.length > 0) checkDefinitionFolder(folder);
    for (const name of added) {
      try {
        this.refuse(this.#addFile(folder, name), 'new');
      } catch (error) {
        if (!(error instanceof VaultError)) throw error;
      }
    }
  }

  get hasRefused(): boolean {
    return this.#refused.size > 0;
  }

  /** The file name of a custom service; undefined for a built-in or unknown one. */
  customFileOf(slug: string): string | undefined {
    return this.#custom_files.get(slug);
  }

  /** The definitions that were read from the folder, also those that are not approved. */
  customDefinitions(): readonly CustomDefinition[] {
    return [...this.#read.values()];
  }

  /** The definition that was read from the folder and has this slug, UUID or alias. */
  customDefinition(service_id: string): CustomDefinition | undefined {
    const slug = (this.find(service_id) ?? this.findRefused(service_id)?.service)?.slug;
    return slug === undefined ? undefined : this.#read.get(slug);
  }

  /** Refuses to find the service from now on, until `admit`. Its ids stay in use. */
  refuse(slug: string, state: RefusedState): void {
    const service = this.#services.get(slug)?.read();
    if (service === undefined) return;
    this.#remove(service);
    this.#refused.set(slug, { service, state });
  }

  /** Finds a service again that was refused, unless its file has been read again since. */
  admit(definition: CustomDefinition): void {
    const { slug } = definition.service;
    const refused = this.#refused.get(slug);
    if (refused === undefined || this.#read.get(slug) !== definition) return;
    this.#refused.delete(slug);
    this.#register(entryOf(refused.service));
  }

  /** A service whose definition is not approved, by slug, UUID or alias. */
  findRefused(service_id: string): RefusedService | undefined {
    if (this.#refused.size === 0 || service_id.length > ID_MAX_CHARACTERS) return undefined;
    const id = service_id.toLowerCase();
    return [...this.#refused.values()].find(({ service }) =>
      idsOf(service).some((one) => one.toLowerCase() === id),
    );
  }

  /** Removes a custom service from the catalogue of this process, so that a new definition can replace it. */
  removeCustom(slug: string): void {
    const service = this.#services.get(slug)?.read() ?? this.#refused.get(slug)?.service;
    if (service === undefined || !this.#custom_files.has(slug)) return;
    this.#remove(service);
    this.#refused.delete(slug);
    this.#custom_files.delete(slug);
    this.#read.delete(slug);
  }

  /** Throws INVALID_INPUT (`service_definition_invalid`) if another service has the slug, the id or an alias. */
  #assertFree(service: Service, file_name: string): void {
    const ids: [string, string][] = [
      ['slug', service.slug],
      ['id', service.id],
    ];
    service.aliases?.forEach((alias, at) => {
      ids.push([`aliases[${at}]`, alias]);
    });
    for (const [field, id] of ids) {
      const holder = this.#by_id.get(id.toLowerCase()) ?? this.findRefused(id)?.service;
      if (holder === undefined) continue;
      const by = this.#custom_files.get(holder.slug) ?? `the built-in service ${holder.slug}`;
      throw definitionError(file_name, field, `is taken by ${by}; choose another`);
    }
  }

  /** Throws like `#assertFree` if people would take a name of the service for a name of another one. */
  #assertDistinctName(service: Service, file_name: string): void {
    const problem = findNameProblem(service.name);
    if (problem !== undefined) throw definitionError(file_name, 'name', problem);
    const names: [string, string][] = [
      ['slug', service.slug],
      ['name', service.name],
    ];
    service.aliases?.forEach((alias, at) => {
      names.push([`aliases[${at}]`, alias]);
    });
    for (const [field, name] of names) {
      const other = this.#skeletons().get(nameSkeleton(name));
      if (other === undefined) continue;
      const by = this.#custom_files.get(other.slug) ?? `the built-in service ${other.slug}`;
      throw definitionError(file_name, field, `looks like a name of ${by}; choose another`);
    }
  }

  #skeletons(): ReadonlyMap<string, Service> {
    if (this.#by_skeleton === undefined) {
      this.#by_skeleton = new Map();
      for (const service of this.#all()) addSkeletons(service, this.#by_skeleton);
      for (const { service } of this.#refused.values()) addSkeletons(service, this.#by_skeleton);
    }
    return this.#by_skeleton;
  }

  /**
   * Throws INVALID_INPUT (`service_definition_invalid`) if the service could not be added: an id is in use, a name looks
   * like another one, or there are too many services.
   */
  assertCanAdd(service: Service, file_name: string): void {
    if (this.#services.size + this.#refused.size >= SERVICES_MAX) {
      throw definitionError(file_name, '', `exceeds the limit of ${SERVICES_MAX} services`);
    }
    this.#assertFree(service, file_name);
    this.#assertDistinctName(service, file_name);
  }

  /** Adds a custom service to the catalogue of this process. Throws like `assertCanAdd`. */
  add(service: Service, file_name: string): void {
    this.assertCanAdd(service, file_name);
    this.#register(entryOf(service));
    if (this.#by_skeleton !== undefined) addSkeletons(service, this.#by_skeleton);
    this.#custom_files.set(service.slug, path.basename(file_name));
  }

  #loadCustom(folder: string): void {
    const names = jsonFiles(folder);
    if (names.length > 0) checkDefinitionFolder(folder);
    for (const name of names) {
      try {
        this.#addFile(folder, name);
      } catch (error) {
        // Another process has removed the file since the folder was listed.
        if (!(error instanceof VaultError && errnoOf(error.cause) === 'ENOENT')) throw error;
      }
    }
  }

  /** Returns the slug of the service. */
  #addFile(folder: string, file_name: string): string {
    const json = readCustomFile(path.join(folder, file_name));
    const service = toService(json, file_name);
    this.add(service, file_name);
    this.#read.set(service.slug, { service, file_name, json });
    return service.slug;
  }

  #all(): Service[] {
    return [...this.#services.values()].map((entry) => entry.read());
  }

  #register(entry: CatalogueEntry): void {
    this.#services.set(entry.slug, entry);
    for (const id of [entry.slug, entry.id, ...entry.aliases]) {
      this.#by_id.set(id.toLowerCase(), entry);
    }
    this.#sorted = undefined;
  }

  #remove(service: Service): void {
    this.#services.delete(service.slug);
    for (const id of idsOf(service)) {
      if (this.#by_id.get(id.toLowerCase())?.slug === service.slug) this.#by_id.delete(id.toLowerCase());
    }
    this.#by_skeleton = undefined;
    this.#sorted = undefined;
  }
}

function addSkeletons(service: Service, by_skeleton: Map<string, Service>): void {
  for (const name of [service.slug, service.name, ...(service.aliases ?? [])]) {
    const skeleton = nameSkeleton(name);
    if (!by_skeleton.has(skeleton)) by_skeleton.set(skeleton, service);
  }
}
