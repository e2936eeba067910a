/** Minimal MCP client over the pipes of a running `keyhold mcp`: handshake, tool list and calls. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

interface JsonRpcResponse {
  readonly id?: unknown;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

export interface CallOutcome {
  readonly structured: Readonly<Record<string, unknown>> | undefined;
  /** The public error of a failed call. */
  readonly error:
    | {
        readonly code: string;
        readonly reason?: string;
        readonly message: string;
        readonly request_id?: string;
      }
    | undefined;
}

export interface StdioClient {
  /** Names of the tools. */
  listTools(): Promise<readonly string[]>;
  call(name: string, input?: Readonly<Record<string, unknown>>): Promise<CallOutcome>;
  /** Ends standard input and resolves with the exit code. */
  end(): Promise<number | null>;
}

/** Performs the handshake. Pending requests reject if the process exits. */
export async function connectStdioClient(child: ChildProcess): Promise<StdioClient> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('this process has no pipes');
  stdin.on('error', () => undefined);
  const waiting = new Map<
    unknown,
    { done: (response: JsonRpcResponse) => void; failed: (error: Error) => void }
  >();
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      for (const { failed } of waiting.values())
        failed(new Error(`the server ended with ${code} before it answered`));
      resolve(code);
    });
  });
  createInterface({ input: stdout }).on('line', (line) => {
    const response: JsonRpcResponse = JSON.parse(line);
    waiting.get(response.id)?.done(response);
    waiting.delete(response.id);
  });
  let last_id = 0;
  const request = (method: string, params: Readonly<Record<string, unknown>>) => {
    const id = ++last_id;
    stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return new Promise<JsonRpcResponse>((done, failed) => {
      if (child.exitCode !== null) failed(new Error(`the server ended with ${child.exitCode}`));
      else waiting.set(id, { done, failed });
    });
  };
  await request('initialize', {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'keyhold-test', version: '1.0.0' },
  });
  stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
  return {
    listTools: async () => {
      const { result } = await request('tools/list', {});
      const tools = (result?.tools ?? []) as readonly { readonly name: string }[];
      return tools.map(({ name }) => name);
    },
    call: async (name, input = {}) => {
      const { result, error } = await request('tools/call', { name, arguments: input });
      if (result === undefined)
        throw new Error(`the call was answered with a protocol error: ${error?.message}`);
      const meta = result._meta as { 'keyhold/error'?: CallOutcome['error'] } | undefined;
      return {
        structured: result.structuredContent as CallOutcome['structured'],
        error: meta?.['keyhold/error'],
      };
    },
    end: () => {
      stdin.end();
      return exited;
    },
  };
}
