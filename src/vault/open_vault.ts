/**
 * Opens or creates a vault, depending on which of vault file and key file exist. Never overwrites a file and never
 * creates a key for a vault that has one.
 */
import type { NotifyPerson } from '../contract/approval.ts';
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { DEFAULT_QUOTA, type QuotaLimits } from '../contract/limits.ts';
import type { RandomBytes } from '../crypto/random.ts';
import type { Cipher } from '../crypto/record_cipher.ts';
import { type LoadedSodium, loadSodium } from '../crypto/sodium.ts';
import type { StoreLocation } from '../io/store_location.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';
import type { IsHostAllowed } from '../services/hosts/host_value.ts';
import type { StoreEngine } from '../store/engine.ts';
import { engineOf } from '../store/engines.ts';
import type { OnCommit, Store, StoreHeader } from '../store/store.ts';
import { AuditAnchor } from './audit/anchor.ts';
import { newEntry } from './audit/entry.ts';
import { AuditLog } from './audit/log.ts';
import { CredentialCodec } from './credentials/codec.ts';
import { Keyring } from './keys/keyring.ts';
import { RefreshingStore } from './keys/refreshing_store.ts';
import {
  assertRootKeyUsable,
  createRootKey,
  discardRootKey,
  isExternal,
  openRootKey,
  type RootKeySource,
  rootKeyFileExists,
} from './keys/root_key.ts';
import { RootKeyLease } from './keys/root_key_lease.ts';
import { openRotatedRootKey } from './keys/rotated_root_key.ts';
import { RotationStates } from './keys/rotations/rotation_states.ts';
import { keyMissing } from './keys/wrapped_keys.ts';
import { Revocations, type RevokeTokens } from './oauth/revocations.ts';
import { RecordCodec } from './records/record_codec.ts';
import type { VerifyValues } from './uses/use.ts';
import { ReferenceList } from './values/reference_list.ts';
import { Vault } from './vault.ts';

/**
 * `if_new`: create a vault if neither file nor key exists; `yes`: if no vault exists, with an existing key; `no`: never.
 * `accept_older`: never, and open a database that is older than the anchor, so that it can be verified and accepted.
 */
export type CreatePolicy = 'if_new' | 'yes' | 'no' | 'accept_older';

export interface OpenVaultOptions {
  readonly store: StoreLocation;
  readonly root_key: RootKeySource;
  /** How long unwrapped keys are used without the key service of the root key. Default: without a limit. */
  readonly key_cache_ms?: number | undefined;
  /** The path of the anchor file. */
  readonly anchor_path?: string | undefined;
  readonly create: CreatePolicy;
  /** Its organization is created in a new vault, and the audit log records the caller. */
  readonly caller: Caller;
  readonly cipher: Cipher;
  readonly services: ServiceCatalogue;
  /** The folder of custom definitions. Default: none can be added. */
  readonly services_folder?: string | undefined;
  /** Default: the operator lists no host. */
  readonly isHostAllowed?: IsHostAllowed | undefined;
  /** Default: no reference can be stored. */
  readonly references?: ReferenceList | undefined;
  /** Whether credentials that a person stores become protected. Default: no. */
  readonly protects?: boolean | undefined;
  readonly quota?: QuotaLimits | undefined;
  /** Default: values cannot be tested before they are stored. */
  readonly verify?: VerifyValues | undefined;
  /** Default: no person is notified. */
  readonly notify?: NotifyPerson | undefined;
  /** Default: the tokens of deleted credentials are not revoked. */
  readonly revoke?: RevokeTokens | undefined;
  /** Awaited before the vault is closed: requests whose responses must be stored. */
  readonly beforeClose?: (() => Promise<void>) | undefined;
  readonly now: () => Date;
  readonly random: RandomBytes;
  /** Called with the number of batches of each transaction. */
  readonly onCommit?: OnCommit | undefined;
}

interface OpenParts extends OpenVaultOptions {
  readonly create: Exclude<CreatePolicy, 'accept_older'>;
  /** Whether other machines use the store too. */
  readonly is_remote: boolean;
}

/** Rejects with VaultError; then an existing vault is unchanged. */
export async function openStoredVault(given: OpenVaultOptions): Promise<Vault> {
  const engine = engineOf(given.store);
  const { is_remote } = engine;
  const parts = {
    ...given,
    is_remote,
    create: policyFor(given.create, is_remote),
    root_key: memoizePrompt(given.root_key),
  };
  if (!is_remote) await prepare(parts, engine);
  let anchor: AuditAnchor | undefined;
  const onCommit = (batches: number) => {
    anchor?.noteCommit();
    parts.onCommit?.(batches);
  };
  const [opened, sodium] = await openParts(engine, onCommit);
  try {
    const sealer = new AuditLog(opened, sodium, parts.random, parts.cipher);
    const root_key = await unlock(parts, opened, sealer);
    const root = { root_key, read: () => readRotatedKey(parts, opened, sealer) };
    const keys = await Keyring.open(opened, sodium, root);
    const records = new RecordCodec(sodium, parts.random, parts.cipher);
    const store = new RefreshingStore(opened, keys, records);
    const audit_log = new AuditLog(store, sodium, parts.random, parts.cipher);
    limitKeys(keys, parts, opened);
    const rotations = new RotationStates({ store, records });
    keys.refuseFormerKeys((of) => rotations.oldestRecordVersion(of));
    const keyring = await keys.organization(parts.caller.organization);
    if (keyring === undefined) throw keyMissing();
    const { random, services, now, quota = DEFAULT_QUOTA, isHostAllowed = () => false } = parts;
    const { references = ReferenceList.NONE, protects = false } = parts;
    anchor = anchorOf(parts, keys, store);
    if (is_remote && given.create !== 'accept_older') await anchor?.assertReached();
    const codec = new CredentialCodec(records);
    const sealing = { sodium, random, records, codec };
    const { services_folder } = parts;
    const revocations = new Revocations({ store, codec, records, audit_log, services, now }, parts.revoke);
    const policy = {
      root_key: parts.root_key,
      services,
      services_folder,
      isHostAllowed,
      references,
      protects,
      quota,
      now,
      verify: parts.verify,
      notify: parts.notify ?? (() => undefined),
      revocations,
      beforeClose: async () => {
        await parts.beforeClose?.();
        await revocations.idle();
      },
    };
    const vault = new Vault({ ...sealing, ...policy, store, keys, audit_log, anchor });
    await vault.definitions.refuseUnapproved(keyring);
    return vault;
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Reads the header each time: another node may have rotated the root key. */
function limitKeys(keys: Keyring, { root_key, key_cache_ms }: OpenVaultOptions, store: Store): void {
  if (key_cache_ms === undefined || !isExternal(root_key) || root_key.kind === 'keychain') return;
  const read = async () => {
    const header = await store.header();
    if (header === undefined) throw keyMissing();
    return openRootKey(root_key, header);
  };
  keys.limitBy(new RootKeyLease({ read, limit_ms: key_cache_ms }));
}

/** A database that other machines use too is empty by mistake more often than on purpose: only `yes` creates a vault in it. */
function policyFor(create: CreatePolicy, is_remote: boolean): OpenParts['create'] {
  if (create === 'accept_older') return 'no';
  return is_remote && create === 'if_new' ? 'no' : create;
}

/** Loads the store and libsodium at the same time. Closes the store if libsodium cannot be loaded. */
async function openParts(engine: StoreEngine, onCommit: OnCommit): Promise<[Store, LoadedSodium]> {
  const [store, sodium] = await Promise.allSettled([engine.open(onCommit), loadSodium()]);
  if (store.status === 'rejected') throw store.reason;
  if (sodium.status === 'fulfilled') return [store.value, sodium.value];
  await store.value.close();
  throw sodium.reason;
}

/** The root key of a vault that is open, after another process has rotated it. */
async function readRotatedKey(parts: OpenParts, store: Store, audit_log: AuditLog): Promise<Buffer> {
  try {
    return await unlock(parts, store, audit_log);
  } catch (cause) {
    if (!(cause instanceof VaultError) || !['LOCKED', 'WRONG_KEY'].includes(cause.code)) throw cause;
    throw new VaultError(
      'LOCKED',
      'The root key of the vault was rotated, and this process cannot read the new one. Give it the new key or passphrase, and restart it.',
      { reason: 'root_key_source_changed', cause },
    );
  }
}

/** Prompts for the passphrase once, even if it is needed several times. */
function memoizePrompt(source: RootKeySource): RootKeySource {
  if (source.kind !== 'passphrase') return source;
  let passphrase: ReturnType<typeof source.prompt> | undefined;
  return {
    ...source,
    prompt: () => {
      passphrase ??= source.prompt();
      return passphrase;
    },
  };
}

/** A database can lose confirmed writes at a failover. A vault file with its key elsewhere is that of an embedded vault. */
function anchorOf(
  { anchor_path, is_remote }: OpenParts,
  keys: Keyring,
  store: Store,
): AuditAnchor | undefined {
  if (anchor_path === undefined) return undefined;
  return new AuditAnchor(anchor_path, keys.anchorKeys, store, { creates_home: is_remote });
}

/** Prepares the store of a new vault if the policy allows it and the key is available. */
async function prepare({ root_key, create }: OpenParts, engine: StoreEngine): Promise<void> {
  // In this order: a process that creates a vault creates the file before the key.
  const has_key = rootKeyFileExists(root_key) === true;
  if (engine.inspect() !== 'absent') return engine.assertPrivate();
  if (create !== 'yes' && has_key) throw keyWithoutVault(false);
  if (create === 'no') throw vaultMissing('There is no vault here. Run `keyhold init` to create one.');
  engine.assertPrivate();
  await engine.assertDriverLoads();
  await assertRootKeyUsable(root_key);
  engine.prepare();
}

/** Returns the root key of the vault in `store`. Creates the vault first if it is new and the policy allows it. */
async function unlock(parts: OpenParts, store: Store, audit_log: AuditLog): Promise<Buffer> {
  const header = (await store.header()) ?? (await waitForConcurrentInit(parts, store));
  if (header === undefined) return createVault(parts, store, audit_log);
  return openRotatedRootKey(parts.root_key, header, () => store.header());
}

async function createVault(parts: OpenParts, store: Store, audit_log: AuditLog): Promise<Buffer> {
  const { root_key: source, random, caller } = parts;
  const created = await createRootKey(source, random);
  const { root_key } = created;
  const now = parts.now();
  const header = { ...created.header, created_at: now.toISOString() };
  const { wrapped, keyring } = Keyring.createVaultKeys(
    await loadSodium(),
    random,
    root_key,
    store,
    caller.organization,
  );
  const first = audit_log.append(keyring, newEntry(caller, 'init', now, {}), true);
  const made = await store.create(header, { keys: wrapped, writes: [], audit: [first] });
  if (made) return root_key;
  // Another process created the vault first: use that one.
  await discardRootKey(source, created);
  return unlock(parts, store, audit_log);
}

/** The other process syncs several files, which takes seconds on a busy disk. */
const OTHER_PROCESS_WAIT_MS = 10_000;
const POLL_MS = 20;

/** Waits for a vault that another process may be creating: its key file exists before the vault. */
async function waitForConcurrentInit(
  { root_key, create, is_remote }: OpenParts,
  store: Store,
): Promise<StoreHeader | undefined> {
  if (create === 'yes') return undefined;
  if (rootKeyFileExists(root_key) === true) {
    const give_up_at_ms = performance.now() + OTHER_PROCESS_WAIT_MS;
    while (performance.now() < give_up_at_ms) {
      const header = await store.header();
      if (header !== undefined) return header;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw keyWithoutVault(is_remote);
  }
  if (create !== 'no') return undefined;
  throw vaultMissing(
    is_remote
      ? 'There is no vault in the database that KEYHOLD_STORE names. Run `keyhold init` to create one: no other command does.'
      : 'The vault file is empty. Run `keyhold init` to create a vault in it.',
  );
}

function vaultMissing(message: string): VaultError {
  return new VaultError('NOT_FOUND', message, { reason: 'vault_missing' });
}

function keyWithoutVault(is_remote: boolean): VaultError {
  const remedy = is_remote
    ? 'Set KEYHOLD_STORE to the database of the vault, or restore the database.'
    : 'Restore the vault file, or set KEYHOLD_STORE to its path.';
  return vaultMissing(
    `The root key exists but its vault is missing. ${remedy} Only if there never was a vault, run \`keyhold init\` to create one with this key.`,
  );
}
