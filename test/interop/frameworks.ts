/** Agent frameworks as MCP clients of the built program, without a model, behind one interface. */
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as AiSdkTransport } from '@ai-sdk/mcp/mcp-stdio';
import { MultiServerMCPClient } from '@langchain/mcp-adapters';
import { MCPClient } from '@mastra/mcp';
import { MCPServerStdio, MCPServerStreamableHttp } from '@openai/agents';
import { PROGRAM } from '../kit/child/built_program.ts';

export interface Outcome {
  /** Whether the framework reports a failure; undefined if it does not report one. */
  readonly failed: boolean | undefined;
  /** The result as JSON, or the message of the error. */
  readonly text: string;
}

export interface Framework {
  readonly names: readonly string[];
  call(tool: string, input: Readonly<Record<string, unknown>>): Promise<Outcome>;
  close(): Promise<unknown>;
}

/** A server to start with its vault in `home`, or a running one with a key. */
export type ServerTarget = { readonly home: string } | { readonly url: string; readonly key: string };

function program({ home }: { readonly home: string }) {
  const env = { PATH: process.env.PATH ?? '', HOME: home, KEYHOLD_HOME: home };
  return { command: process.execPath, args: [PROGRAM, 'mcp'], env };
}

const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });

async function outcome(
  act: () => Promise<unknown>,
  failed: (result: unknown) => boolean | undefined,
): Promise<Outcome> {
  try {
    const result = await act();
    return { failed: failed(result), text: JSON.stringify(result) };
  } catch (error) {
    return { failed: true, text: error instanceof Error ? error.message : String(error) };
  }
}

const isError = (result: unknown) => (result as { isError?: boolean } | undefined)?.isError === true;
/** The tool with this name; a framework may add a prefix to it. */
const named = <Tool>(tools: Readonly<Record<string, Tool>>, name: string): Tool | undefined =>
  tools[Object.keys(tools).find((key) => key === name || key.endsWith(`_${name}`)) ?? name];

/** How to connect each framework to a server. */
export const FRAMEWORKS: Readonly<Record<string, (target: ServerTarget) => Promise<Framework>>> = {
  'the AI SDK': async (target) => {
    const transport =
      'home' in target
        ? new AiSdkTransport(program(target))
        : { type: 'http' as const, url: target.url, headers: bearer(target.key) };
    const client = await createMCPClient({ transport });
    const tools = await client.tools();
    return {
      names: Object.keys(tools),
      call: (name, input) =>
        outcome(
          async () => named(tools, name)?.execute(input, { messages: [], toolCallId: 'call' }),
          isError,
        ),
      close: () => client.close(),
    };
  },
  LangChain: async (target) => {
    const server =
      'home' in target
        ? { transport: 'stdio' as const, ...program(target) }
        : { transport: 'http' as const, url: target.url, headers: bearer(target.key) };
    const client = new MultiServerMCPClient({ mcpServers: { keyhold: server } });
    const tools = Object.fromEntries((await client.getTools()).map((tool) => [tool.name, tool]));
    return {
      names: Object.keys(tools),
      call: (name, input) =>
        outcome(
          async () => named(tools, name)?.invoke(input),
          () => false,
        ),
      close: () => client.close(),
    };
  },
  Mastra: async (target) => {
    const server =
      'home' in target
        ? program(target)
        : { url: new URL(target.url), requestInit: { headers: bearer(target.key) } };
    const client = new MCPClient({ id: JSON.stringify(target), servers: { keyhold: server } });
    const tools = await client.listTools();
    const refused = (result: unknown) => (result as { error?: unknown } | undefined)?.error !== undefined;
    return {
      names: Object.keys(tools).map((name) => name.replace(/^keyhold_/, '')),
      call: (name, input) => outcome(async () => named(tools, name)?.execute?.(input, {}), refused),
      close: () => client.disconnect(),
    };
  },
  'the OpenAI Agents SDK': async (target) => {
    const server =
      'home' in target
        ? new MCPServerStdio({ name: 'keyhold', ...program(target) })
        : new MCPServerStreamableHttp({
            name: 'keyhold',
            url: target.url,
            requestInit: { headers: bearer(target.key) },
          });
    await server.connect();
    return {
      names: (await server.listTools()).map(({ name }) => name),
      // The framework returns the text of a result, and not whether it is an error.
      call: (name, input) =>
        outcome(
          () => server.callTool(name, { ...input }),
          () => undefined,
        ),
      close: () => server.close(),
    };
  },
};
