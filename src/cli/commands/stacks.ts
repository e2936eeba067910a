/** `keyhold stacks`: lists the stacks of the caller. */
import { Command } from 'commander';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { examples, print, printJson } from '../terminal/output.ts';
import { paintFor } from '../terminal/terminal_text.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

export function stacksCommand(context: CliContext): Command {
  const list = new Command('list')
    .description('List your stacks and the services in each, newest first.')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold stacks list', 'keyhold status --stack team'))
    .action((options: Options) => listStacks(context, options));
  return new Command('stacks')
    .description('List your stacks. Storing a credential with --stack creates one.')
    .addCommand(addServerOptions(list))
    .addHelpText('after', examples('keyhold stacks list'));
}

async function listStacks(context: CliContext, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const stacks = await connection.withVault('existing', (vault) => vault.listStacks());
  if (options.json === true) return printJson(context, { stacks });
  const { table } = await import('../terminal/table.ts');
  const rows = stacks.map(({ stack_id, stack_name, services, updated_at }) => [
    stack_id,
    stack_name === stack_id ? '' : stack_name,
    services.join(', '),
    updated_at,
  ]);
  await print(context, await table(['STACK', 'NAME', 'SERVICES', 'CHANGED'], rows, paintFor(context)));
}
