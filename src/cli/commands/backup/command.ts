/** `keyhold backup`, `keyhold backup verify` and `keyhold restore`. */
import { Command } from 'commander';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

export function backupCommand(context: CliContext): Command {
  const verify = new Command('verify')
    .description('Rehearse a restore: decrypt the whole backup and verify its audit logs. Changes nothing.')
    .argument('<file>', 'the backup; - reads standard input')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nThe exit code is 12 if the backup is damaged or its audit logs have findings.\n${examples('keyhold backup verify vault.backup')}`,
    )
    .action(async (file, options) => (await import('./verify.ts')).verifyBackup(context, file, options));
  return new Command('backup')
    .enablePositionalOptions()
    .description('Back up the vault to an encrypted file, while it is used.')
    .argument('[file]', 'the new file; - writes to standard output')
    .option('--passphrase', 'protect the backup with a passphrase, which also restores the root key')
    .option('--force', 'replace an existing file')
    .option('--json', 'print JSON')
    .addCommand(verify)
    .addHelpText(
      'after',
      `\nWithout --passphrase the backup opens with the root key of the vault only: keep a copy of that key, apart from the backup.\nKEYHOLD_BACKUP_PASSPHRASE replaces the prompt for the passphrase.\n${examples('keyhold backup /mnt/backups/vault.backup', 'keyhold backup --passphrase vault.backup', 'keyhold backup verify vault.backup')}`,
    )
    .action(async (file, options) => (await import('./create.ts')).createBackup(context, file, options));
}

export function restoreCommand(context: CliContext): Command {
  return new Command('restore')
    .description('Restore the vault from a backup. A newer vault is not replaced.')
    .argument('<file>', 'the backup; - reads standard input')
    .option('--replace', 'replace a vault that is newer or another one, and keep it beside the new one')
    .option('--accept', 'restore although the audit logs in the backup have findings')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nStop the server and MCP clients first. A run that was killed is completed by running the same command again.\n${examples('keyhold restore vault.backup', 'keyhold restore --replace vault.backup')}`,
    )
    .action(async (file, options) => (await import('./restore.ts')).restoreVault(context, file, options));
}
