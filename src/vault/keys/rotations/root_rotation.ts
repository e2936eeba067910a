/**
 * Replaces the root key: wraps every key of the vault again, and replaces header and wrapped keys in one transaction. The new key is
 * durable at its source before, and the former one is destroyed after the transaction, so that a crash at any point leaves a vault
 * that opens.
 */
import fs from 'node:fs';
import { basename } from 'node:path';
import type { Caller } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import { KEY_BYTES, rootKeyId } from '../../../crypto/key_hierarchy.ts';
import type { RecordWrite, StoreHeader, WrappedKey } from '../../../store/store.ts';
import { newEntry } from '../../audit/entry.ts';
import type { VaultDependencies } from '../../dependencies.ts';
import { assertKeyFileCanBePrivate } from '../key_file.ts';
import type { OrganizationKeyring } from '../keyring.ts';
import {
  assertNoKeyFile,
  assertReplaceable,
  destroyKeyFile,
  finishNextKeyFile,
  nextKeyFiles,
  writeNextKeyFile,
} from '../next_key_file.ts';
import { createRootKey, discardRootKey, type NewRootKey, type RootKeySource } from '../root_key.ts';
import { keyMissing } from '../wrapped_keys.ts';
import { FormerRootKeys } from './former_root_key.ts';

/** Organizations may be created meanwhile: each needs another attempt. */
const ATTEMPTS_MAX = 20;

type Parts = Pick<VaultDependencies, 'store' | 'keys' | 'records' | 'audit_log' | 'random' | 'now'>;

/** A new root key that is durable at its source. */
interface PreparedKey extends NewRootKey {
  /** Its file until the rotation is finished. Only with a file. */
  readonly next: string | undefined;
}

export interface RootRotationReport {
  /** How many keys were wrapped again. */
  readonly keys: number;
  /** Why the former key is still at its source, if it could not be removed. */
  readonly not_removed: string | undefined;
}

const NOT_REMOVED =
  'A former root key could not be removed from its source. It opens older copies of the vault only: remove it. `keyhold doctor` names it.';

/** `local`: the keys of the organization whose log gets the entry. `progress`: the number of keys that are wrapped again. */
export async function rotateRootKey(
  parts: Parts,
  caller: Caller,
  local: OrganizationKeyring,
  { from, to }: { readonly from: RootKeySource; readonly to: RootKeySource },
  progress: (keys: number) => void,
): Promise<RootRotationReport> {
  const { store, keys } = parts;
  const former_keys = new FormerRootKeys(parts);
  // Of rotations that did not remove the key: a process was killed, or a keychain was locked.
  await former_keys.remove(local).catch(() => undefined);
  await keys.wrapped.reloadRootKey();
  const former = await store.header();
  if (former === undefined) throw keyMissing();
  if (!former.root_key_id.equals(keys.wrapped.root_key_id)) throw rotatedMeanwhile();
  const leftovers = 'path' in to ? nextKeyFiles(to.path) : [];
  const prepared = await prepare(parts, from, to);
  if (prepared.header.root_key_id.equals(former.root_key_id)) throw sameKey();
  let wrapped: readonly WrappedKey[];
  const noteFormer = async () => (isSameFile(from, to) ? [] : former_keys.note(local, from, former));
  try {
    wrapped = await replace(parts, caller, local, { former, prepared, noteFormer }, progress);
  } catch (error) {
    if (error instanceof UnknownOutcomeError) throw keptKeyError(error.cause, { from, to }, prepared);
    await discardUnused(parts, to, prepared);
    throw error;
  }
  keys.wrapped.useRootKey(prepared.root_key);
  const not_finished =
    prepared.next !== undefined && 'path' in to ? tryFinish(to.path, prepared.next) : undefined;
  // Of rotations that were stopped before their transaction. Those that began later have other files.
  for (const leftover of leftovers) tryDestroy(leftover);
  const is_removed = await former_keys.remove(local).then(
    () => true,
    () => false,
  );
  return { keys: wrapped.length, not_removed: not_finished ?? (is_removed ? undefined : NOT_REMOVED) };
}

/** The vault has the new key by now, so that a failure is reported and not thrown. Returns what to do. */
function tryFinish(path: string, next: string): string | undefined {
  try {
    finishNextKeyFile(path, next);
    return undefined;
  } catch {
    return fs.existsSync(next)
      ? `The new root key is in the file ${next}, because ${path} could not be replaced, such as for a file that is mounted. Each start of Keyhold finds it there: keep it. Then make it the content of ${path}, whose key opens older copies of the vault only.`
      : NOT_REMOVED;
  }
}

/** The next rotation tries it again. */
function tryDestroy(leftover: string): void {
  try {
    destroyKeyFile(leftover);
  } catch {
    // The file opens nothing.
  }
}

/** Throws INVALID_INPUT for what would lose the vault: a file that exists, a weak key. Changes no other file. */
async function prepare({ random }: Parts, from: RootKeySource, to: RootKeySource): Promise<PreparedKey> {
  if (to.kind !== 'file') return { ...(await createRootKey(to, random)), next: undefined };
  if (isSameFile(from, to)) assertReplaceable(to.path);
  else assertNoKeyFile(to.path);
  assertKeyFileCanBePrivate(to.path);
  const root_key = random(KEY_BYTES);
  const root_key_id = rootKeyId(root_key);
  const next = writeNextKeyFile(to.path, root_key, root_key_id);
  const unused = { passphrase_salt: undefined, root_key_ref: undefined, root_key_sealed: undefined };
  return { root_key, header: { root_key_id, root_key_source: to.kind, ...unused }, next };
}

interface Replacement {
  readonly former: StoreHeader;
  readonly prepared: NewRootKey;
  /** See `FormerRootKeys.note`. */
  readonly noteFormer: () => Promise<readonly RecordWrite[]>;
}

async function replace(
  { store, keys, audit_log, random, now }: Parts,
  caller: Caller,
  local: OrganizationKeyring,
  { former, prepared, noteFormer }: Replacement,
  progress: (keys: number) => void,
): Promise<readonly WrappedKey[]> {
  const { root_key, header } = prepared;
  for (let attempt = 1; ; attempt++) {
    let wrapped: readonly WrappedKey[] = [];
    let is_sent = false;
    try {
      // Fails if another process replaces the keys at this time.
      wrapped = await keys.wrapped.rewrap(root_key, random, progress);
      const change = {
        expected_root_key_id: former.root_key_id,
        header: { ...header, created_at: former.created_at },
        keys: wrapped,
      };
      const entry = newEntry(caller, 'rotate_root_key', now(), { count: wrapped.length });
      const writes = await noteFormer();
      is_sent = true;
      await store.commit({ root_key: change, writes, audit: [audit_log.append(local, entry)] });
      return wrapped;
    } catch (error) {
      const is_conflict = error instanceof VaultError && error.code === 'CONFLICT';
      // The header does not show it: a commit that waits for a standby is invisible, or may be lost with the primary.
      if (is_sent && !is_conflict) throw new UnknownOutcomeError(error);
      const present = await store.header();
      // A remote store may have committed before the connection broke.
      if (present?.root_key_id.equals(header.root_key_id)) return wrapped;
      if (present?.root_key_id.equals(former.root_key_id) === false) throw rotatedMeanwhile();
      if (!is_conflict || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** The commit failed with something else than CONFLICT: the vault may get the new key yet. */
class UnknownOutcomeError extends Error {
  constructor(cause: unknown) {
    super('it is unknown whether the root key was replaced', { cause });
  }
}

/** Neither key is removed. The next rotation removes a file that it does not need. */
function keptKeyError(
  cause: unknown,
  { from, to }: Readonly<Record<'from' | 'to', RootKeySource>>,
  { next, header }: PreparedKey,
): Error {
  const { root_key_ref: ref } = header;
  const kept =
    next !== undefined && isSameFile(from, to)
      ? `The new root key was kept in the file ${basename(next)}, beside the key file. Keep both files: each start of Keyhold uses the one that opens the vault. Then run the command again.`
      : `The new root key was kept${to.kind === 'keychain' ? ` in the keychain: ${ref}` : ''}${next === undefined ? '' : ` in the file ${next}`}. Keep both keys until the vault opens with one of them: try the former KEYHOLD_ROOT_KEY, then the new one. Then run the command again if it opened with the former one.`;
  if (!(cause instanceof VaultError)) return new VaultError('INTERNAL', kept, { cause });
  const options = cause.reason === undefined ? { cause } : { cause, reason: cause.reason };
  return new VaultError(cause.code, `${cause.message} ${kept}`, options);
}

/** Removes a new key that the vault certainly does not have: the commit was never sent, or refused as a conflict. */
async function discardUnused({ store }: Parts, to: RootKeySource, prepared: PreparedKey): Promise<void> {
  const header = await store.header().catch(() => undefined);
  if (header === undefined || header.root_key_id.equals(prepared.header.root_key_id)) return;
  if (prepared.next !== undefined) destroyKeyFile(prepared.next);
  await discardRootKey(to, prepared).catch(() => undefined);
}

function isSameFile(from: RootKeySource, to: RootKeySource): boolean {
  if (from.kind !== 'file' || to.kind !== 'file') return false;
  return from.path === to.path || realPath(from.path) === realPath(to.path);
}

function realPath(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch {
    return path;
  }
}

function rotatedMeanwhile(): VaultError {
  return new VaultError(
    'CONFLICT',
    'Another process rotated the root key at the same time, and the vault has the key of that one. Nothing else was changed. Run the command again only to rotate it once more.',
    { reason: 'key_rotated' },
  );
}

function sameKey(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'The new root key is the present one, so nothing was changed. Make another one with `openssl rand -base64 32`.',
    { reason: 'root_key_weak' },
  );
}
