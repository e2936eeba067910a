/**
 * Agent frameworks as MCP clients of the built program, over stdio and without a model. What each makes of a result is
 * brought into one form here.
 */
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as AiSdkTransport } from '@ai-sdk/mcp/mcp-stdio';
import { MultiServerMCPClient } from '@langchain/mcp-adapters';
import { MCPClient } from '@mastra/mcp';
import { MCPServerStdio } from '@openai/agents';
import { PROGRAM } from '../kit/program.ts';

export interface Outcome {
  /** Whether the framework takes it for a failure; undefined where it does not tell. */
  readonly failed: boolean | undefined;
  /** All that came back, as JSON, or what was thrown. */
  readonly text: string;
}

export interface Framework {
  readonly names: readonly string[];
  call(tool: string, input: Readonly<Record<string, unknown>>): Promise<Outcome>;
  close(): Promise<unknown>;
}

const command = process.execPath;
const args = [PROGRAM, 'mcp'];
const environment = (home: string) => ({ PATH: process.env.PATH ?? '', HOME: home, KEYHOLD_HOME: home });

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
/** The tool of this name among those that a framework has put its own prefix before. */
const named = <Tool>(tools: Readonly<Record<string, Tool>>, name: string): Tool | undefined =>
  tools[Object.keys(tools).find((key) => key === name || key.endsWith(`_${name}`)) ?? name];

/** How to connect each framework to a server whose vault is in `home`. */
export const FRAMEWORKS: Readonly<Record<string, (home: string) => Promise<Framework>>> = {
  'the AI SDK': async (home) => {
    const client = await createMCPClient({
      transport: new AiSdkTransport({ command, args, env: environment(home) }),
    });
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
  LangChain: async (home) => {
    const server = { transport: 'stdio' as const, command, args, env: environment(home) };
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
  Mastra: async (home) => {
    const client = new MCPClient({
      id: home,
      servers: { keyhold: { command, args, env: environment(home) } },
    });
    const tools = await client.listTools();
    const refused = (result: unknown) => (result as { error?: unknown } | undefined)?.error !== undefined;
    return {
      names: Object.keys(tools).map((name) => name.replace(/^keyhold_/, '')),
      call: (name, input) => outcome(async () => named(tools, name)?.execute?.(input, {}), refused),
      close: () => client.disconnect(),
    };
  },
  'the OpenAI Agents SDK': async (home) => {
    const server = new MCPServerStdio({ name: 'keyhold', command, args, env: environment(home) });
    await server.connect();
    return {
      names: (await server.listTools()).map(({ name }) => name),
      // It hands on the text of a result, and not whether that is an error.
      call: (name, input) =>
        outcome(
          () => server.callTool(name, { ...input }),
          () => undefined,
        ),
      close: () => server.close(),
    };
  },
};
