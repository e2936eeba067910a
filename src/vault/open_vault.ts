/**
 * Opens a vault, or makes one: finds out what is there (a file, a key, both, neither) and what may be done about it.
 * Never overwrites a file and never makes a key for a vault that has one.
 */
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { constantTimeEqual } from '../crypto/audit_chain.ts';
import { rootKeyId } from '../crypto/key_hierarchy.ts';
import { SALT_BYTES } from '../crypto/passphrase.ts';
import type { RandomBytes } from '../crypto/random.ts';
import type { Cipher } from '../crypto/record_cipher.ts';
import { loadSodium } from '../crypto/sodium.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';
import { createSqliteFile, inspectSqliteFile } from '../store/sqlite/file.ts';
import type { OnCommit, Store, StoreHeader } from '../store/store.ts';
import { newEntry } from './audit/entry.ts';
import { AuditLog } from './audit/log.ts';
import { CredentialCodec } from './credentials/codec.ts';
import { Keyring, keyMissing } from './keys/keyring.ts';
import {
  assertRootKeyGiven,
  createRootKey,
  type RootKeySource,
  readRootKey,
  rootKeyFileExists,
} from './keys/root_key.ts';
import { assignOrganizations } from './records/assign_organizations.ts';
import { RecordCodec } from './records/record_codec.ts';
import { Vault } from './vault.ts';

/**
 * `if_new`: make a vault where there is neither a file nor a key. `yes`: make one wherever no vault is, with the key
 * that is there; `no`: never.
 */
export type CreatePolicy = 'if_new' | 'yes' | 'no';

export interface OpenVaultOptions {
  readonly store_path: string;
  readonly root_key: RootKeySource;
  readonly create: CreatePolicy;
  /** Who opens it: the organization is made when it is new, and the audit log says by whom. */
  readonly caller: Caller;
  readonly cipher: Cipher;
  readonly services: ServiceCatalogue;
  readonly now: () => Date;
  readonly random: RandomBytes;
  /** Told how many writes each transaction carried. */
  readonly onCommit?: OnCommit | undefined;
}

/** Rejects with VaultError; then no vault that was there is changed. */
export async function openVaultFile(given: OpenVaultOptions): Promise<Vault> {
  const parts = { ...given, root_key: askedOnce(given.root_key) };
  await prepareFile(parts);
  const [{ openSqlite }, sodium] = await Promise.all([import('../store/sqlite/store.ts'), loadSodium()]);
  const store = openSqlite(parts.store_path, parts.onCommit);
  try {
    const log = new AuditLog(store, sodium, parts.random, parts.cipher);
    const root_key = await unlock(parts, store, log);
    const keys = await Keyring.open(store, sodium, root_key);
    if ((await keys.organization(parts.caller.organization)) === undefined) throw keyMissing();
    const { random, services, now } = parts;
    const records = new RecordCodec(sodium, random, parts.cipher);
    const codec = new CredentialCodec(records);
    await assignOrganizations(store, keys, records);
    return new Vault({ store, keys, sodium, random, records, codec, log, services, now });
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** A person is asked for a passphrase once, however often it is needed. */
function askedOnce(source: RootKeySource): RootKeySource {
  if (source.kind !== 'passphrase') return source;
  let answer: ReturnType<typeof source.prompt> | undefined;
  return {
    ...source,
    prompt: () => {
      answer ??= source.prompt();
      return answer;
    },
  };
}

/** Makes the empty file of a new vault, where the policy allows and the key can be had. */
async function prepareFile({ store_path, root_key, create }: OpenVaultOptions): Promise<void> {
  // In this order: whoever makes a vault makes the file before the key.
  const has_key = rootKeyFileExists(root_key) === true;
  if (inspectSqliteFile(store_path) !== 'absent') return;
  if (create !== 'yes' && has_key) throw keyWithoutVault();
  if (create === 'no') throw vaultMissing('There is no vault here. Run `keyhold init` to make one.');
  await assertRootKeyGiven(root_key);
  createSqliteFile(store_path);
}

/** The root key of the vault in `store`, which is made first where there is none and the policy allows. */
async function unlock(parts: OpenVaultOptions, store: Store, log: AuditLog): Promise<Buffer> {
  const header = (await store.header()) ?? (await waitForOther(parts, store));
  if (header === undefined) return make(parts, store, log);
  if (header.root_key_source !== parts.root_key.kind) {
    throw new VaultError(
      'LOCKED',
      `This vault was made with a root key from "${header.root_key_source}", and KEYHOLD_ROOT_KEY says "${parts.root_key.kind}". Set it back: the source is never switched silently.`,
      { reason: 'root_key_source_changed' },
    );
  }
  return checkKey(parts, header, await readRootKey(parts.root_key, header.passphrase_salt));
}

function checkKey({ root_key: { kind } }: OpenVaultOptions, header: StoreHeader, root_key: Buffer): Buffer {
  if (constantTimeEqual(rootKeyId(root_key), header.root_key_id)) return root_key;
  const what = kind === 'passphrase' ? 'passphrase' : 'root key';
  throw new VaultError(
    'WRONG_KEY',
    `This ${what} does not belong to this vault. Nothing was changed. Use the one it was made with.`,
  );
}

async function make(parts: OpenVaultOptions, store: Store, log: AuditLog): Promise<Buffer> {
  const { root_key: source, random, caller } = parts;
  const passphrase_salt = source.kind === 'passphrase' ? random(SALT_BYTES) : undefined;
  const root_key = await createRootKey(source, passphrase_salt, random);
  const now = parts.now();
  const header = {
    root_key_id: rootKeyId(root_key),
    root_key_source: source.kind,
    passphrase_salt,
    created_at: now.toISOString(),
  };
  const { wrapped, keyring } = Keyring.begin(
    await loadSodium(),
    random,
    root_key,
    store,
    caller.organization,
  );
  const first = log.append(keyring, newEntry(caller, 'init', now, {}), true);
  const made = await store.create(header, { keys: wrapped, writes: [], audit: [first] });
  // Another process was first: its vault is the vault.
  return made ? root_key : unlock(parts, store, log);
}

const OTHER_PROCESS_WAIT_MS = 3_000;
const POLL_MS = 20;

/** An empty file may be a vault that another process is just making: it has its key before its vault. */
async function waitForOther(
  { root_key, create }: OpenVaultOptions,
  store: Store,
): Promise<StoreHeader | undefined> {
  if (create === 'yes') return undefined;
  if (rootKeyFileExists(root_key) === true) {
    const give_up_at = Date.now() + OTHER_PROCESS_WAIT_MS;
    while (Date.now() < give_up_at) {
      const header = await store.header();
      if (header !== undefined) return header;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw keyWithoutVault();
  }
  if (create === 'no')
    throw vaultMissing('The vault file is empty. Run `keyhold init` to make a vault in it.');
  return undefined;
}

function vaultMissing(message: string): VaultError {
  return new VaultError('NOT_FOUND', message, { reason: 'vault_missing' });
}

function keyWithoutVault(): VaultError {
  return vaultMissing(
    'The root key is here but its vault is not. Put the vault file back (or set KEYHOLD_STORE to where it is); only if there never was one, run `keyhold init` to start a new vault with this key.',
  );
}
