/** `keyhold audit`: who did what, and whether the log can be trusted. Changes nothing. */
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
    .option('--user <user>', 'only what this user did')
    .option('--outcome <outcome>', 'only allowed or denied')
    .option('--since <time>', 'from then on: a date or time (ISO 8601), or a span such as 30d, 12h, 45m, 2w')
    .option('--until <time>', 'before then')
    .option('--org <organization>', "another organization's log, for who runs the installation")
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples('keyhold audit list --since 7d', 'keyhold audit list --service github --action delete'),
    )
    .action(async (options) => (await import('./list.ts')).listAudit(context, options));
  const verify = new Command('verify')
    .description('Hold the whole log against the credentials: find what was changed, removed or put back.')
    .option('--org <organization>', "another organization's log, for who runs the installation")
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nThe exit code is 12 when something was found.\n${examples('keyhold audit verify')}`,
    )
    .action(async (options) => (await import('./verify.ts')).verifyAudit(context, options));
  return new Command('audit')
    .description('Read and check the audit log.')
    .addCommand(addServerOptions(list))
    .addCommand(addServerOptions(verify))
    .addHelpText('after', examples('keyhold audit list', 'keyhold audit verify'));
}
