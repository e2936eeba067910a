/** Runs the command line with the process's own streams and environment. */
import { fileURLToPath } from 'node:url';
import { allCommands } from '../cli/all_commands.ts';
import type { InstallEnvironment } from '../cli/commands/install/install.ts';
import type { ProgramContext } from '../cli/context.ts';
import { runProgram } from '../cli/program.ts';
import { ERROR_TABLE, toPublicError } from '../contract/errors.ts';
import { requireHomeFolder } from '../settings/folders.ts';
import { promptSecret, withCliContext } from './cli_context.ts';
import { exitWithoutReaders, waitForShutdownSignal } from './shutdown.ts';

/** Returns the exit code. Never rejects. */
export function runCli(argv: readonly string[], version: string): Promise<number> {
  return withCliContext(version, (context) => {
    const program_context: ProgramContext = {
      ...context,
      async serveMcp() {
        const { runMcp } = await import('./run_mcp.ts');
        await runMcp(version);
      },
      serve: (settings) => serve({ ...context.env, ...settings }, version),
      install: () => installEnvironment(context.env),
    };
    return runProgram(program_context, argv, allCommands(program_context));
  });
}

/** Loads the search for stable paths only for `install`: no other command needs it. */
async function installEnvironment(env: NodeJS.ProcessEnv): Promise<InstallEnvironment> {
  const { stableProgram } = await import('../cli/commands/install/stable_program.ts');
  return {
    platform: process.platform,
    env,
    get home_folder() {
      return requireHomeFolder(env);
    },
    cwd: process.cwd(),
    program: stableProgram({
      node: process.execPath,
      script: fileURLToPath(new URL('./keyhold.js', import.meta.url)),
      started_script: process.argv[1],
      search_path: env.PATH ?? '',
    }),
    out: (text) => process.stdout.write(text),
  };
}

async function serve(env: NodeJS.ProcessEnv, version: string): Promise<void> {
  const { runServer } = await import('./run_server.ts');
  const printTo = (stream: NodeJS.WriteStream) => (line: string) => void stream.write(`${line}\n`);
  try {
    await runServer({
      version,
      env,
      promptSecret,
      printReady: printTo(process.stdout),
      printNotice: printTo(process.stderr),
      shutdownRequested: waitForShutdownSignal(),
    });
    exitWithoutReaders(0);
  } catch (error) {
    exitWithoutReaders(ERROR_TABLE[toPublicError(error).code].exit_code);
    throw error;
  }
}
