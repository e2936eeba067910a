/** `keyhold units`: creates and lists the units of an organization. */
import { Command } from 'commander';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { nextCommand } from '../terminal/next_command.ts';
import { examples, print, printJson } from '../terminal/output.ts';
import { paintFor } from '../terminal/terminal_text.ts';

interface Options extends ConnectionOptions {
  readonly org?: string;
  readonly json?: boolean;
}

export function unitsCommand(context: CliContext): Command {
  const create = new Command('create')
    .description('Create a unit, and its organization if it is missing. An existing unit stays unchanged.')
    .argument('<name>', 'name of the unit')
    .option('--org <organization>', 'the organization it is in (default: your own)')
    .option('--json', 'print the unit as JSON')
    .addHelpText('after', examples('keyhold units create sales --org acme'))
    .action((name: string, options: Options) => createUnit(context, name, options));
  const list = new Command('list')
    .description('List the units of an organization, newest first.')
    .option('--org <organization>', 'the organization to list (default: your own)')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold units list', 'keyhold units list --org acme --json'))
    .action((options: Options) => listUnits(context, options));
  return new Command('units')
    .description('Create and list the units of an organization.')
    .addCommand(addServerOptions(create))
    .addCommand(addServerOptions(list))
    .addHelpText('after', examples('keyhold units create sales', 'keyhold units list'));
}

async function createUnit(context: CliContext, typed: string, options: Options): Promise<void> {
  const { UnitName } = await import('../../contract/api_key.ts');
  const { parseInput } = await import('../../contract/validation.ts');
  const name = parseInput(UnitName, typed, 'the name of the unit');
  const { announceNewOrganization } = await import('./keys/create.ts');
  const connection = await connectVault(context, options);
  const unit = await connection.withVault('new_or_existing', (vault) =>
    announceNewOrganization(context, vault, options, () => vault.createUnit(name, options.org)),
  );
  if (options.json === true) return printJson(context, unit);
  const next = nextCommand(['keys', 'create', '--user', 'USER', '--unit', unit.name], options);
  await print(context, [`The unit ${unit.name} is ${unit.id}.`, `Next: ${next}`]);
}

async function listUnits(context: CliContext, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const units = await connection.withVault('existing', (vault) => vault.listUnits(options.org));
  if (options.json === true) return printJson(context, { units });
  const { table } = await import('../terminal/table.ts');
  const rows = units.map(({ id, name, created_at }) => [id, name, created_at]);
  await print(context, await table(['ID', 'NAME', 'CREATED'], rows, paintFor(context)));
}
