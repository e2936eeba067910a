/** `keyhold keys`: the API keys that programs reach a server with. A key is shown once, when it is made or rotated. */
import { Command } from 'commander';
import { addServerOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

export function keysCommand(context: CliContext): Command {
  return new Command('keys')
    .description('Make, list, rotate and revoke API keys.')
    .addCommand(addServerOptions(createCommand(context)))
    .addCommand(addServerOptions(listCommand(context)))
    .addCommand(addServerOptions(rotateCommand(context)))
    .addCommand(addServerOptions(revokeCommand(context)))
    .addHelpText('after', examples('keyhold keys create --org acme --user ana', 'keyhold keys list'));
}

function createCommand(context: CliContext): Command {
  return new Command('create')
    .description('Make an API key, and its organization and user when they are new.')
    .option('--org <organization>', 'the organization it is for (default: your own)')
    .option('--user <user>', 'the user it stands for (default: you)')
    .option('--unit <unit>', 'the unit of a user that is new: its id or name')
    .option('--name <name>', 'what you call the key')
    .option('--scopes <scopes>', 'what it may do, with commas (default: all with credentials and stacks)')
    .option('--stack <stack>', 'the one stack that it may touch')
    .option('--services <services>', 'the only services that it may touch, with commas')
    .option('--tools <tools>', 'the only tools that it may call, with commas')
    .option('--expires <time>', 'when it ends: a date or time (ISO 8601), or a span such as 30d, 12h, 2w')
    .option('--json', 'print the key and what it may do as JSON')
    .addHelpText(
      'after',
      `
The key is all that goes to standard output, and it is shown this once.
Scopes: credentials:read, credentials:write, credentials:use, stacks:write, keys:write, audit:read, values:reveal,
org:admin.
${examples(
  'keyhold keys create --org acme --user ana --expires 90d',
  'keyhold keys create --user ci --scopes credentials:read --services github --json',
)}`,
    )
    .action(async (options) => (await import('./create.ts')).createKey(context, options));
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('List the API keys, newest first: whose they are and what they may do. Shows no key.')
    .option('--org <organization>', 'the organization to list (default: your own)')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold keys list', 'keyhold keys list --org acme --json'))
    .action(async (options) => (await import('./list.ts')).listKeys(context, options));
}

function rotateCommand(context: CliContext): Command {
  return new Command('rotate')
    .description('Give an API key a new secret. The old one stops working at once.')
    .argument('<key>', 'id of the key, as `keyhold keys list` shows it')
    .option('--json', 'print the key and what it may do as JSON')
    .addHelpText('after', examples('keyhold keys rotate 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071'))
    .action(async (id: string, options) => (await import('./change.ts')).rotateKey(context, id, options));
}

function revokeCommand(context: CliContext): Command {
  return new Command('revoke')
    .description('Take an API key out of use for good. Asks first.')
    .argument('<key>', 'id of the key, as `keyhold keys list` shows it')
    .option('-y, --yes', 'do not ask (needed without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold keys revoke 01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --yes'))
    .action(async (id: string, options) => (await import('./change.ts')).revokeKey(context, id, options));
}
