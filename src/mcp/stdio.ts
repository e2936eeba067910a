/** MCP over stdin and stdout, both protocol eras. From its first line on, stdout carries the protocol and nothing else. */
import { Console } from 'node:console';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { describeFailure } from '../contract/log.ts';
import { createMcpServer, type McpParts } from './server.ts';

/** Resolves when the client has gone. */
export async function serveMcpOverStdio<Context>(parts: McpParts<Context>): Promise<void> {
  const wire = process.stdout;
  // Whatever some library prints must not end up between two messages.
  Object.defineProperty(process, 'stdout', { value: process.stderr });
  globalThis.console = new Console(process.stderr, process.stderr);
  const transport = new StdioServerTransport(process.stdin, wire);
  const gone = new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
    wire.once('error', () => resolve());
  });
  const handle = serveStdio(() => createMcpServer(parts), {
    transport,
    onerror: (error) => {
      void parts.log().then((log) => log.warn({ failure: describeFailure(error) }, 'message not understood'));
    },
  });
  await gone;
  await handle.close();
}
