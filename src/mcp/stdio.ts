/** MCP over stdin and stdout, both protocol eras. Writes nothing but the protocol to stdout. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JSONRPCErrorResponse } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { SHUTDOWN_TIMEOUT_MS, STDIO_MESSAGE_MAX_BYTES } from '../contract/limits.ts';
import { describeFailure } from '../contract/logger.ts';
import { BoundedLineReader } from './bounded_line_reader.ts';
import { errorResponse, PARSE_ERROR, readMessage, TOO_LARGE_ERROR } from './json_rpc.ts';
import { createMcpServer, type McpDependencies, writeLog } from './server.ts';

/** A state is valid in this process, which serves one client. */
const STATE_KEY_BYTES = 32;

/** Resolves when the client has disconnected, or shutdown was requested, and its calls have ended. */
export async function serveMcpOverStdio<Context>(
  parts: Omit<McpDependencies<Context>, 'era' | 'stateKey' | 'transport'> & {
    readonly shutdownRequested: Promise<void>;
  },
): Promise<void> {
  const protocol_stdout = process.stdout;
  // The SDK's transport adds listeners for each message that waits for a slow reader; Node.js warns on stderr from the 11th on.
  protocol_stdout.setMaxListeners(0);
  // Text that a library prints must not end up between two messages.
  Object.defineProperty(process, 'stdout', { value: process.stderr });
  const warn = (fields: Record<string, unknown>, message: string) =>
    void writeLog(parts, 'warn', fields, message);
  const calls = new Set<Promise<unknown>>();
  const onCallStarted = (call: Promise<unknown>) => {
    calls.add(call);
    void call.finally(() => calls.delete(call));
  };
  const drainCalls = async () => {
    // A request that was just read starts up to two iterations later; its response is written one after its call.
    do {
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      await Promise.allSettled(calls);
    } while (calls.size > 0);
    await new Promise(setImmediate);
  };
  const reject = (errors: readonly JSONRPCErrorResponse[], reason: string) => {
    warn({ reason }, 'rejected an input line that is not a JSON-RPC message');
    // A client that reads no more disconnects soon, which the transport notices.
    for (const error of errors) void transport.send(error).catch(() => undefined);
  };
  const onLine = (line: string) => {
    if (line.trim() === '') return;
    const read = readMessage(line);
    if ('length' in read) reject(read, 'invalid');
    else transport.onmessage?.(read);
  };
  const lines = new BoundedLineReader(process.stdin, {
    max_bytes: STDIO_MESSAGE_MAX_BYTES,
    onLine,
    onLineDropped: (reason) =>
      reject([errorResponse(reason === 'too_long' ? TOO_LARGE_ERROR : PARSE_ERROR)], reason),
    drainCalls,
  });
  // The SDK's transport would drop invalid lines without a response, so it gets messages from onLine and reads nothing.
  const transport = new StdioServerTransport(lines, protocol_stdout);
  const disconnected = new Promise<void>((resolve) => {
    lines.once('end', resolve).once('close', resolve);
    void parts.shutdownRequested.then(resolve);
    const close = transport.close.bind(transport);
    transport.close = async () => {
      await close();
      resolve();
    };
  });
  const state_key = randomBytes(STATE_KEY_BYTES);
  const stateKey = async () => state_key;
  const handle = serveStdio(
    ({ era }) => createMcpServer({ ...parts, era, transport: 'pipe', stateKey, onCallStarted }),
    {
      transport,
      onerror: (error) => warn({ failure: describeFailure(error) }, 'MCP connection error'),
    },
  );
  await disconnected;
  // After a signal, the calls in flight get their responses and no more input is read.
  process.stdin.pause();
  await Promise.race([drainCalls(), sleep(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
  await handle.close();
  // After a signal, an open stdin would keep the process alive.
  process.stdin.destroy();
}
