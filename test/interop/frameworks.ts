/**
 * Agent frameworks as MCP clients of the built program, without a model. What each makes of a result is brought into
 * one form here.
 */
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as AiSdkTransport } from '@ai-sdk/mcp/mcp-stdio';
import { MultiServerMCPClient } from '@langchain/mcp-adapters';
import { MCPClient } from '@mastra/mcp';
import { MCPServerStdio, MCPServerStreamableHttp } from '@openai/agents';
import { PROGRAM } from '../kit/child/built_program.ts';

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

/** A server to be started with its vault in `home`, or one that is reached with a key. */
export type Place = { readonly home: string } | { readonly url: string; readonly key: string };

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
/** The tool of this name among those that a framework has put its own prefix before. */
const named = <Tool>(tools: Readonly<Record<string, Tool>>, name: string): Tool | undefined =>
  tools[Object.keys(tools).find((key) => key === name || key.endsWith(`_${name}`)) ?? name];

/** How to connect each framework to a server. */
export const FRAMEWORKS: Readonly<Record<string, (place: Place) => Promise<Framework>>> = {
  'the AI SDK': async (place) => {
    const transport =
      'home' in place
        ? new AiSdkTransport(program(place))
        : { type: 'http' as const, url: place.url, headers: bearer(place.key) };
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
  LangChain: async (place) => {
    const server =
      'home' in place
        ? { transport: 'stdio' as const, ...program(place) }
        : { transport: 'http' as const, url: place.url, headers: bearer(place.key) };
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
  Mastra: async (place) => {
    const server =
      'home' in place
        ? program(place)
        : { url: new URL(place.url), requestInit: { headers: bearer(place.key) } };
    const client = new MCPClient({ id: JSON.stringify(place), servers: { keyhold: server } });
    const tools = await client.listTools();
    const refused = (result: unknown) => (result as { error?: unknown } | undefined)?.error !== undefined;
    return {
      names: Object.keys(tools).map((name) => name.replace(/^keyhold_/, '')),
      call: (name, input) => outcome(async () => named(tools, name)?.execute?.(input, {}), refused),
      close: () => client.disconnect(),
    };
  },
  'the OpenAI Agents SDK': async (place) => {
    const server =
      'home' in place
        ? new MCPServerStdio({ name: 'keyhold', ...program(place) })
        : new MCPServerStreamableHttp({
            name: 'keyhold',
            url: place.url,
            requestInit: { headers: bearer(place.key) },
          });
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
