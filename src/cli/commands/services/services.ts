/** `keyhold services`: lists, shows, adds, approves and removes services. */
import { Command } from 'commander';
import { addServerOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

export function servicesCommand(context: CliContext): Command {
  const list = new Command('list')
    .description('List the services, or those that match a query.')
    .argument('[query...]', 'text to find in names, ids, categories and descriptions')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold services list', 'keyhold services list google mail'))
    .action(async (query: readonly string[], options) =>
      (await import('./list.ts')).listServices(context, query.join(' '), options),
    );
  const show = new Command('show')
    .description('Show what a service needs: fields, environment names, help pages and hosts.')
    .argument('<service>', 'id of a service; the start of one is enough when only one starts so')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold services show gmail'))
    .action(async (typed: string, options) =>
      (await import('./list.ts')).showService(context, typed, options),
    );
  const add = new Command('add')
    .description('Add or replace a custom service: a definition, or the server.json of an MCP server.')
    .argument('<file>', 'path of the JSON file; - for standard input')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples('keyhold services add ./intranet.json', 'curl -s URL | keyhold services add - --yes'),
    )
    .action(async (file: string, options) => (await import('./add.ts')).addFile(context, file, options));
  const approve = new Command('approve')
    .description('Approve the definition file of a custom service that is new or was changed.')
    .argument('<service>', 'full id of the service')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold services approve intranet'))
    .action(async (typed: string, options) =>
      (await import('./approve.ts')).approveService(context, typed, options),
    );
  const remove = new Command('remove')
    .description('Remove a custom service, after a confirmation. Its credentials stay and can be deleted.')
    .argument('<service>', 'full id of the service')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold services remove intranet'))
    .action(async (typed: string, options) =>
      (await import('./remove.ts')).removeService(context, typed, options),
    );
  return new Command('services')
    .description('List, show, add, approve and remove services.')
    .addCommand(addServerOptions(list))
    .addCommand(addServerOptions(show))
    .addCommand(add)
    .addCommand(approve)
    .addCommand(remove)
    .addHelpText('after', examples('keyhold services list crm', 'keyhold services show linear'));
}
