#!/usr/bin/env node
/**
 * The `keyhold` program. A client waits for `keyhold mcp` to start, so that one goes past the command line; everything
 * else, `keyhold mcp --help` too, goes through it. So does `keyhold mcp` where a server is named: it is refused there.
 */
const words = process.argv.slice(2);
if (words.length === 1 && words[0] === 'mcp' && !process.env.KEYHOLD_URL) {
  const { runMcp } = await import('./app/run_mcp.ts');
  await runMcp();
} else {
  const { runCli: runCommandLine } = await import('./app/run_cli.ts');
  process.exitCode = await runCommandLine(words);
}
