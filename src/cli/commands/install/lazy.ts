/** `keyhold install`, loaded when it is run: its parts read and write other programs' files and are never needed else. */
import { Command } from 'commander';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/examples.ts';

/** `configure` is what every command of the program gets. */
export function installLazily(context: CliContext, configure: (command: Command) => void): Command {
  return new Command('install')
    .description('Tell an MCP client how to start Keyhold. Without CLIENT: list the clients.')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[client]')
    .action(async (_client: unknown, _options: unknown, stub: Command) => {
      const { assertLocal } = await import('../../connect/server_option.ts');
      const instead =
        'It would tell the client of the vault here. Give the client the address /mcp below the URL, and an API key as a bearer token.';
      assertLocal(context.env, 'install', instead);
      const command = await loadInstall(context);
      configure(command);
      await command.parseAsync(stub.args, { from: 'user' });
    });
}

/** The command itself. */
export async function loadInstall(context: CliContext): Promise<Command> {
  const { installCommand } = await import('./install.ts');
  return installCommand(() => context.install())
    .name('keyhold install')
    .addHelpText(
      'after',
      examples('keyhold install claude-code', 'keyhold install cursor --scope project --print'),
    );
}
