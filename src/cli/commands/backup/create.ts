/** `keyhold backup`: writes the backup to a file that has its name only when it is complete, or to standard output. */
import { VaultError } from '../../../contract/errors.ts';
import type { Secret } from '../../../contract/secret.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import { BackupFile, writeTo } from './backup_file.ts';
import { newPassphrase } from './passphrase.ts';
import { progressLine } from './progress.ts';

interface Options {
  readonly passphrase?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

const STANDARD_OUTPUT = '-';

export async function createBackup(
  context: CliContext,
  path: string | undefined,
  { passphrase: has_passphrase, force = false, json }: Options,
): Promise<void> {
  assertLocal(context.env, 'backup', 'Run it on the machine of the server.');
  if (path === undefined)
    throw new VaultError('INVALID_INPUT', 'Name the file of the backup: `keyhold backup FILE`.');
  const to_stdout = path === STANDARD_OUTPUT;
  if (to_stdout && context.stdout.isTTY === true)
    throw new VaultError(
      'INVALID_INPUT',
      'The backup is binary data. Redirect standard output to a file or a program.',
    );
  if (to_stdout && json)
    throw new VaultError('INVALID_INPUT', 'With - the backup itself is the output. Leave out --json.');
  const passphrase: Secret | undefined = has_passphrase ? await newPassphrase(context) : undefined;
  const file = to_stdout ? undefined : new BackupFile(path, force);
  const progress = progressLine(context, 'Backing up');
  try {
    const write = file === undefined ? writeTo(context.stdout) : (bytes: Buffer) => file.write(bytes);
    const made = await context.withVault('no', async (vault) => {
      const summary = await vault.backups.create(context.caller(), write, {
        passphrase,
        onProgress: progress.show,
      });
      await file?.finish();
      return summary;
    });
    progress.clear();
    if (to_stdout) return;
    if (json) return await printJson(context, made);
    await print(context, [
      `Backed up ${made.records} records and ${made.entries} audit entries in ${made.bytes} bytes.`,
      'Next: `keyhold backup verify` with this file rehearses a restore.',
    ]);
    if (passphrase === undefined) {
      const message =
        'The backup opens with the root key of this vault only. Keep a copy of that key, apart from the backup: if both are on one machine, its loss makes the backup useless.';
      await note(context, message);
    }
  } finally {
    progress.clear();
    file?.close();
  }
}
