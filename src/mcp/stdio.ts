/** MCP over stdin and stdout, both protocol eras. From its first line on, stdout carries the protocol and nothing else. */
import { Console } from 'node:console';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { describeFailure } from '../contract/log.ts';
import { createMcpServer, type McpParts, writeLog } from './server.ts';

/** Resolves when the client has gone, or has sent what ends the connection. */
export async function serveMcpOverStdio<Context>(parts: McpParts<Context>): Promise<void> {
  const wire = process.stdout;
  // Whatever some library prints must not end up between two messages.
  Object.defineProperty(process, 'stdout', { value: process.stderr });
  globalThis.console = new Console(process.stderr, process.stderr);
  // Node.js would print the error, and its text may quote an argument.
  process.once('uncaughtException', (error) => {
    const written = writeLog(
      parts,
      'error',
      { failure: describeFailure(error) },
      'stopped by a failure of its own',
    );
    void written.finally(() => process.exit(1));
  });
  const transport = new StdioServerTransport(process.stdin, wire);
  const gone = new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
    const close = transport.close.bind(transport);
    transport.close = async () => {
      await close();
      resolve();
    };
  });
  const handle = serveStdio(() => createMcpServer(parts), {
    transport,
    onerror: (error) =>
      void writeLog(parts, 'warn', { failure: describeFailure(error) }, 'message not understood'),
  });
  await gone;
  await handle.close();
}
