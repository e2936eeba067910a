/** The command line, handed the process's own streams and environment. */
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { AskSecret, CliApp } from './cli/app.ts';
import { runCli } from './cli/program.ts';
import { compose } from './compose.ts';
import { VERSION } from './version.ts';

const askSecret: AskSecret = async (question) => {
  const { askSecret: ask } = await import('./cli/ask.ts');
  return ask(question, process);
};

/** Returns the exit code. Never rejects. */
export function runCommandLine(words: readonly string[]): Promise<number> {
  const composeAsking = (ask: AskSecret) =>
    compose({ env: process.env, askSecret: ask, now: () => new Date() });
  const composition = composeAsking(askSecret);
  const app: CliApp = {
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
    async serveMcp() {
      const { runMcp } = await import('./run_mcp.ts');
      await runMcp();
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
  return runCli(app, words);
}
