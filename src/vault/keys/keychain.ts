/**
 * The root key in the keychain of the operating system: Keychain of macOS, Credential Manager of Windows, the Secret Service of
 * Linux (GNOME Keyring, KWallet). Each vault has a separate entry, so that no process replaces the key of another vault. A
 * keychain that cannot be reached is never taken for an empty one.
 */
import type * as Keyring from '@napi-rs/keyring';
import { type ErrorReason, VaultError } from '../../contract/errors.ts';
import { KEYCHAIN_TIMEOUT_MS } from '../../contract/limits.ts';
import { KEY_BYTES } from '../../crypto/key_hierarchy.ts';
import { systemRandom } from '../../crypto/random.ts';
import type { ExternalRootKey, SealedRootKey } from './root_key.ts';

/** The service name of all entries. */
const SERVICE = 'keyhold';
const DEFAULT_NAME = 'vault';
const UNIQUE_BYTES = 8;
/** Without it, the module would use the keyring of the Linux kernel where it finds no Secret Service: a reboot empties that one. */
const OPTIONS: Keyring.EntryOptions = { linux: { store: 'secret-service' } };

export class Keychain implements ExternalRootKey {
  readonly kind = 'keychain';
  readonly #name: string | undefined;

  /** `name`: the first part of the names of new entries, or the whole name of one. */
  constructor(name: string | undefined) {
    this.#name = name;
  }

  selects(ref: string): boolean {
    return this.#name === undefined || ref === this.#name || ref.startsWith(`${this.#name}.`);
  }

  async check(): Promise<void> {
    await probe(await loadModule());
  }

  async seal(root_key: Buffer): Promise<SealedRootKey> {
    const { AsyncEntry } = await loadModule();
    const ref = `${this.#name ?? DEFAULT_NAME}.${systemRandom(UNIQUE_BYTES).toString('hex')}`;
    const text = root_key.toString('base64');
    await attempt(() => new AsyncEntry(SERVICE, ref, OPTIONS).setPassword(text));
    return { ref, sealed: undefined };
  }

  async open({ ref }: SealedRootKey): Promise<Buffer> {
    const key = await this.find(ref);
    if (key === undefined)
      throw locked(
        'root_key_missing',
        `The keychain has no entry "${ref}" of the service "${SERVICE}", which is the root key of this vault. Run Keyhold as the user whose keychain has it, or restore the entry. No new key is created: it would not open this vault.`,
      );
    if (key.length === KEY_BYTES) return key;
    throw locked(
      'root_key_invalid',
      `The entry "${ref}" in the keychain is not a root key: it must be 32 bytes in base64. Restore the entry.`,
    );
  }

  /** The bytes of an entry; `undefined` for a missing one. */
  async find(ref: string): Promise<Buffer | undefined> {
    const module = await loadModule();
    const text = await attempt(() => new module.AsyncEntry(SERVICE, ref, OPTIONS).getPassword());
    if (text !== null) return Buffer.from(text, 'base64');
    // A Secret Service without a collection returns null too.
    await probe(module);
    return undefined;
  }

  async discard({ ref }: Pick<SealedRootKey, 'ref'>): Promise<void> {
    const { AsyncEntry } = await loadModule();
    await attempt(() => new AsyncEntry(SERVICE, ref, OPTIONS).deleteCredential());
  }
}

/** Writes, reads and deletes an entry: only that shows that a keychain without the wanted entry can be used at all. */
async function probe({ AsyncEntry }: typeof Keyring): Promise<void> {
  const text = systemRandom(UNIQUE_BYTES).toString('hex');
  const read = await attempt(async () => {
    const entry = new AsyncEntry(SERVICE, `probe.${text}`, OPTIONS);
    await entry.setPassword(text);
    const found = await entry.getPassword();
    await entry.deleteCredential();
    return found;
  });
  if (read !== text) throw unavailable('did not return the entry that was written to test it');
}

async function attempt<Result>(request: () => Promise<Result>): Promise<Result> {
  try {
    return await within(request());
  } catch (cause) {
    if (cause instanceof VaultError) throw cause;
    throw unavailable('cannot be reached, or is locked', cause);
  }
}

/** A locked keychain prompts its user, and a prompt may be unseen. */
async function within<Result>(pending: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(unavailable('did not respond in time: it may wait for its password in a window')),
      KEYCHAIN_TIMEOUT_MS,
    );
  });
  try {
    return await Promise.race([pending, expired]);
  } finally {
    clearTimeout(timer);
  }
}

async function loadModule(): Promise<typeof Keyring> {
  try {
    return await import('@napi-rs/keyring');
  } catch (cause) {
    throw locked(
      'keychain_unavailable',
      'The module for keychains, @napi-rs/keyring, cannot be loaded: it is an optional dependency, and not every platform has it. Install Keyhold again with optional dependencies, or keep the root key elsewhere: KEYHOLD_ROOT_KEY=file:PATH, env:NAME or passphrase.',
      cause,
    );
  }
}

function unavailable(problem: string, cause?: unknown): VaultError {
  const remedy =
    process.platform === 'linux'
      ? 'It must run in the session of the user (D-Bus, with GNOME Keyring or KWallet) and be unlocked. On a server without one, use another KEYHOLD_ROOT_KEY.'
      : 'Unlock it and permit the access.';
  return locked(
    'keychain_unavailable',
    `The keychain ${problem}. No key was created or changed. ${remedy}`,
    cause,
  );
}

function locked(reason: ErrorReason, message: string, cause?: unknown): VaultError {
  return new VaultError('LOCKED', message, cause === undefined ? { reason } : { reason, cause });
}
