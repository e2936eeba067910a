/** `keyhold users`: lists the users of an organization, moves one to another unit, and removes one with all that belongs to it. */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { examples, note, print, printJson } from '../terminal/output.ts';
import { paintFor } from '../terminal/terminal_text.ts';

interface Options extends ConnectionOptions {
  readonly org?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function usersCommand(context: CliContext): Command {
  const list = new Command('list')
    .description('List the users of an organization, newest first.')
    .option('--org <organization>', 'the organization to list (default: your own)')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold users list', 'keyhold users list --org acme --json'))
    .action((options: Options) => listUsers(context, options));
  const remove = new Command('remove')
    .description('Delete a user with all credentials, stacks and API keys.')
    .argument('<name>', 'name of the user')
    .option('--org <organization>', 'the organization it is in (default: your own)')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', examples('keyhold users remove ana --org acme'))
    .action((name: string, options: Options) => removeUser(context, name, options));
  const move = new Command('move')
    .description('Move a user to another unit, with which other stacks may be shared.')
    .argument('<name>', 'name of the user')
    .requiredOption('--unit <unit>', 'id or name of the unit')
    .option('--org <organization>', 'the organization it is in (default: your own)')
    .option('--json', 'print the user as JSON')
    .addHelpText('after', examples('keyhold users move ana --unit sales'))
    .action((name: string, options: Options & { readonly unit: string }) => moveUser(context, name, options));
  return new Command('users')
    .description('List, move and remove the users of an organization.')
    .addCommand(addServerOptions(list))
    .addCommand(addServerOptions(move))
    .addCommand(addServerOptions(remove))
    .addHelpText('after', examples('keyhold users list', 'keyhold users remove ana'));
}

async function listUsers(context: CliContext, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const list = await connection.withVault('existing', (vault) => vault.listUsers(options.org));
  if (options.json === true) return printJson(context, list);
  const { table } = await import('../terminal/table.ts');
  const rows = list.users.map(({ id, name, unit_id }) => [name, id, unit_id]);
  const text = await table(['NAME', 'ID', 'UNIT'], rows, paintFor(context));
  await print(context, list.more ? [text, 'There are more.'] : text);
}

async function moveUser(
  context: CliContext,
  name: string,
  options: Options & { readonly unit: string },
): Promise<void> {
  const connection = await connectVault(context, options);
  const moved = await connection.withVault('existing', (vault) =>
    vault.moveUser(name, options.unit, options.org),
  );
  if (options.json === true) return printJson(context, moved);
  await print(context, `Moved ${name} to the unit ${moved.unit_id}.`);
}

async function removeUser(context: CliContext, typed: string, options: Options): Promise<void> {
  const [{ UserName }, { parseInput }] = await Promise.all([
    import('../../contract/api_key.ts'),
    import('../../contract/validation.ts'),
  ]);
  const name = parseInput(UserName, typed, 'the name of the user');
  const connection = await connectVault(context, options);
  if (options.yes !== true) {
    const { isTerminal, promptConfirm } = await import('../terminal/prompt.ts');
    if (!isTerminal(context))
      throw new VaultError('INVALID_INPUT', 'Removing a user deletes its credentials and keys. Add --yes.');
    // A vault that cannot be reached, or an organization that does not exist, is reported before the question.
    await connection.withVault('existing', (vault) => vault.listUsers(options.org));
    const where = options.org === undefined ? 'your organization' : `the organization ${options.org}`;
    const question = `Delete the user ${name} of ${where} with all credentials, stacks and API keys?`;
    if (!(await promptConfirm(question, context))) return note(context, 'Nothing was deleted.');
  }
  const removed = await connection.withVault('existing', (vault) => vault.removeUser(name, options.org));
  if (options.json === true) return printJson(context, removed);
  await print(context, `Removed ${name}, with all credentials, stacks and API keys.`);
}
