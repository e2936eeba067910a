/**
 * The first API key of an installation, for who runs it: made when there is none yet, and written to a file that only
 * its owner can read, since there is nobody to show it to. A file that is there is never overwritten.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Caller } from './contract/caller.ts';
import { VaultError } from './contract/errors.ts';
import type { Vault } from './vault/vault.ts';

/** Resolves to the path of the file when a key was made. Rejects where it cannot be written; then there is no key. */
export async function writeFirstKey(vault: Vault, caller: Caller, home: string): Promise<string | undefined> {
  const { keys } = await vault.api_keys.list(caller);
  if (keys.length > 0) return undefined;
  const path = join(home, 'keys', 'admin.key');
  if (existsSync(path)) throw fileInTheWay();
  // Before the key is made: one that nobody can read would stand in the way of the next attempt.
  const draft = openDraft(path);
  try {
    const first = await vault.api_keys.createFirst(caller);
    if (first === undefined) return undefined;
    try {
      writeSync(draft.file, `${first.key}\n`);
      fsyncSync(draft.file);
      linkSync(draft.path, path);
      return path;
    } catch (cause) {
      await vault.api_keys.revoke(caller, first.id);
      // Another process was first: its key is the key.
      if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return undefined;
      throw cannotWrite(cause);
    }
  } finally {
    closeSync(draft.file);
    rmSync(draft.path, { force: true });
  }
}

function openDraft(path: string): { readonly path: string; readonly file: number } {
  const draft = `${path}.${randomUUID()}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return { path: draft, file: openSync(draft, 'wx', 0o600) };
  } catch (cause) {
    throw cannotWrite(cause);
  }
}

function fileInTheWay(): VaultError {
  return new VaultError(
    'CONFLICT',
    'There is no API key in this vault, but a file keys/admin.key of another one in its folder. Move it away, then start again.',
  );
}

function cannotWrite(cause: unknown): VaultError {
  return new VaultError(
    'UNAVAILABLE',
    'The file for the first API key, keys/admin.key, cannot be written. Check the disk and the permissions of its folder, then start again.',
    { reason: 'unreadable', cause },
  );
}
