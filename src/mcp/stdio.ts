/** MCP over stdin and stdout, both protocol eras. From its first line on, stdout carries the protocol and nothing else. */
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { STDIO_MESSAGE_MAX_BYTES } from '../contract/limits.ts';
import { describeFailure } from '../contract/logger.ts';
import { BoundedLineReader } from './bounded_line_reader.ts';
import { createMcpServer, type McpDependencies, writeLog } from './server.ts';

/** Resolves when the client has gone and the calls that it began are carried out. */
export async function serveMcpOverStdio<Context>(parts: McpDependencies<Context>): Promise<void> {
  const wire = process.stdout;
  // Text that a library prints must not end up between two messages.
  Object.defineProperty(process, 'stdout', { value: process.stderr });
  const running = new Set<Promise<unknown>>();
  const began = (call: Promise<unknown>) => {
    running.add(call);
    void call.finally(() => running.delete(call));
  };
  const settled = async () => {
    // A request that was just read begins a moment later, and its answer is written a moment after it ended.
    do {
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      await Promise.allSettled(running);
    } while (running.size > 0);
    await new Promise(setImmediate);
  };
  const passedOver = () =>
    void writeLog(
      parts,
      'warn',
      { max_bytes: STDIO_MESSAGE_MAX_BYTES },
      'line passed over: too long, or not UTF-8',
    );
  const lines = new BoundedLineReader(process.stdin, STDIO_MESSAGE_MAX_BYTES, passedOver, settled);
  const transport = new StdioServerTransport(lines, wire);
  const gone = new Promise<void>((resolve) => {
    lines.once('end', resolve).once('close', resolve);
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
    const close = transport.close.bind(transport);
    transport.close = async () => {
      await close();
      resolve();
    };
  });
  const handle = serveStdio(() => createMcpServer({ ...parts, began }), {
    transport,
    onerror: (error) =>
      void writeLog(parts, 'warn', { failure: describeFailure(error) }, 'message not understood'),
  });
  await gone;
  await handle.close();
  await settled();
  // An open stdin would keep the process alive when it is not the client that ended this.
  process.stdin.destroy();
}
