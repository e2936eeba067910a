/**
 * The stylesheet, the script and the logos of the pages. The names of the first two contain a hash of their content, so that
 * browsers keep them for as long as they are unchanged.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { VaultError } from '../contract/errors.ts';
import { LOGOS_PATH } from './layout/logo.tsx';

const FILES = { style: 'style.css', script: 'script.js', logos: 'logos.svg' } as const;
const TYPES = {
  style: 'text/css; charset=utf-8',
  script: 'text/javascript; charset=utf-8',
  logos: 'image/svg+xml',
} as const;
const HASH_CHARACTERS = 12;

export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: Uint8Array<ArrayBuffer>;
  readonly cache_control: string;
}

export type Assets = Readonly<Record<keyof typeof FILES, Asset>>;

let loaded: Promise<Assets> | undefined;

/** Reads the files once. Rejects with UNAVAILABLE if one is missing. */
export function loadAssets(): Promise<Assets> {
  if (loaded === undefined) {
    loaded = readAssets();
    loaded.catch(() => {
      loaded = undefined;
    });
  }
  return loaded;
}

async function readAssets(): Promise<Assets> {
  const [style, script, logos] = await Promise.all([
    readHashed('style'),
    readHashed('script'),
    readPackaged(FILES.logos),
  ]);
  const cache_control = 'public, max-age=86400';
  return { style, script, logos: { path: LOGOS_PATH, type: TYPES.logos, content: logos, cache_control } };
}

async function readHashed(name: 'style' | 'script'): Promise<Asset> {
  const content = await readPackaged(FILES[name]);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, HASH_CHARACTERS);
  const path = `/dashboard/assets/${FILES[name].replace('.', `-${hash}.`)}`;
  return { path, type: TYPES[name], content, cache_control: 'public, max-age=31536000, immutable' };
}

/** Next to the built program; the build makes the files also for a run from source. */
async function readPackaged(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = import.meta.url.endsWith('.ts') ? '../../dist/web' : './web';
  try {
    return new Uint8Array(await readFile(fileURLToPath(new URL(`${folder}/${name}`, import.meta.url))));
  } catch (cause) {
    const message = 'A file of the pages is missing. Install Keyhold again.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}
