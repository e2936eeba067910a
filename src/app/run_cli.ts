/** The command line, handed the process's own streams and environment. */
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { CliContext, PromptSecret } from '../cli/context.ts';
import { runProgram } from '../cli/program.ts';
import { write } from '../cli/terminal/output.ts';
import { VERSION } from '../contract/version.ts';
import { compose } from './compose.ts';

const askSecret: PromptSecret = async (question) => {
  const { promptSecret: ask } = await import('../cli/terminal/prompt.ts');
  return ask(question, process);
};

/** Returns the exit code. Never rejects. */
export function runCli(words: readonly string[]): Promise<number> {
  const composeAsking = (ask: PromptSecret) =>
    compose({ env: process.env, askSecret: ask, now: () => new Date() });
  const composition = composeAsking(askSecret);
  const app: CliContext = {
    version: VERSION,
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    settings: composition.settings,
    caller: () => composition.caller('cli'),
    log: composition.log,
    askSecret,
    async withVault(create, act, ask_passphrase) {
      const opener = ask_passphrase === undefined ? composition : composeAsking(ask_passphrase);
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
      await runMcp();
    },
    async serve(settings) {
      const { runServer: runServe } = await import('./run_server.ts');
      await runServe({
        env: { ...process.env, ...settings },
        askSecret,
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
  return runProgram(app, words);
}

/** Resolves at the first SIGTERM or SIGINT; the second one ends the process as it would have without us. */
function waitForShutdownSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
