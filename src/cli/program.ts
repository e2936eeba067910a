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
import { installLazily } from './commands/install/lazy.ts';
import { keysCommand } from './commands/keys/keys.ts';
import { mcpCommand } from './commands/mcp.ts';
import { sealCommand } from './commands/seal.ts';
import { serveCommand } from './commands/serve.ts';
import { servicesCommand } from './commands/services.ts';
import { statusCommand } from './commands/status.ts';
import { storeCommand } from './commands/store.ts';
import { unitsCommand } from './commands/units.ts';
import { updateCommand } from './commands/update.ts';
import type { CliApp } from './context.ts';
import { CommandStopped } from './errors/commander_exit.ts';
import { examples } from './terminal/examples.ts';
import { isReaderGone, outputFailed, write } from './terminal/output.ts';

/**
 * The `keyhold` command with all its commands. It never ends the process; parsing throws `CommandStopped`, for help
 * too, and what the commands throw.
 */
export function buildProgram(app: CliApp): Command {
  const program = new Command('keyhold')
    .description(
      'A credential vault for AI agents: they put credentials in, change and check them, and never read one back.',
    )
    .version(app.version, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .helpCommand(false);
  const configure = (command: Command) => prepare(app, command);
  const commands = [
    initCommand(app),
    mcpCommand(app),
    serveCommand(app),
    installLazily(app, configure),
    storeCommand(app),
    updateCommand(app),
    statusCommand(app),
    servicesCommand(app),
    deleteCommand(app),
    sealCommand(app),
    keysCommand(app),
    unitsCommand(app),
    auditCommand(app),
    doctorCommand(app),
    completionCommand(app),
  ];
  for (const command of commands) program.addCommand(command);
  program.addCommand(hiddenCompleteCommand(app, program), { hidden: true });
  program.addHelpText(
    'after',
    examples(
      'keyhold init',
      'keyhold store linear',
      'keyhold status',
      'KEYHOLD_URL=https://keyhold.example.com keyhold status   # the vault of a server',
    ),
  );
  configure(program);
  return program;
}

/** Makes a command and those under it throw instead of writing and ending the process. */
function prepare(app: CliApp, command: Command): void {
  let shown = '';
  // All that comes through here is help, which was asked for. Errors are put into words elsewhere.
  const out = (text: string) => {
    shown += text;
  };
  const width = () => (app.stdout.isTTY === true ? app.stdout.columns : undefined) as number;
  command
    .configureOutput({
      writeOut: out,
      writeErr: out,
      outputError: () => {},
      getOutHelpWidth: width,
      getErrHelpWidth: width,
    })
    .exitOverride((stop) => {
      throw new CommandStopped(command, stop, shown);
    });
  for (const inner of command.commands) prepare(app, inner);
}

/** Runs a command line, as in `process.argv.slice(2)`, to its end. Resolves to the exit code; never rejects. */
export async function runCli(app: CliApp, argv: readonly string[]): Promise<number> {
  const problems = watchStreams(app);
  const [first, ...rest] = argv;
  const words = first === undefined ? ['--help'] : first === 'help' ? [...rest, '--help'] : [...argv];
  let code = 0;
  try {
    await buildProgram(app).parseAsync(words, { from: 'user' });
    // Behind everything that was written, so that a write that failed has been heard of.
    await write(app.stdout, '');
  } catch (thrown) {
    code = await fail(app, words, thrown);
  }
  if (code === 0 && problems.length > 0) code = await fail(app, words, outputFailed(problems[0]));
  return code;
}

/** Puts a failure into words on stderr. Resolves to its exit code. */
async function fail(app: CliApp, words: readonly string[], thrown: unknown): Promise<number> {
  const end = words.indexOf('--');
  const json = (end === -1 ? words : words.slice(0, end)).includes('--json');
  const { reportFailure } = await import('./errors/report.ts');
  try {
    if (!(thrown instanceof CommandStopped)) return await reportFailure(app, thrown, json);
    const { explainStop } = await import('./errors/usage.ts');
    const wrong = explainStop(thrown);
    if (wrong !== undefined) return await reportFailure(app, wrong, json);
    await write(app.stdout, thrown.shown);
    return 0;
  } catch {
    // The streams take nothing any more; the exit code is all that is left to say.
    return 1;
  }
}

/** Collects what goes wrong with the streams, except that a reader went away, which is its good right. */
function watchStreams(app: CliApp): Error[] {
  const problems: Error[] = [];
  app.stdout.on('error', (error) => {
    if (!isReaderGone(error)) problems.push(error);
  });
  app.stderr.on('error', () => {});
  return problems;
}
