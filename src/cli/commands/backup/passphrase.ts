/** The passphrase of a backup: from KEYHOLD_BACKUP_PASSPHRASE, or from a hidden prompt. Never from an argument. */
import { VaultError } from '../../../contract/errors.ts';
import { Secret } from '../../../contract/secret.ts';
import { assertNoReference } from '../../../settings/environment.ts';
import type { CliContext } from '../../context.ts';

/** Prompts twice. */
export async function newPassphrase(context: CliContext): Promise<Secret> {
  const given = fromEnvironment(context);
  if (given !== undefined) return given;
  const first = await context.promptSecret('New passphrase for the backup');
  if (first === undefined) {
    const message =
      'The passphrase of the backup is missing. Set KEYHOLD_BACKUP_PASSPHRASE, or run the command in a terminal to enter it.';
    throw new VaultError('LOCKED', message, { reason: 'passphrase_missing' });
  }
  const second = await context.promptSecret('The same passphrase once more');
  if (second?.reveal() === first.reveal()) return first;
  throw new VaultError('INVALID_INPUT', 'The two passphrases differ, so no backup was made. Try again.');
}

export function promptBackupPassphrase(context: CliContext): () => Promise<Secret | undefined> {
  return async () => fromEnvironment(context) ?? context.promptSecret('Passphrase of the backup');
}

function fromEnvironment({ env }: CliContext): Secret | undefined {
  const { KEYHOLD_BACKUP_PASSPHRASE: text = '' } = env;
  if (text.trim() === '') return undefined;
  assertNoReference('KEYHOLD_BACKUP_PASSPHRASE', text);
  return new Secret(text);
}
