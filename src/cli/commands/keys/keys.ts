/** `keyhold keys`: the API keys of a server. A key is printed once, when it is created or rotated. */
import { Command } from 'commander';
import { addServerOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';
import { addUsePolicyOptions } from '../../use_policy/options.ts';

export function keysCommand(context: CliContext): Command {
  return new Command('keys')
    .description('Create, list, rotate and revoke API keys.')
    .addCommand(addServerOptions(createCommand(context)))
    .addCommand(addServerOptions(listCommand(context)))
    .addCommand(addServerOptions(rotateCommand(context)))
    .addCommand(addServerOptions(revokeCommand(context)))
    .addHelpText('after', examples('keyhold keys create --org acme --user ana', 'keyhold keys list'));
}

function createCommand(context: CliContext): Command {
  const command = new Command('create');
  return addUsePolicyOptions(command)
    .description('Create an API key, and its organization and user if they are missing.')
    .option('--org <organization>', 'the organization of the key (default: your own)')
    .option('--user <user>', 'the user of the key (default: you)')
    .option('--unit <unit>', 'the unit of a new user: its id or name')
    .option('--name <name>', 'name of the key')
    .option('--scopes <scopes>', 'its scopes, with commas (default: all for credentials and stacks)')
    .option('--stack <stack>', 'restrict it to this stack')
    .option('--services <services>', 'restrict it to these services, with commas')
    .option('--tools <tools>', 'restrict it to these tools, with commas')
    .option('--expires <time>', 'when it expires: a date or time (ISO 8601), or a span such as 30d, 12h, 2w')
    .option('--json', 'print the key and its scopes as JSON')
    .addHelpText(
      'after',
      `
Standard output is the key alone. It is shown only once.
Credentials belong to a user: all keys of one user see the same credentials, and a new user has none. To share
credentials, create several keys of one user.
Scopes: credentials:read, credentials:write, credentials:use, stacks:write, keys:write, audit:read, values:reveal,
approvals:decide, org:admin.
${examples(
  'keyhold keys create --org acme --user ana --expires 90d',
  'keyhold keys create --user ci --scopes credentials:read --services github --json',
  'keyhold keys create --user agent --read-only --approve writes --calls-per-minute 60',
)}`,
    )
    .action(async (options) => (await import('./create.ts')).createKey(context, options));
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('List the users, scopes and restrictions of the API keys, newest first. Shows no key.')
    .option('--org <organization>', 'the organization to list (default: your own)')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold keys list', 'keyhold keys list --org acme --json'))
    .action(async (options) => (await import('./list.ts')).listKeys(context, options));
}

function rotateCommand(context: CliContext): Command {
  return new Command('rotate')
    .description('Give an API key a new secret. The old one stops working at once.')
    .argument('<key>', 'id of the key, as `keyhold keys list` shows it')
    .option('--json', 'print the key and its scopes as JSON')
    .addHelpText('after', examples('keyhold keys rotate 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./change.ts')).rotateKey(context, id, options));
}

function revokeCommand(context: CliContext): Command {
  return new Command('revoke')
    .description('Revoke an API key for good, after a confirmation.')
    .argument('<key>', 'id of the key, as `keyhold keys list` shows it')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold keys revoke 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --yes'))
    .action(async (id: string, options) => (await import('./change.ts')).revokeKey(context, id, options));
}
