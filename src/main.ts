#!/usr/bin/env node
/**
 * The `keyhold` program. `keyhold mcp` starts without the command line, since a client waits for it, and `keyhold run`
 * without the other commands; every other command goes through the command line. So does `keyhold mcp` with KEYHOLD_URL set, which the command line rejects.
 */
import packageJson from '../package.json' with { type: 'json' };
import { closeDebugger } from './app/debugger.ts';

closeDebugger();

const argv = process.argv.slice(2);
if (argv.length === 1 && argv[0] === 'mcp' && !process.env.KEYHOLD_URL) {
  const { runMcp } = await import('./app/run_mcp.ts');
  await runMcp(packageJson.version);
} else if (argv[0] === 'run') {
  const { runChildCommand } = await import('./app/run_child.ts');
  process.exitCode = await runChildCommand(argv, packageJson.version);
} else {
  const { runCli } = await import('./app/run_cli.ts');
  process.exitCode = await runCli(argv, packageJson.version);
}
