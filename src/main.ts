#!/usr/bin/env node
/** The `keyhold` program: hands the process's own streams and environment to the command line. */
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import { TOOLS } from '../tools/catalogue.ts';
import type { CliApp } from './cli/app.ts';
import { runCli } from './cli/program.ts';
import { compose } from './compose.ts';
import type { Vault } from './vault/vault.ts';

const askSecret: CliApp['askSecret'] = async (question) => {
  const { askSecret: ask } = await import('./cli/ask.ts');
  return ask(question, process);
};
const composition = compose({ env: process.env, askSecret, now: () => new Date() });

const app: CliApp = {
  version: packageJson.version,
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  settings: composition.settings,
  caller: () => composition.caller('cli'),
  log: composition.log,
  askSecret,
  async withVault(create, act) {
    const vault = await composition.openVault(create, 'cli');
    try {
      return await act(vault);
    } finally {
      await vault.close();
    }
  },
  async serveMcp() {
    const { serveMcpOverStdio } = await import('./mcp/stdio.ts');
    // Opened by the first call that needs it, and again by the next one for as long as it fails.
    let opening: Promise<Vault> | undefined;
    const context = () => {
      opening ??= composition.openVault('if_new', 'mcp').catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return opening;
    };
    const caller = () => composition.caller('mcp');
    await serveMcpOverStdio({ version: packageJson.version, tools: TOOLS, context, caller, log: composition.log });
    await (await opening?.catch(() => undefined))?.close();
  },
  install: () => ({
    platform: process.platform,
    env: process.env,
    home_folder: homedir(),
    cwd: process.cwd(),
    program: { command: process.execPath, args: [fileURLToPath(import.meta.url)] },
    out: (text) => process.stdout.write(text),
  }),
};

process.exitCode = await runCli(app, process.argv.slice(2));
