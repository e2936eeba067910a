/** Reads backups: verifies them in a temporary store, and restores them to the store of the settings. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Caller } from '../../contract/caller.ts';
import type { Secret } from '../../contract/secret.ts';
import { systemRandom } from '../../crypto/random.ts';
import type { Cipher } from '../../crypto/record_cipher.ts';
import type { StoreLocation } from '../../io/store_location.ts';
import { engineOf } from '../../store/engines.ts';
import type { RootKeySource } from '../keys/root_key.ts';
import type { LoadedBackup, LoadOptions, RestoreSummary } from './restore.ts';

/** Reads backups. `bytes` of the whole backup, in order. */
export interface BackupAccess {
  /** Rehearses a restore in a temporary store. */
  verify(
    bytes: AsyncIterable<Buffer>,
    promptPassphrase: () => Promise<Secret | undefined>,
    onProgress: (done: number, total: number) => void,
  ): Promise<LoadedBackup & BackupIdentity>;
  /** Restores to the store of the settings. */
  restore(
    bytes: AsyncIterable<Buffer>,
    promptPassphrase: () => Promise<Secret | undefined>,
    options: { readonly replace: boolean; readonly accept: boolean },
    onProgress: (done: number, total: number) => void,
  ): Promise<RestoreSummary & BackupIdentity>;
}

export interface BackupIdentity {
  readonly id: string;
  readonly created_at: string;
  /** The id of the vault. */
  readonly vault: string;
}

export interface BackupParts {
  readonly settings: () => { readonly store: StoreLocation; readonly home: string; readonly cipher: Cipher };
  readonly rootKey: () => Promise<RootKeySource>;
  readonly caller: () => Caller;
  readonly now: () => Date;
}

export function backupAccess({ settings, rootKey, caller, now }: BackupParts): BackupAccess {
  const unlock: Unlock = async (bytes, promptPassphrase) => {
    const [{ BackupReader }, { unlockBackup }] = await Promise.all([
      import('./backup_reader.ts'),
      import('./unlock.ts'),
    ]);
    const backup = await BackupReader.open(bytes);
    const configured = await rootKey();
    // The header of a backup does not decide which key the vault of the settings has.
    const source = configured.kind === 'file' ? { ...configured, is_read_only: true } : configured;
    const keys = await unlockBackup(backup.header, source, promptPassphrase);
    const sealing = { random: systemRandom, cipher: settings().cipher };
    return { backup, keys, source, ...sealing };
  };
  return {
    async verify(bytes, promptPassphrase, onProgress) {
      const opened = await unlock(bytes, promptPassphrase);
      const { loadBackup } = await import('./restore.ts');
      const folder = mkdtempSync(join(tmpdir(), 'keyhold-backup-'));
      try {
        const target = await engineOf({ kind: 'sqlite', path: join(folder, 'vault.db') }).openTarget();
        const loaded = await loadBackup({ ...opened, target, onProgress });
        return { ...factsOf(opened.backup.header), ...loaded };
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    async restore(bytes, promptPassphrase, { replace, accept }, onProgress) {
      const { store, home } = settings();
      const engine = engineOf(store);
      engine.assertPrivate();
      const target = await engine.openTarget();
      const opened = await unlock(bytes, promptPassphrase);
      const [{ restoreBackup }, { planRootKey }] = await Promise.all([
        import('./restore.ts'),
        import('./unlock.ts'),
      ]);
      const { header, writeKeyFile } = await planRootKey(opened.backup.header, opened.keys, opened.source);
      const anchor_path = join(home, 'keys', 'anchor');
      const given = { caller: caller(), now, anchor_path, replace, accept, writeKeyFile, onProgress };
      const openPresent = () => engine.open(() => undefined);
      const restored = await restoreBackup({ ...opened, ...given, target, header, openPresent });
      return { ...factsOf(opened.backup.header), ...restored };
    },
  };
}

type Unlock = (
  bytes: AsyncIterable<Buffer>,
  promptPassphrase: Parameters<BackupAccess['verify']>[1],
) => Promise<Unlocked>;

type Unlocked = Omit<LoadOptions, 'target'> & {
  readonly source: RootKeySource;
};

function factsOf({ id, created_at, vault }: Unlocked['backup']['header']) {
  return { id, created_at, vault };
}
