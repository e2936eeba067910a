/**
 * The command line put together: every command, and the one way in which all of them end. What a command needs
 * besides commander it loads when it runs, because `keyhold mcp` must answer as soon as it is started.
 */
import { Command } from 'commander';
import { auditCommand } from './commands/audit/audit.ts';
import { completionCommand, hiddenCompleteCommand } from './commands/completion/completion.ts';
import { deleteCommand } from './commands/delete.ts';
import { doctorCommand } from './commands/doctor/doctor.ts';
import { initCommand } from './commands/init.ts';
import { installCommand } from './commands/install/command.ts';
import { keysCommand } from './commands/keys/keys.ts';
import { mcpCommand } from './commands/mcp.ts';
import { sealCommand } from './commands/seal.ts';
import { serveCommand } from './commands/serve.ts';
import { servicesCommand } from './commands/services.ts';
import { statusCommand } from './commands/status.ts';
import { storeCommand } from './commands/store.ts';
import { unitsCommand } from './commands/units.ts';
import { updateCommand } from './commands/update.ts';
import type { CliContext } from './context.ts';
import { CommanderExit } from './errors/exit.ts';
import { examples, isBrokenPipe, outputFailed, write } from './terminal/output.ts';

/**
 * The `keyhold` command with all its commands. It never ends the process; parsing throws `CommandStopped`, for help
 * too, and what the commands throw.
 */
export function buildProgram(context: CliContext): Command {
  const program = new Command('keyhold')
    .description(
      'A credential vault for AI agents: they put credentials in, change and check them, and never read one back.',
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
    deleteCommand(context),
    sealCommand(context),
    keysCommand(context),
    unitsCommand(context),
    auditCommand(context),
    doctorCommand(context),
    completionCommand(context),
  ];
  for (const command of commands) program.addCommand(command);
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

/** Makes a command and those under it throw instead of writing and ending the process. */
function prepare(context: CliContext, command: Command): void {
  let shown = '';
  // All that comes through here is help, which was asked for. Errors are put into words elsewhere.
  const out = (text: string) => {
    shown += text;
  };
  const width = () => (context.stdout.isTTY === true ? context.stdout.columns : undefined) as number;
  command
    .configureOutput({
      writeOut: out,
      writeErr: out,
      outputError: () => {},
      getOutHelpWidth: width,
      getErrHelpWidth: width,
    })
    .exitOverride((stop) => {
      throw new CommanderExit(command, stop, shown);
    });
  for (const inner of command.commands) prepare(context, inner);
}

/** Runs a command line, as in `process.argv.slice(2)`, to its end. Resolves to the exit code; never rejects. */
export async function runProgram(context: CliContext, argv: readonly string[]): Promise<number> {
  const problems = watchStreams(context);
  const [first, ...rest] = argv;
  const words = first === undefined ? ['--help'] : first === 'help' ? [...rest, '--help'] : [...argv];
  let code = 0;
  try {
    await buildProgram(context).parseAsync(words, { from: 'user' });
    // Behind everything that was written, so that a write that failed has been heard of.
    await write(context.stdout, '');
  } catch (thrown) {
    code = await fail(context, words, thrown);
  }
  if (code === 0 && problems.length > 0) code = await fail(context, words, outputFailed(problems[0]));
  return code;
}

/** Puts a failure into words on stderr. Resolves to its exit code. */
async function fail(context: CliContext, words: readonly string[], thrown: unknown): Promise<number> {
  const end = words.indexOf('--');
  const json = (end === -1 ? words : words.slice(0, end)).includes('--json');
  const { reportFailure } = await import('./errors/report.ts');
  try {
    if (!(thrown instanceof CommanderExit)) return await reportFailure(context, thrown, json);
    const { explainStop } = await import('./errors/usage.ts');
    const wrong = explainStop(thrown);
    if (wrong !== undefined) return await reportFailure(context, wrong, json);
    await write(context.stdout, thrown.output);
    return 0;
  } catch {
    // The streams take nothing any more; the exit code is all that is left to say.
    return 1;
  }
}

/** Collects what goes wrong with the streams, except that a reader went away, which is its good right. */
function watchStreams(context: CliContext): Error[] {
  const problems: Error[] = [];
  context.stdout.on('error', (error) => {
    if (!isBrokenPipe(error)) problems.push(error);
  });
  context.stderr.on('error', () => {});
  return problems;
}
