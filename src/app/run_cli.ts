/** Runs the command line with the process's own streams and environment. */
import { fileURLToPath } from 'node:url';
import type { InstallEnvironment } from '../cli/commands/install/install.ts';
import type { CliContext, PromptSecret } from '../cli/context.ts';
import { runProgram } from '../cli/program.ts';
import { ERROR_TABLE, toPublicError } from '../contract/errors.ts';
import { requireHomeFolder } from '../settings/folders.ts';
import { compose } from './compose.ts';
import { takeEnvironment } from './environment.ts';
import { exitWithoutReaders, waitForShutdownSignal } from './shutdown.ts';

const promptSecret: PromptSecret = async (question) => {
  const prompt = await import('../cli/terminal/prompt.ts');
  return prompt.promptSecret(question, process);
};

/** Returns the exit code. Never rejects. */
export async function runCli(argv: readonly string[], version: string): Promise<number> {
  const env = takeEnvironment();
  const composeWith = (prompt: PromptSecret) => compose({ env, promptSecret: prompt, now: () => new Date() });
  const app = composeWith(promptSecret);
  const context: CliContext = {
    version,
    env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    settings: app.settings,
    caller: () => app.caller('cli'),
    log: app.log,
    promptSecret,
    calls: app.calls,
    valueProducer: app.valueProducer,
    async withVault(create, act, promptPassphrase) {
      const opener = promptPassphrase === undefined ? app : composeWith(promptPassphrase);
      const vault = await opener.openVault(create, 'cli');
      try {
        return await act(vault);
      } finally {
        await vault.close();
      }
    },
    async connect(url, key, timeout_ms) {
      const { KeyholdClient } = await import('../client/keyhold_client.ts');
      return new KeyholdClient({
        url,
        key: key.reveal(),
        ...(timeout_ms === undefined ? {} : { timeout_ms }),
      });
    },
    async serveMcp() {
      const { runMcp } = await import('./run_mcp.ts');
      await runMcp(version);
    },
    serve: (settings) => serve({ ...env, ...settings }, version),
    install: () => installEnvironment(env),
  };
  try {
    return await runProgram(context, argv);
  } finally {
    await app.closeEgress();
  }
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
