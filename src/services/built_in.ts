/**
 * The built-in definitions: one file each in the source, all in one file of a build, since reading 200 files would delay every
 * start, and each is parsed when it is first used, since most commands use few. They are trusted like the program: the build
 * and the tests validate them, the program does not.
 */
import fs from 'node:fs';
import type { Service, ServiceDefinition } from '../contract/service/service.ts';
import { errnoOf } from '../io/errno.ts';
import { serviceId } from './definition.ts';

/** What the catalogue needs of a built-in service before anyone uses it. */
export interface BuiltInService {
  readonly slug: string;
  readonly id: string;
  readonly aliases: readonly string[];
  /** Parses the definition. */
  read(): ServiceDefinition;
}

/** The first line of the file of a build: for each definition that follows, its ids and its length. */
type Index = readonly (Pick<BuiltInService, 'slug' | 'id' | 'aliases'> & { readonly bytes: number })[];

const LINE_FEED = 0x0a;

/** An empty list if the installation is incomplete. */
export function builtInServices(): readonly BuiltInService[] {
  const file = readIfExists(new URL('./definitions.jsonl', import.meta.url));
  if (file === undefined) return definitionsIn(new URL('./definitions/', import.meta.url)).map(toBuiltIn);
  const index_bytes = file.indexOf(LINE_FEED) + 1;
  const index: Index = JSON.parse(file.toString('utf8', 0, index_bytes));
  let end = index_bytes;
  return index.map(({ slug, id, aliases, bytes }) => {
    const start = end;
    end += bytes;
    return { slug, id, aliases, read: () => JSON.parse(file.toString('utf8', start, start + bytes)) };
  });
}

/** The file of a build that `builtInServices` reads: one line for the index, and one for each definition. */
export function toDefinitionsFile(definitions: readonly ServiceDefinition[]): string {
  const lines = definitions.map((definition) => `${JSON.stringify(definition)}\n`);
  const index: Index = definitions.map((definition, at) => {
    const { slug, id, aliases } = toBuiltIn(definition);
    return { slug, id, aliases, bytes: Buffer.byteLength(lines[at] ?? '') };
  });
  return `${JSON.stringify(index)}\n${lines.join('')}`;
}

function toBuiltIn(definition: ServiceDefinition): BuiltInService {
  const { slug, aliases = [] } = definition;
  return { slug, id: serviceId(slug), aliases, read: () => definition };
}

/** The definitions of a folder, sorted by file name. */
export function definitionsIn(folder: URL): readonly ServiceDefinition[] {
  if (!fs.existsSync(folder)) return [];
  const names = fs.readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.sort().map((name) => JSON.parse(fs.readFileSync(new URL(name, folder), 'utf8')));
}

function readIfExists(file: URL): Buffer | undefined {
  try {
    return fs.readFileSync(file);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

/** The ids of a service, and the service itself, which is parsed by the first `read`. */
export interface CatalogueEntry {
  readonly slug: string;
  readonly id: string;
  readonly aliases: readonly string[];
  read(): Service;
}

export function idsOf({ slug, id, aliases = [] }: Service): readonly string[] {
  return [slug, id, ...aliases];
}

export function entryOf(service: Service): CatalogueEntry {
  return { slug: service.slug, id: service.id, aliases: service.aliases ?? [], read: () => service };
}

/** Always reads the same object. */
export function lazyEntry({ slug, id, aliases, read }: BuiltInService): CatalogueEntry {
  let service: Service | undefined;
  return {
    slug,
    id,
    aliases,
    read() {
      service ??= { ...read(), id };
      return service;
    },
  };
}
