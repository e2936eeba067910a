/**
 * Adds and removes custom services. Adding validates a definition, then writes it to the folder of custom definitions. The file is named after the
 * slug, which cannot contain a slash. Never writes to another folder, and overwrites a file only to replace its service.
 */
import fs from 'node:fs';
import path from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { SERVICE_FILE_MAX_BYTES } from '../contract/limits.ts';
import type { Service } from '../contract/service/service.ts';
import { SLUG_PATTERN } from '../contract/service/texts.ts';
import { createFile, replaceFile } from '../io/atomic_file.ts';
import { ServiceCatalogue } from './catalogue.ts';
import { definitionError } from './definition.ts';
import { jsonFiles, tooLarge, toService } from './definition_file.ts';

/** `replace`: the custom service with the same slug, if there is one. Then its file keeps its name. */
export interface AddOptions {
  readonly replace?: boolean;
}

/**
 * Writes a definition or `server.json` to `<folder>/<slug>.json` (mode 0600, in a folder created with 0700) and adds the
 * service to the catalogue. `file_name` is used in messages only. Then loads the folder: another process may have added a
 * service with the same alias, and with both files no process could start.
 *
 * Throws INVALID_INPUT (`service_definition_invalid`) for an invalid definition or a slug or alias that is in use,
 * CONFLICT if the custom service exists and is not replaced, and UNAVAILABLE if the folder is not writable. Then nothing
 * has changed.
 */
export function addService(
  json: unknown,
  file_name: string,
  folder: string,
  catalogue: ServiceCatalogue,
  { replace = false }: AddOptions = {},
): Service {
  const parsed = toService(json, file_name);
  const existing = replace ? catalogue.customFileOf(parsed.slug) : undefined;
  const service = checkNewService(json, file_name, catalogue, { replace });
  const target = path.join(folder, existing ?? targetName(service.slug, file_name));
  const text = `${JSON.stringify(definitionOf(service), null, 2)}\n`;
  // A file that cannot be read back would make loading fail.
  if (Buffer.byteLength(text) > SERVICE_FILE_MAX_BYTES) throw tooLarge(file_name);
  const undo = writeDefinition(target, text, existing !== undefined);
  try {
    ServiceCatalogue.load({ folder });
    catalogue.add(service, path.basename(target));
  } catch (error) {
    undo();
    throw error;
  }
  return service;
}

/**
 * The service that `addService` would add. Throws like it and writes nothing. With `replace`, removes the present service
 * from the catalogue of this process.
 */
export function checkNewService(
  json: unknown,
  file_name: string,
  catalogue: ServiceCatalogue,
  { replace = false }: AddOptions = {},
): Service {
  const service = toService(json, file_name);
  const existing_file = catalogue.customFileOf(service.slug);
  if (existing_file !== undefined && !replace) throw alreadyExists(existing_file);
  if (existing_file !== undefined) catalogue.removeCustom(service.slug);
  catalogue.assertCanAdd(service, file_name);
  return service;
}

/** The content of the file of a service. Without the id, which is computed. */
export function definitionOf({ id: _computed, ...definition }: Service): Omit<Service, 'id'> {
  return definition;
}

/** Writes the file and returns the function that restores the earlier file, or removes the new one. */
function writeDefinition(target: string, text: string, replaces: boolean): () => void {
  try {
    const before = replaces ? fs.readFileSync(target) : undefined;
    const write = (content: string | Uint8Array) =>
      replaceFile(target, content, { mode: 0o600 }, () => undefined);
    if (before !== undefined) {
      write(text);
      return () => write(before);
    }
    if (createFile(target, text)) return () => fs.rmSync(target, { force: true });
  } catch (cause) {
    const message =
      'The folder of service definitions is not writable. Check that it is a folder and its permissions.';
    throw new VaultError('UNAVAILABLE', message, { cause });
  }
  throw alreadyExists(path.basename(target));
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
