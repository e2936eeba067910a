/** `keyhold doctor`: looks at everything that can be wrong with a vault or a server and says what to do. Mends nothing. */
import { Command } from 'commander';
import { addServerOptions, type ConnectionOptions } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/examples.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

export function doctorCommand(context: CliContext): Command {
  const command = new Command('doctor')
    .description(
      'Check the vault, its key, its files and this machine, and say how to mend what is wrong; with --url, a server.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', `\nThe exit code is 0 when no check failed.\n${examples('keyhold doctor')}`)
    .action(async (options: Options) => {
      const { runChecks: examine } = await import('./run_checks.ts');
      await examine(context, options);
    });
  return addServerOptions(command);
}
