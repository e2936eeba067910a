/**
 * The first API key of an installation, for who runs it: made once, in a vault that never had one, and written to a
 * file that only its owner can read, since there is nobody to show it to. A draft of the file is there before the key
 * is, so that a process that is killed at any moment loses none.
 */

import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { FIRST_KEY } from '../vault/api_keys/bootstrap_key.ts';
import type { Vault } from '../vault/vault.ts';
import { AdminKeyFile } from './bootstrap_key_file.ts';

export interface FirstKeyFile {
  readonly path: string;
  /**
   * `found`: in a draft, and now in its file. `spoilt`: the file is there, and its key lets nobody in. `kept`: nothing
   * was to be done.
   */
  readonly state: 'made' | 'found' | 'spoilt' | 'kept';
}

/** What a spoilt file is, and what to do about it. */
export const ABOUT_SPOILT: string = `the key in this file is none that the vault takes: it was revoked or rotated, or is of another vault. Remove the file; for a new key, run on this machine: keyhold keys create --name ${FIRST_KEY.name} --scopes ${FIRST_KEY.scopes.join(',')}`;

/** Makes the key, or looks after the file of the one that was made. Rejects where it cannot be written. */
export async function writeFirstKey(vault: Vault, caller: Caller, home: string): Promise<FirstKeyFile> {
  const file = new AdminKeyFile(home);
  // Looked for before the vault is asked: a file that another process writes meanwhile is of this vault.
  const was_there = file.isThere();
  let is_in_the_way = false;
  const first = await vault.api_keys.createFirst(caller, (key) => {
    is_in_the_way = was_there;
    if (is_in_the_way) throw fileInTheWay();
    file.writeDraft(key);
  });
  // To the vault it is a conflict like any other.
  if (is_in_the_way) throw fileInTheWay();
  const was_found = await settleDrafts(vault, file);
  // Its draft was taken for one that is no good, just before the key was made.
  if (first !== undefined && !file.isThere()) file.take(file.writeDraft(first.key));
  return { path: file.path, state: await stateOf(vault, file, first?.key, was_found) };
}

/**
 * Gives the draft of a key that lets its owner in the name of the file; the others are removed. Once there was a first
 * key, no draft becomes better with time. Returns whether one got the name.
 */
async function settleDrafts(vault: Vault, file: AdminKeyFile): Promise<boolean> {
  let was_taken = false;
  for (const draft of file.drafts()) {
    const is_good = await isGood(vault, draft.key);
    if (is_good === true && file.take(draft)) was_taken = true;
    else if (is_good === false || file.key() === draft.key) file.remove(draft);
  }
  return was_taken;
}

async function stateOf(
  vault: Vault,
  file: AdminKeyFile,
  made: string | undefined,
  was_found: boolean,
): Promise<FirstKeyFile['state']> {
  const key = file.key();
  if (made !== undefined && key === made) return 'made';
  if (was_found) return 'found';
  if (key === undefined) return 'kept';
  return (await isGood(vault, key)) === false ? 'spoilt' : 'kept';
}

/** `undefined` where nobody can tell: what is damaged, or of a newer version, may be good. */
async function isGood(vault: Vault, key: string): Promise<boolean | undefined> {
  try {
    return await vault.api_keys.isValid(key);
  } catch {
    return undefined;
  }
}

function fileInTheWay(): VaultError {
  return new VaultError(
    'CONFLICT',
    'There is no API key in this vault, but a file keys/admin.key of another one in its folder. Move it away, then start again.',
  );
}
