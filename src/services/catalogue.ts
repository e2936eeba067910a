/**
 * All services that there are: the built-in ones and people's own, found by slug, UUID or alias.
 *
 * An own definition never takes a name that a built-in one has, or it could send that service's credentials to
 * hosts of its choosing. Nothing is skipped in silence: one wrong own definition makes loading fail.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VaultError } from '../contract/errors.ts';
import { ID_MAX_CHARACTERS, QUERY_MAX_CHARACTERS, SERVICES_MAX } from '../contract/limits.ts';
import type { Service, ServiceDefinition } from '../contract/service.ts';
import { errnoOf } from '../io/errno.ts';
import { toService } from './custom_service.ts';
import { definitionError, parseDefinition } from './definition.ts';
import { parseJson, readJsonFile } from './definition_file.ts';
import { suggestSlugs } from './search.ts';
import { serviceMatches, tokenize } from './search_words.ts';
import { serviceId } from './service_id.ts';

export class ServiceCatalogue {
  readonly #services = new Map<string, Service>();
  /** Slugs, UUIDs and aliases, all in lower case. A Map, so that no id reaches the prototype of an object. */
  readonly #by_id = new Map<string, Service>();
  /** Slugs of own services, and the names of the files they come from. */
  readonly #own_files = new Map<string, string>();
  /** Built-in definitions that were not used yet: checking all of them at once would cost every start some 30 ms. */
  readonly #unchecked = new Set<string>();
  #in_order: readonly Service[] | undefined;

  /**
   * Reads the built-in definitions and then `*.json` in `folder`, which need not exist; names that start with a dot
   * are passed over. Throws INVALID_INPUT (`service_definition_invalid`) naming file, place and reason for the first
   * wrong own definition, and UNAVAILABLE (`unreadable`) for what cannot be read.
   */
  static load(options: { readonly folder?: string } = {}): ServiceCatalogue {
    const catalogue = new ServiceCatalogue();
    const built_in = fileURLToPath(new URL('./definitions/', import.meta.url));
    for (const name of jsonFiles(built_in)) {
      const definition = parseJson(
        fs.readFileSync(path.join(built_in, name), 'utf8'),
        name,
      ) as ServiceDefinition;
      catalogue.#register({ ...definition, id: serviceId(definition.slug) }, name);
      catalogue.#unchecked.add(definition.slug);
    }
    if (catalogue.#services.size === 0) {
      const message = 'The built-in service definitions are missing. Install Keyhold again.';
      throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable' });
    }
    if (options.folder !== undefined) catalogue.#loadOwn(options.folder);
    return catalogue;
  }

  /** The services of another vault, which has checked them. Throws INVALID_INPUT when two have the same id. */
  static of(services: readonly Service[]): ServiceCatalogue {
    const catalogue = new ServiceCatalogue();
    for (const service of services) catalogue.#register(service, service.slug);
    return catalogue;
  }

  /**
   * The service with this slug, UUID or alias, in any case of letters. Throws NOT_FOUND with the nearest slugs; the
   * message does not repeat what was asked for.
   */
  get(service_id: string): Service {
    const service = this.find(service_id);
    if (service !== undefined) return service;
    const nearest = suggestSlugs(service_id, this.#services.values());
    const hint =
      nearest.length === 0 ? 'List the services to see their ids.' : `Nearest: ${nearest.join(', ')}.`;
    throw new VaultError('NOT_FOUND', `No such service. ${hint}`);
  }

  /** As `get`, but undefined where there is no such service. */
  find(service_id: string): Service | undefined {
    if (service_id.length > ID_MAX_CHARACTERS) return undefined;
    const service = this.#by_id.get(service_id.toLowerCase());
    return service && this.#checked(service);
  }

  /**
   * All services in the order of their slugs; with a query, those in which every word of it starts a word of slug,
   * name, aliases, category or description, or stands inside a name. Throws INVALID_INPUT for too long a query.
   */
  list(query = ''): Service[] {
    if (query.length > QUERY_MAX_CHARACTERS) {
      throw new VaultError('INVALID_INPUT', `A query has at most ${QUERY_MAX_CHARACTERS} characters.`);
    }
    this.#in_order ??= [...this.#services.values()].sort((a, b) => (a.slug < b.slug ? -1 : 1));
    return this.#fitting(this.#in_order, query).map((service) => this.#checked(service));
  }

  #fitting(services: readonly Service[], query: string): readonly Service[] {
    if (query.trim() === '') return services;
    const words = tokenize(query);
    return words.length === 0 ? [] : services.filter((service) => serviceMatches(service, words));
  }

  /** A definition goes out only after the schema has passed it. */
  #checked(service: Service): Service {
    if (this.#unchecked.has(service.slug)) {
      parseDefinition(service, `${service.slug}.json`);
      this.#unchecked.delete(service.slug);
    }
    return service;
  }

  /** The name of the file that an own service comes from; undefined for a built-in or unknown one. */
  ownFileOf(slug: string): string | undefined {
    return this.#own_files.get(slug);
  }

  /** Throws INVALID_INPUT (`service_definition_invalid`) when the slug, the id or an alias is another service's. */
  assertFree(service: Service, file_name: string): void {
    const ids: [string, string][] = [
      ['slug', service.slug],
      ['id', service.id],
    ];
    service.aliases?.forEach((alias, at) => {
      ids.push([`aliases[${at}]`, alias]);
    });
    for (const [place, id] of ids) {
      const holder = this.#by_id.get(id.toLowerCase());
      if (holder === undefined) continue;
      const own_file = this.#own_files.get(holder.slug);
      const by = own_file === undefined ? `the built-in service ${holder.slug}` : own_file;
      throw definitionError(file_name, place, `is taken by ${by}; choose another`);
    }
  }

  /** Takes in an own service, from now on, in this process. Throws as `assertFree`. */
  add(service: Service, file_name: string): void {
    if (this.#services.size >= SERVICES_MAX) {
      throw definitionError(file_name, '', `is one too many: there can be ${SERVICES_MAX} services`);
    }
    this.#register(service, file_name);
    this.#own_files.set(service.slug, path.basename(file_name));
  }

  #loadOwn(folder: string): void {
    for (const name of jsonFiles(folder)) {
      this.add(toService(readJsonFile(path.join(folder, name)), name), name);
    }
  }

  #register(service: Service, file_name: string): void {
    this.assertFree(service, file_name);
    this.#services.set(service.slug, service);
    for (const id of [service.slug, service.id, ...(service.aliases ?? [])]) {
      this.#by_id.set(id.toLowerCase(), service);
    }
    this.#in_order = undefined;
  }
}

/** The names of the JSON files of a folder, in order; none when there is no such folder. */
function jsonFiles(folder: string): string[] {
  try {
    return fs
      .readdirSync(folder)
      .filter((name) => name.toLowerCase().endsWith('.json') && !name.startsWith('.'))
      .sort();
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [];
    const message =
      'The folder of service definitions cannot be read. Check that it is a folder and who may read it.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}
