/** `keyhold stacks`: lists, creates, renames, shares and deletes stacks. */
import { Command, Option } from 'commander';
import type { StackRole } from '../../../contract/stack.ts';
import { addServerOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';
import type { GranteeOptions, StackOptions } from './options.ts';

/** Not imported: the schemas would delay the start of every command. */
const ROLES: readonly StackRole[] = ['use', 'edit', 'manage'];
const ROLES_HELP = `
use: status, list, test and call. edit: also store, update and delete credentials.
manage: also rename and share. No role shows a value.`;

export function stacksCommand(context: CliContext): Command {
  const list = new Command('list')
    .description(
      'List your stacks and those that are shared with you, with the services in each, newest first.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold stacks list', 'keyhold status --stack team'))
    .action(async (options: StackOptions) => (await import('./list.ts')).listStacks(context, options));
  const show = new Command('show')
    .description('Show with which users and units a stack is shared.')
    .argument('<stack>', 'id of the stack')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold stacks show STACK'))
    .action(async (stack: string, options: StackOptions) =>
      (await import('./list.ts')).showStack(context, stack, options),
    );
  const create = new Command('create')
    .description('Create a stack that can be shared, and print its id.')
    .argument('<name>', 'name of the stack')
    .option(
      '--organization-owned',
      'the stack belongs to the organization and has no owner (administrators only)',
    )
    .option('--json', 'print the stack as JSON')
    .addHelpText('after', examples('keyhold stacks create Production'))
    .action(async (name: string, options: StackOptions & { readonly organizationOwned?: boolean }) =>
      (await import('./change.ts')).createStack(context, name, options),
    );
  const rename = new Command('rename')
    .description('Change the name of a stack. Its id stays.')
    .argument('<stack>', 'id of the stack')
    .argument('<name>', 'new name')
    .option('--json', 'print the stack as JSON')
    .addHelpText('after', examples('keyhold stacks rename STACK Staging'))
    .action(async (stack: string, name: string, options: StackOptions) =>
      (await import('./change.ts')).renameStack(context, stack, name, options),
    );
  const remove = new Command('delete')
    .description('Delete a stack with all credentials in it. Only its owner or an administrator can.')
    .argument('<stack>', 'id of the stack')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold stacks delete STACK'))
    .action(async (stack: string, options: StackOptions & { readonly yes?: boolean }) =>
      (await import('./change.ts')).deleteStack(context, stack, options),
    );
  const all = [list, show, create, rename, shareCommand(context), unshareCommand(context), remove];
  const stacks = new Command('stacks')
    .description('List, create, share and delete stacks. Storing a credential with --stack creates one too.')
    .addHelpText(
      'after',
      examples('keyhold stacks list', 'keyhold stacks share STACK --user ana --role use'),
    );
  for (const command of all) stacks.addCommand(addServerOptions(command));
  return stacks;
}

function shareCommand(context: CliContext): Command {
  const role = new Option('--role <role>', 'what the share allows').choices(ROLES).default('use');
  return new Command('share')
    .description('Share a created stack with a user or a unit, or change the role of a share.')
    .argument('<stack>', 'id of the stack')
    .option('--user <name>', 'the user to share with')
    .option('--unit <unit>', 'the unit to share with: all of its users')
    .addOption(role)
    .option('--json', 'print the share as JSON')
    .addHelpText('after', ROLES_HELP)
    .addHelpText(
      'after',
      examples(
        'keyhold stacks share STACK --user ana',
        'keyhold stacks share STACK --unit sales --role edit',
      ),
    )
    .action(async (stack: string, options: GranteeOptions & { readonly role: string }) =>
      (await import('./share.ts')).shareStack(context, stack, options),
    );
}

function unshareCommand(context: CliContext): Command {
  return new Command('unshare')
    .description('End a share, from the next request on.')
    .argument('<stack>', 'id of the stack')
    .option('--user <name>', 'the user of the share')
    .option('--unit <unit>', 'the unit of the share')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold stacks unshare STACK --user ana'))
    .action(async (stack: string, options: GranteeOptions) =>
      (await import('./share.ts')).unshareStack(context, stack, options),
    );
}
