/** The options of `keyhold install`. Loads what reads and writes the files of other programs only when it runs. */
import { Command } from 'commander';
import { assertLocal } from '../../connect/server_option.ts';
import type { ProgramContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';
import { CLIENT_IDS } from './client_ids.ts';
import type { InstallOptions } from './install.ts';

export type InstallAction = (client: string | undefined, options: InstallOptions) => void | Promise<void>;

export function installCommand(context: ProgramContext): Command {
  return defineInstall(async (client, options) => {
    const instead =
      'It would connect the client to the vault here. Give the client the address /mcp below the URL, and an API key as a bearer token.';
    assertLocal(context.env, 'install', instead);
    const { runInstall } = await import('./install.ts');
    runInstall(await context.install(), client, options);
  });
}

export function defineInstall(action: InstallAction): Command {
  return new Command('install')
    .description('Add Keyhold to an MCP client. Without CLIENT: list the clients.')
    .argument('[client]', CLIENT_IDS.join(', '))
    .option('--print', 'print the entry and the path of the file; write nothing')
    .option('--scope <scope>', 'user, or project: the current folder (default: user)')
    .option('--name <name>', 'name of the server in the client', 'keyhold')
    .option('--remove', 'remove the entry')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples('keyhold install claude-code', 'keyhold install cursor --scope project --print'),
    )
    .action(action);
}
