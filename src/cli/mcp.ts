/** `keyhold mcp`: what an MCP client starts. Loads nothing itself; stdout belongs to the protocol. */
import { Command } from 'commander';
import type { CliApp } from './app.ts';
import { examples } from './examples.ts';

export function mcpCommand(app: CliApp): Command {
  return new Command('mcp')
    .description('Serve MCP on standard input and output, for a client to start.')
    .addHelpText('after', examples('keyhold install cursor   # let a client start it', 'keyhold mcp'))
    .action(() => app.serveMcp());
}
