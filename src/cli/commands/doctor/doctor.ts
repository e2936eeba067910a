/** `keyhold doctor`: checks a vault or a server and reports problems and how to fix them. Changes nothing. */
import { Command } from 'commander';
import { addServerOptions, type ConnectionOptions } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { examples } from '../../terminal/output.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

export function doctorCommand(context: CliContext): Command {
  const command = new Command('doctor')
    .description(
      'Check the vault, its key, its files and this machine, or a server with --url; report problems and how to fix them.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', `\nThe exit code is 0 when no check failed.\n${examples('keyhold doctor')}`)
    .action(async (options: Options) => {
      const { runChecks } = await import('./run_checks.ts');
      await runChecks(context, options);
    });
  return addServerOptions(command);
}
