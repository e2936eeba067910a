/** Reads source files and their import graph from their text. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** Path relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** Imported files of this project, including type imports and dynamic imports. */
  readonly imports: readonly string[];
  /** Imported packages and node modules. */
  readonly packages: readonly string[];
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;

/** Every TypeScript file under the given folders. */
export function readSources(...folders: readonly string[]): Map<string, SourceFile> {
  const files = new Map<string, SourceFile>();
  for (const folder of folders) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.tsx?$/.test(entry) || entry.includes('node_modules')) continue;
      const path = `${folder}/${entry.replaceAll('\\', '/')}`;
      files.set(path, readSource(path));
    }
  }
  return files;
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const found = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
  const local = found.filter((name) => name.startsWith('.'));
  return {
    path,
    text,
    imports: local.map((name) => relative(ROOT, join(ROOT, dirname(path), name)).replaceAll('\\', '/')),
    packages: found.filter((name) => !name.startsWith('.')),
  };
}

/** All files reachable from `start`, including itself. */
export function reachable(files: ReadonlyMap<string, SourceFile>, start: string): Set<string> {
  const seen = new Set<string>();
  const waiting = [start];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    waiting.push(...(files.get(path)?.imports ?? []));
  }
  return seen;
}
