/** Drafts of a key file: what is written before it gets its name, and left where a process was killed then. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** Paths of the drafts of this file; none where there is no folder. */
export function draftsOf(path: string): string[] {
  const folder = dirname(path);
  const start = `${basename(path)}.`;
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(start) && UUID.test(name.slice(start.length)))
    .map((name) => join(folder, name));
}
