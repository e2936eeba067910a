/**
 * Builds the command line from its commands and ends each run with an exit code. A command loads the vault and other large
 * modules only when it runs, so that every start is fast.
 */
import { Command } from 'commander';
import type { CliContext } from './context.ts';
import { CommanderExit } from './errors/exit.ts';
import { examples, isBrokenPipe, outputError, write } from './terminal/output.ts';

/** Adds the commands that the program has. */
export type AddCommands = (program: Command) => void;

/**
 * The `keyhold` command with its subcommands. Parsing never ends the process: it throws `CommanderExit`, also for help, or
 * the error of a command.
 */
export function buildProgram(context: CliContext, addCommands: AddCommands): Command {
  const program = new Command('keyhold')
    .description(
      'A credential vault for AI agents: they store, change and check credentials, and no MCP tool reads one back.',
    )
    .version(context.version, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .helpCommand(false);
  addCommands(program);
  program.addHelpText(
    'after',
    examples(
      'keyhold init',
      'keyhold store linear',
      'keyhold status',
      'KEYHOLD_URL=https://keyhold.example.com keyhold status   # the vault of a server',
    ),
  );
  prepare(context, program);
  return program;
}

/** Makes a command and its subcommands throw instead of writing output and ending the process. */
function prepare(context: CliContext, command: Command): void {
  let output = '';
  // Receives help only: `errors/usage.ts` writes the error messages.
  const append = (text: string) => {
    output += text;
  };
  const width = () => (context.stdout.isTTY === true ? context.stdout.columns : undefined) as number;
  command
    .configureOutput({
      writeOut: append,
      writeErr: append,
      outputError: () => {},
      getOutHelpWidth: width,
      getErrHelpWidth: width,
    })
    .exitOverride((stop) => {
      throw new CommanderExit(command, stop, output);
    });
  for (const inner of command.commands) prepare(context, inner);
}

/** Runs a command line, as in `process.argv.slice(2)`. Resolves to the exit code; never rejects. */
export async function runProgram(
  context: CliContext,
  argv: readonly string[],
  addCommands: AddCommands,
): Promise<number> {
  const write_errors = collectWriteErrors(context);
  const [first, ...rest] = argv;
  const words = first === undefined ? ['--help'] : first === 'help' ? [...rest, '--help'] : [...argv];
  let code = 0;
  try {
    await buildProgram(context, addCommands).parseAsync(words, { from: 'user' });
    // An empty write completes after all earlier ones, so their errors are known now.
    await write(context.stdout, '');
  } catch (thrown) {
    code = await fail(context, words, thrown);
  }
  if (code === 0 && write_errors.length > 0) code = await fail(context, words, outputError(write_errors[0]));
  return code;
}

/** Prints the error message to stderr. Resolves to the exit code. */
async function fail(context: CliContext, words: readonly string[], thrown: unknown): Promise<number> {
  const end = words.indexOf('--');
  const json = (end === -1 ? words : words.slice(0, end)).includes('--json');
  const { reportFailure } = await import('./errors/report.ts');
  if (!(thrown instanceof CommanderExit)) return reportFailure(context, thrown, json);
  const { explainStop } = await import('./errors/usage.ts');
  const error = explainStop(thrown);
  if (error !== undefined) return reportFailure(context, error, json);
  try {
    await write(context.stdout, thrown.output);
    return 0;
  } catch (unwritten) {
    return reportFailure(context, unwritten, json);
  }
}

/** Collects the write errors of stdout, except a closed pipe, which is not a failure. */
function collectWriteErrors(context: CliContext): Error[] {
  const errors: Error[] = [];
  context.stdout.on('error', (error) => {
    if (!isBrokenPipe(error)) errors.push(error);
  });
  context.stderr.on('error', () => {});
  return errors;
}
