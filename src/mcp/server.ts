/**
 * The tools as an MCP server. Knows the protocol and nothing of credentials: it hands arguments to a tool, and maps
 * what comes back, or what is thrown, to a result. It repeats nothing that a caller sent: any of it may be a value.
 */
import { ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server';
import * as z from 'zod';
import type { Caller } from '../contract/caller.ts';
import { adviceFor, toPublicError } from '../contract/errors.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import type { Tool } from '../contract/tool.ts';

const INSTRUCTIONS =
  'Keyhold keeps credentials. You can put them in, change them, check them and delete them; nobody can read one back. ' +
  'Start with list_services or get_credential_status. Prefer values sealed with `keyhold seal` ("sealed:BASE64") over plain ones.';

export interface McpDependencies<Context> {
  readonly version: string;
  readonly tools: readonly Tool<Context>[];
  /** Called for every tool call; what it rejects with is what that call answers. */
  readonly context: () => Promise<Context>;
  readonly caller: () => Caller;
  readonly log: () => Promise<Logger>;
  /** Told of every call that begins, so that nothing is closed under it. */
  readonly began?: (call: Promise<unknown>) => void;
}

/** A server for one connection. The SDK checks the protocol; the vault checks the arguments, for every edge alike. */
export function createMcpServer<Context>(parts: McpDependencies<Context>): Server {
  const server = new Server(
    { name: 'keyhold', title: 'Keyhold', version: parts.version },
    { instructions: INSTRUCTIONS, capabilities: { tools: {} } },
  );
  server.setRequestHandler('tools/list', () => ({
    tools: toolsFor(parts, parts.caller()).map(describeTool),
  }));
  server.setRequestHandler('tools/call', ({ params }) => {
    const caller = parts.caller();
    const tools = toolsFor(parts, caller);
    const tool = tools.find(({ name }) => name === params.name);
    if (tool === undefined) {
      const names = tools.map(({ name }) => name).join(', ');
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `No such tool. The tools are: ${names}.`);
    }
    const call = callTool(parts, caller, tool, params.arguments ?? {});
    parts.began?.(call);
    return call;
  });
  return server;
}

/** A tool that the caller may not call is to it one that there is not. */
function toolsFor<Context>(
  { tools }: McpDependencies<Context>,
  { tools: allowed }: Caller,
): readonly Tool<Context>[] {
  return allowed === undefined ? tools : tools.filter(({ name }) => allowed.has(name));
}

async function callTool<Context>(
  parts: McpDependencies<Context>,
  caller: Caller,
  tool: Tool<Context>,
  input: unknown,
) {
  try {
    const { structured, text } = await tool.call(await parts.context(), caller, input);
    return { content: [{ type: 'text' as const, text }], structuredContent: { ...(structured as object) } };
  } catch (thrown) {
    const { request_id } = caller;
    const error = toPublicError(thrown, request_id);
    const { code } = error;
    if (code === 'INTERNAL' || code === 'CORRUPT' || code === 'UNAVAILABLE') {
      const failure = describeFailure(thrown);
      await writeLog(parts, 'error', { tool: tool.name, code, request_id, failure }, 'tool call failed');
    }
    const sentence = /[.!?]$/.test(error.message) ? error.message : `${error.message}.`;
    const text = `${code}: ${sentence} ${adviceFor(error)}`;
    return { content: [{ type: 'text' as const, text }], isError: true, _meta: { 'keyhold/error': error } };
  }
}

/** Never rejects: a log that cannot be opened must not take an answer down with it. */
export async function writeLog(
  parts: Pick<McpDependencies<unknown>, 'log'>,
  level: 'warn' | 'error',
  fields: Readonly<Record<string, unknown>>,
  message: string,
): Promise<void> {
  try {
    (await parts.log())[level](fields, message);
  } catch {
    // A wrong setting is what each call answers already.
  }
}

interface ListedTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: ObjectSchema;
  readonly outputSchema: ObjectSchema;
  readonly annotations: Tool<unknown>['annotations'] & { readonly title: string };
}
type ObjectSchema = Record<string, unknown> & { readonly type: 'object' };

const listings = new WeakMap<object, ListedTool>();

function describeTool<Context>(tool: Tool<Context>): ListedTool {
  const known = listings.get(tool);
  if (known !== undefined) return known;
  const { name, title, description, annotations } = tool;
  const listing = {
    name,
    title,
    description,
    inputSchema: compactSchema(tool.input, 'input'),
    outputSchema: compactSchema(tool.output, 'output'),
    annotations: { title, ...annotations },
  };
  listings.set(tool, listing);
  return listing;
}

/** JSON Schema 2020-12, which is what MCP takes a schema for that does not say: every byte of it is read by models. */
function compactSchema(schema: z.ZodType, io: 'input' | 'output'): ObjectSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    override: ({ jsonSchema }) => {
      delete jsonSchema.propertyNames;
    },
  });
  return { ...json, type: 'object' };
}
