/** Runs the command line with the process's own streams and environment. */
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { CliContext, PromptSecret } from '../cli/context.ts';
import { runProgram } from '../cli/program.ts';
import { write } from '../cli/terminal/output.ts';
import { compose } from './compose.ts';

const promptSecret: PromptSecret = async (question) => {
  const prompt = await import('../cli/terminal/prompt.ts');
  return prompt.promptSecret(question, process);
};

/** Returns the exit code. Never rejects. */
export function runCli(argv: readonly string[], version: string): Promise<number> {
  const composeWith = (prompt: PromptSecret) =>
    compose({ env: process.env, promptSecret: prompt, now: () => new Date() });
  const app = composeWith(promptSecret);
  const context: CliContext = {
    version,
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    settings: app.settings,
    caller: () => app.caller('cli'),
    log: app.log,
    promptSecret,
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
    async serve(settings) {
      const { runServer } = await import('./run_server.ts');
      await runServer({
        version,
        env: { ...process.env, ...settings },
        promptSecret,
        onReady: (line) => write(process.stdout, `${line}\n`),
        printNotice: (line) => write(process.stderr, `${line}\n`),
        shutdownRequested: waitForShutdownSignal(),
      });
    },
    install: () => ({
      platform: process.platform,
      env: process.env,
      home_folder: homedir(),
      cwd: process.cwd(),
      program: { command: process.execPath, args: [fileURLToPath(new URL('./keyhold.js', import.meta.url))] },
      out: (text) => process.stdout.write(text),
    }),
  };
  return runProgram(context, argv);
}

/** Resolves at the first SIGTERM or SIGINT. The second one ends the process at once, as Node.js does by default. */
function waitForShutdownSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
