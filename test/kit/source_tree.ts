/** The sources as a graph of imports, read from their text. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** Path from the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** Files of this project that it imports, types and dynamic imports too. */
  readonly imports: readonly string[];
  /** Packages and node modules that it imports. */
  readonly packages: readonly string[];
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;

/** Every TypeScript file under the given folders. */
export function readSources(...folders: readonly string[]): Map<string, SourceFile> {
  const files = new Map<string, SourceFile>();
  for (const folder of folders) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!entry.endsWith('.ts')) continue;
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

/** All files that can be reached from `start`, itself included. */
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
