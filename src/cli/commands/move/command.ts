/** `keyhold move`. */
import { Command } from 'commander';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

export function moveCommand(context: CliContext): Command {
  return new Command('move')
    .description('Move the vault to another store, such as PostgreSQL, while it is used.')
    .argument('<store>', 'the new store, as in KEYHOLD_STORE')
    .option('--cancel', 'end a move that is not complete: the present store is the vault again')
    .option('--accept', 'move although the audit logs have findings')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nWrites are refused for a short time at the end. The present store is kept, and refuses writes from then on.\nThe password of a database is in KEYHOLD_STORE_PASSWORD, KEYHOLD_STORE_PASSWORD_FILE or ~/.pgpass.\nA run that was killed is completed by running the same command again.\n${examples('keyhold move postgres://keyhold@db.example.com/keyhold', 'KEYHOLD_STORE=postgres://keyhold@db.example.com/keyhold keyhold move sqlite:/var/lib/keyhold/vault.db')}`,
    )
    .action(async (store, options) => (await import('./move.ts')).moveVault(context, store, options));
}
