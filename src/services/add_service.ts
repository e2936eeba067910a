/**
 * Adds a service of one's own: checks it, then writes it into the folder of own definitions.
 *
 * The file is named after the slug, which the schema keeps free of slashes; nothing is ever written elsewhere, and
 * an existing file is never written over.
 */
import path from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { SERVICE_FILE_MAX_BYTES } from '../contract/limits.ts';
import { type Service, SLUG_PATTERN } from '../contract/service.ts';
import { createFile } from '../io/atomic_file.ts';
import type { ServiceCatalogue } from './catalogue.ts';
import { toService } from './custom_service.ts';
import { definitionError } from './definition.ts';
import { tooLarge } from './definition_file.ts';

/**
 * Takes a definition or a `server.json`, writes `<folder>/<slug>.json` (mode 0600, in a folder made with 0700) and
 * takes the service into the catalogue. `file_name` is only for messages.
 *
 * Throws INVALID_INPUT (`service_definition_invalid`) for a wrong definition or a slug or alias that is taken,
 * CONFLICT when the own service is there already, and UNAVAILABLE when the folder cannot be written. In each case
 * nothing has changed.
 */
export function addService(
  json: unknown,
  file_name: string,
  folder: string,
  catalogue: ServiceCatalogue,
): Service {
  const service = toService(json, file_name);
  const target = path.join(folder, targetName(service.slug, file_name));
  const own_file = catalogue.ownFileOf(service.slug);
  if (own_file !== undefined) throw alreadyThere(own_file);
  catalogue.assertFree(service, file_name);

  const { id: _computed, ...definition } = service;
  const text = `${JSON.stringify(definition, null, 2)}\n`;
  // What could not be read back must not be written: it would keep everything from loading.
  if (Buffer.byteLength(text) > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
  let is_created: boolean;
  try {
    is_created = createFile(target, text);
  } catch (cause) {
    const message =
      'The folder of service definitions cannot be written. Check that it is a folder and who may write there.';
    throw new VaultError('UNAVAILABLE', message, { cause });
  }
  if (!is_created) throw alreadyThere(path.basename(target));
  catalogue.add(service, path.basename(target));
  return service;
}

function targetName(slug: string, file_name: string): string {
  // The schema says the same. This is the last look before a path is made of it.
  if (!SLUG_PATTERN.test(slug)) throw definitionError(file_name, 'slug', 'cannot be the name of a file');
  return `${slug}.json`;
}

function alreadyThere(own_file: string): VaultError {
  return new VaultError(
    'CONFLICT',
    `This service is there already: remove or edit ${own_file} in the folder of service definitions.`,
  );
}
