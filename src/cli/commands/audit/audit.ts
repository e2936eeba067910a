/** `keyhold audit`: lists and verifies the audit log. Changes nothing. */
import { Command } from 'commander';
import { addServerOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

export function auditCommand(context: CliContext): Command {
  const list = new Command('list')
    .description('List who stored, updated and deleted what, newest first.')
    .option('--limit <n>', 'how many entries, at most 100', '20')
    .option('--before <position>', 'only entries before this position, to see more')
    .option('--action <action>', 'only this action, such as store, delete or create_key')
    .option('--service <service>', 'only this service')
    .option('--credential <id>', 'only the credential with this id')
    .option('--record <id>', 'only the API key, stack, unit or user with this id')
    .option('--user <user>', 'only entries of this user')
    .option('--outcome <outcome>', 'only allowed or denied')
    .option('--since <time>', 'not before this date or time (ISO 8601), or a span such as 30d, 12h, 45m, 2w')
    .option('--until <time>', 'before this date or time')
    .option('--org <organization>', "another organization's log, for the operator")
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples('keyhold audit list --since 7d', 'keyhold audit list --service github --action delete'),
    )
    .action(async (options) => (await import('./list.ts')).listAudit(context, options));
  const verify = new Command('verify')
    .description('Verify the audit log: detect changed, removed or rolled-back records.')
    .option('--org <organization>', "another organization's log, for the operator")
    .option('--accept', 'accept a vault file that is older than its last known state: you restored a backup')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nThe exit code is 12 if the check finds a problem.\n${examples('keyhold audit verify')}`,
    )
    .action(async (options) => (await import('./verify.ts')).verifyAudit(context, options));
  return new Command('audit')
    .description('Read and verify the audit log.')
    .addCommand(addServerOptions(list))
    .addCommand(addServerOptions(verify))
    .addHelpText('after', examples('keyhold audit list', 'keyhold audit verify'));
}
