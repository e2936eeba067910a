/**
 * The built-in definitions: one file each in the source, all in one file of a build, since reading 200 files would delay every
 * start. They are trusted like the program: the build and the tests validate them, the program does not.
 */
import fs from 'node:fs';
import type { ServiceDefinition } from '../contract/service/service.ts';
import { errnoOf } from '../io/errno.ts';

/** An empty list if the installation is incomplete. */
export function builtInDefinitions(): readonly ServiceDefinition[] {
  const text = readIfExists(new URL('./definitions.json', import.meta.url));
  return text === undefined ? definitionsIn(new URL('./definitions/', import.meta.url)) : JSON.parse(text);
}

/** The definitions of a folder, sorted by file name. */
export function definitionsIn(folder: URL): readonly ServiceDefinition[] {
  if (!fs.existsSync(folder)) return [];
  const names = fs.readdirSync(folder).filter((name) => name.endsWith('.json'));
  return names.sort().map((name) => JSON.parse(fs.readFileSync(new URL(name, folder), 'utf8')));
}

function readIfExists(file: URL): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}
