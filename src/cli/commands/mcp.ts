/** `keyhold mcp`: serves MCP over stdio for the client that starts it. Writes nothing to stdout, which carries the protocol. */
import { Command } from 'commander';
import { assertLocal } from '../connect/server_option.ts';
import type { ProgramContext } from '../context.ts';
import { examples } from '../terminal/output.ts';

export function mcpCommand(context: ProgramContext): Command {
  return new Command('mcp')
    .description('Serve MCP on standard input and output, for a client to start.')
    .addHelpText('after', examples('keyhold install cursor   # let a client start it', 'keyhold mcp'))
    .action(async () => {
      assertLocal(
        context.env,
        'mcp',
        'Connect the MCP client to the server itself: to /mcp below its URL, with the API key as a bearer token.',
      );
      await context.serveMcp();
    });
}
