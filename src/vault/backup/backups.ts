/** Backups of the vault as a whole. For the operator only, and each one is in the audit log before its first byte is written. */
import { type Caller, isOperator } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { PASSPHRASE_MIN_CHARACTERS } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import { isEasyToGuess } from '../../crypto/passphrase.ts';
import { vaultIdOf } from '../audit/anchor.ts';
import { newEntry } from '../audit/entry.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import { idText } from '../records/record_codec.ts';
import { type WriteBytes, writeBackup } from './backup_writer.ts';
import type { BackupCounts } from './parts.ts';

export interface BackupOptions {
  /** Opens the backup too, without the root key. */
  readonly passphrase?: Secret | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface BackupSummary extends BackupCounts {
  readonly id: string;
  readonly created_at: string;
  /** The id of the vault. */
  readonly vault: string;
  readonly organizations: number;
  readonly bytes: number;
}

export class Backups {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;

  constructor(parts: VaultDependencies, guard: Guard) {
    this.#parts = parts;
    this.#guard = guard;
  }

  /**
   * Writes the state of the vault at one time, while writes go on. It has every write that was acknowledged before the call,
   * and the audit entry of this backup.
   */
  async create(caller: Caller, write: WriteBytes, options: BackupOptions = {}): Promise<BackupSummary> {
    const { store, keys, sodium, random, audit_log, now } = this.#parts;
    const local = await this.#guard.authorize(caller, 'org:admin', NO_SINGLE_STACK, 'backup');
    await this.#guard.auditDenials(caller, local, 'backup', ['FORBIDDEN'], NO_SINGLE_STACK, () => {
      if (!isOperator(caller)) throw new VaultError('FORBIDDEN', 'Only the operator may back up the vault.');
    });
    const passphrase = options.passphrase?.reveal();
    if (passphrase !== undefined) assertHardToGuess(passphrase);
    const id = random(16);
    const at = now();
    const entry = newEntry(caller, 'backup', at, { record_id: idText(id) });
    await store.commit({ writes: [], audit: [audit_log.append(local, entry)] });
    const facts = {
      id: id.toString('hex'),
      created_at: formatTimestamp(at),
      vault: vaultIdOf(await keys.anchorKeys()),
    };
    const snapshot = await store.snapshot();
    try {
      const { keys: key_count, records, entries } = await snapshot.counts();
      const organizations = (await snapshot.heads()).length;
      let done = 0;
      const onRows = (rows: number) => {
        done += rows;
        options.onProgress?.(done, key_count + records + entries);
      };
      const source = { snapshot, sodium, random, root_key: keys.wrapped.root_key, facts, passphrase };
      const bytes = await writeBackup(source, write, onRows);
      return { ...facts, organizations, keys: key_count, records, entries, bytes };
    } finally {
      await snapshot.close();
    }
  }
}

function assertHardToGuess(passphrase: string): void {
  if (!isEasyToGuess(passphrase)) return;
  throw new VaultError(
    'INVALID_INPUT',
    `The passphrase is too easy to guess, so no backup was made. Choose one with at least ${PASSPHRASE_MIN_CHARACTERS} characters, for example a random one from a password manager.`,
  );
}
