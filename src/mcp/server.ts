/**
 * The tools as an MCP server. Knows the protocol and nothing of credentials: it hands arguments to a tool, and maps
 * what comes back, or what is thrown, to a result.
 */
import { McpServer, type StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import * as z from 'zod';
import type { Caller } from '../contract/caller.ts';
import { ERROR_TABLE, toPublicError } from '../contract/errors.ts';
import { describeFailure, type Log } from '../contract/log.ts';
import type { Tool } from '../contract/tool.ts';

const INSTRUCTIONS =
  'Keyhold keeps credentials. You can put them in, change them, check them and delete them; nobody can read one back. ' +
  'Start with list_services or get_credential_status. Prefer values sealed with `keyhold seal` ("sealed:BASE64") over plain ones.';

export interface McpParts<Context> {
  readonly version: string;
  readonly tools: readonly Tool<Context>[];
  /** Called for every tool call; what it rejects with is what that call answers. */
  readonly context: () => Promise<Context>;
  readonly caller: () => Caller;
  readonly log: () => Promise<Log>;
}

export function createMcpServer<Context>(parts: McpParts<Context>): McpServer {
  const server = new McpServer(
    { name: 'keyhold', title: 'Keyhold', version: parts.version },
    { instructions: INSTRUCTIONS, capabilities: { tools: { listChanged: false } } },
  );
  for (const tool of parts.tools) {
    const { name, title, description, annotations } = tool;
    server.registerTool(
      name,
      {
        title,
        description,
        annotations: { title, ...annotations },
        inputSchema: advertised(tool.input, 'input'),
        outputSchema: advertised(tool.output, 'output'),
      },
      (input) => callTool(parts, tool, input),
    );
  }
  return server;
}

async function callTool<Context>(parts: McpParts<Context>, tool: Tool<Context>, input: unknown) {
  const caller = parts.caller();
  try {
    const { structured, text } = await tool.call(await parts.context(), caller, input);
    return {
      content: [{ type: 'text' as const, text }],
      structuredContent: structured as Record<string, unknown>,
    };
  } catch (thrown) {
    const error = toPublicError(thrown, caller.request_id);
    if (error.code === 'INTERNAL' || error.code === 'CORRUPT' || error.code === 'UNAVAILABLE') {
      const { code } = error;
      const { request_id } = caller;
      const failure = describeFailure(thrown);
      await writeLog(parts, 'error', { tool: tool.name, code, request_id, failure }, 'tool call failed');
    }
    const text = `${error.code}: ${error.message} ${ERROR_TABLE[error.code].advice}`;
    return { content: [{ type: 'text' as const, text }], isError: true, _meta: { 'keyhold/error': error } };
  }
}

/** Never rejects: a log that cannot be opened must not take an answer down with it. */
export async function writeLog(
  parts: Pick<McpParts<unknown>, 'log'>,
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

const schemas = {
  input: new WeakMap<z.ZodType, Record<string, unknown>>(),
  output: new WeakMap<z.ZodType, Record<string, unknown>>(),
};

/**
 * A schema that is shown to clients and lets everything through: the vault validates, in one way for every edge, and
 * its messages repeat nothing of the input.
 */
function advertised(schema: z.ZodType, io: 'input' | 'output'): StandardSchemaWithJSON<unknown, unknown> {
  const json = () => {
    const known = schemas[io].get(schema) ?? compactSchema(schema, io);
    schemas[io].set(schema, known);
    return known;
  };
  return {
    '~standard': {
      version: 1,
      vendor: 'keyhold',
      validate: (value) => ({ value }),
      jsonSchema: { input: json, output: json },
    },
  };
}

/** JSON Schema 2020-12, which is what MCP takes a schema for that does not say: every byte of it is read by models. */
function compactSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    override: ({ jsonSchema }) => {
      delete jsonSchema.propertyNames;
    },
  });
  return json;
}
