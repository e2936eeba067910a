/**
 * Builds the command line from its commands and ends each run with an exit code. A command loads the vault and other large
 * modules only when it runs, so that every start is fast.
 */
import { Command } from 'commander';
import { approvalsCommand } from './commands/approvals/approvals.ts';
import { auditCommand } from './commands/audit/audit.ts';
import { callCommand } from './commands/call/call.ts';
import { completionCommand, hiddenCompleteCommand } from './commands/completion/completion.ts';
import { deleteCommand } from './commands/delete.ts';
import { doctorCommand } from './commands/doctor/doctor.ts';
import { initCommand } from './commands/init.ts';
import { installCommand } from './commands/install/command.ts';
import { keysCommand } from './commands/keys/keys.ts';
import { mcpCommand } from './commands/mcp.ts';
import { notOfferedCommands } from './commands/not_offered.ts';
import { runCommand } from './commands/run/run.ts';
import { sealCommand } from './commands/seal.ts';
import { serveCommand } from './commands/serve.ts';
import { servicesCommand } from './commands/services/services.ts';
import { stacksCommand } from './commands/stacks.ts';
import { statusCommand } from './commands/status.ts';
import { storeCommand } from './commands/store.ts';
import { unitsCommand } from './commands/units.ts';
import { updateCommand } from './commands/update.ts';
import { usersCommand } from './commands/users.ts';
import type { CliContext } from './context.ts';
import { CommanderExit } from './errors/exit.ts';
import { examples, isBrokenPipe, outputError, write } from './terminal/output.ts';

/**
 * The `keyhold` command with its subcommands. Parsing never ends the process: it throws `CommanderExit`, also for help, or
 * the error of a command.
 */
export function buildProgram(context: CliContext): Command {
  const program = new Command('keyhold')
    .description(
      'A credential vault for AI agents: they store, change and check credentials, and no MCP tool reads one back.',
    )
    .version(context.version, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .helpCommand(false);
  const commands = [
    initCommand(context),
    mcpCommand(context),
    serveCommand(context),
    installCommand(context),
    storeCommand(context),
    updateCommand(context),
    statusCommand(context),
    servicesCommand(context),
    stacksCommand(context),
    deleteCommand(context),
    callCommand(context),
    runCommand(context),
    sealCommand(context),
    keysCommand(context),
    unitsCommand(context),
    usersCommand(context),
    approvalsCommand(context),
    auditCommand(context),
    doctorCommand(context),
    completionCommand(context),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of notOfferedCommands()) program.addCommand(command, { hidden: true });
  program.addCommand(hiddenCompleteCommand(context, program), { hidden: true });
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
export async function runProgram(context: CliContext, argv: readonly string[]): Promise<number> {
  const write_errors = collectWriteErrors(context);
  const [first, ...rest] = argv;
  const words = first === undefined ? ['--help'] : first === 'help' ? [...rest, '--help'] : [...argv];
  let code = 0;
  try {
    await buildProgram(context).parseAsync(words, { from: 'user' });
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
