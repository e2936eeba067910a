/**
 * The stylesheet and the script of the pages. Their names contain a hash of their content, so that browsers keep them for
 * as long as they are unchanged.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { VaultError } from '../contract/errors.ts';

const FILES = { style: 'style.css', script: 'script.js' } as const;
const TYPES = { style: 'text/css; charset=utf-8', script: 'text/javascript; charset=utf-8' } as const;
const HASH_CHARACTERS = 12;

export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly content: Uint8Array<ArrayBuffer>;
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
  const [style, script] = await Promise.all([readAsset('style'), readAsset('script')]);
  return { style, script };
}

async function readAsset(name: keyof typeof FILES): Promise<Asset> {
  const content = await readPackaged(FILES[name]);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, HASH_CHARACTERS);
  const path = `/dashboard/assets/${FILES[name].replace('.', `-${hash}.`)}`;
  return { path, type: TYPES[name], content };
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
