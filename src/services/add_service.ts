/**
 * Adds and removes custom services. Adding validates a definition, then writes it to the folder of custom definitions. The file is named after the
 * slug, which cannot contain a slash. Never writes to another folder and never overwrites a file.
 */
import fs from 'node:fs';
import path from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { SERVICE_FILE_MAX_BYTES } from '../contract/limits.ts';
import type { Service } from '../contract/service/service.ts';
import { SLUG_PATTERN } from '../contract/service/texts.ts';
import { createFile } from '../io/atomic_file.ts';
import { jsonFiles, ServiceCatalogue } from './catalogue.ts';
import { definitionError } from './definition.ts';
import { tooLarge, toService } from './definition_file.ts';

/**
 * Writes a definition or `server.json` to `<folder>/<slug>.json` (mode 0600, in a folder created with 0700) and adds the
 * service to the catalogue. `file_name` is used in messages only. Then loads the folder: another process may have added a
 * service with the same alias, and with both files no process could start.
 *
 * Throws INVALID_INPUT (`service_definition_invalid`) for an invalid definition or a slug or alias that is in use,
 * CONFLICT if the custom service exists, and UNAVAILABLE if the folder is not writable. Then nothing has changed.
 */
export function addService(
  json: unknown,
  file_name: string,
  folder: string,
  catalogue: ServiceCatalogue,
): Service {
  const service = checkNewService(json, file_name, catalogue);
  const target = path.join(folder, targetName(service.slug, file_name));
  const { id: _computed, ...definition } = service;
  const text = `${JSON.stringify(definition, null, 2)}\n`;
  // A file that cannot be read back would make loading fail.
  if (Buffer.byteLength(text) > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
  let is_created: boolean;
  try {
    is_created = createFile(target, text);
  } catch (cause) {
    const message =
      'The folder of service definitions is not writable. Check that it is a folder and its permissions.';
    throw new VaultError('UNAVAILABLE', message, { cause });
  }
  if (!is_created) throw alreadyExists(path.basename(target));
  try {
    ServiceCatalogue.load({ folder });
    catalogue.add(service, path.basename(target));
  } catch (error) {
    fs.rmSync(target, { force: true });
    throw error;
  }
  return service;
}

/** The service that `addService` would add. Throws like it and writes nothing. */
export function checkNewService(json: unknown, file_name: string, catalogue: ServiceCatalogue): Service {
  const service = toService(json, file_name);
  const existing_file = catalogue.customFileOf(service.slug);
  if (existing_file !== undefined) throw alreadyExists(existing_file);
  catalogue.assertCanAdd(service, file_name);
  return service;
}

/**
 * The file of the folder that is named after `typed`. Reads no file, so that a definition with which no catalogue can be
 * loaded can be removed.
 */
export function findCustomFile(folder: string, typed: string): string | undefined {
  return jsonFiles(folder).find((name) => path.parse(name).name === typed);
}

/** Deletes the file of a custom service, as `customFileOf` or `findCustomFile` names it. Throws UNAVAILABLE if that is not possible. */
export function removeCustomService(folder: string, file_name: string): void {
  try {
    fs.unlinkSync(path.join(folder, path.basename(file_name)));
  } catch (cause) {
    const message =
      'The definition could not be removed. Check the permissions of the folder of service definitions.';
    throw new VaultError('UNAVAILABLE', message, { cause });
  }
}

function targetName(slug: string, file_name: string): string {
  // The schema checks this too; checked again because the slug becomes part of a path.
  if (!SLUG_PATTERN.test(slug)) throw definitionError(file_name, 'slug', 'cannot be the name of a file');
  return `${slug}.json`;
}

function alreadyExists(existing_file: string): VaultError {
  return new VaultError(
    'CONFLICT',
    `This service exists already. Remove or edit ${existing_file} in the folder of service definitions.`,
  );
}
