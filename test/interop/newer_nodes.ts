/** Newer versions of Node.js, installed as packages, which exist for Linux only. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const NEWER_NODES = ['22', '24'] as const;
export const HAS_NEWER_NODES: boolean = process.platform === 'linux';

/** Path of the program `node` of this version. */
export function nodeOf(version: (typeof NEWER_NODES)[number]): string {
  const name = `node-${version}-${process.platform}-${process.arch}`;
  return join(fileURLToPath(new URL('node_modules', import.meta.url)), name, 'bin', 'node');
}
