/**
 * The tools as an MCP server. Knows the protocol and not the tools: passes arguments to a tool and maps its
 * result or error to an MCP result. Never repeats anything that a caller sent: any of it may be a secret value.
 */
import {
  CLIENT_INFO_META_KEY,
  type InputRequiredResult,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server';
import * as z from 'zod';
import type { Caller } from '../contract/caller.ts';
import { adviceFor, ERROR_TABLE, type ErrorCode, toPublicError } from '../contract/errors.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';
import type { Tool, ToolResult } from '../contract/tool.ts';
import { inSpan, type Span, type SpanOptions } from '../io/tracing/span.ts';
import { formatClientInfo } from './claimed_client.ts';
import {
  opensPages,
  type PageState,
  type ProtocolEra,
  pageStateCodec,
  pushPage,
  requirePage,
  resumePage,
} from './open_page.ts';

const INSTRUCTIONS =
  'Keyhold stores credentials and uses them for you. You can store, change, check, test and delete them; no tool reads a value back. ' +
  'To use a service, such as to read GitHub issues or send a message, call call_service: it makes the HTTP request with the stored credential. ' +
  'Start with list_services or get_credential_status. Leave values out: store_credential and update_credentials then return a page on which the user enters them.';

export interface McpDependencies<Context> {
  readonly version: string;
  readonly tools: readonly Tool<Context>[];
  /** Called for every tool call. If it rejects, that call fails with its error. */
  readonly context: () => Promise<Context>;
  readonly caller: () => Caller;
  readonly log: () => Promise<Logger>;
  readonly era: ProtocolEra;
  /** For traces: stdio or HTTP. */
  readonly transport: 'pipe' | 'tcp';
  /** Signs the state of calls that a client repeats after its user has decided. The same in all processes of a server. */
  readonly stateKey: () => Promise<Uint8Array>;
  /** Called with every call, so that its resources stay open until it ends. */
  readonly onCallStarted?: (call: Promise<unknown>) => void;
  /** Called with the code of every tool call that fails. */
  readonly onError?: (code: ErrorCode) => void;
}

/** A server for one connection. The SDK validates the protocol; the vault validates the arguments, as for every edge. */
export function createMcpServer<Context>(parts: McpDependencies<Context>): Server {
  const server = new Server(
    { name: 'keyhold', title: 'Keyhold', version: parts.version },
    {
      instructions: INSTRUCTIONS,
      capabilities: { tools: {} },
      requestState: { verify: async (state, context) => (await codecOf(parts)).verify(state, context) },
    },
  );
  server.setRequestHandler('tools/list', () => ({
    tools: toolsFor(parts, parts.caller()).map(describeTool),
  }));
  server.setRequestHandler('tools/call', ({ params }, context) => {
    const { mcpReq } = context;
    // In the metadata of the request, or in `initialize` of a connection.
    const { [CLIENT_INFO_META_KEY]: client_info = server.getClientVersion() } = Object(mcpReq.envelope);
    const caller = { ...parts.caller(), claimed_client: formatClientInfo(client_info) };
    const tools = toolsFor(parts, caller);
    const tool = tools.find(({ name }) => name === params.name);
    if (tool === undefined) {
      const names = tools.map(({ name }) => name).join(', ');
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `No such tool. The tools are: ${names}.`);
    }
    const call = inSpan(`tools/call ${tool.name}`, spanOptions(parts, tool, params._meta), (span) =>
      callTool(parts, caller, tool, span, () =>
        runTool({ parts, server, context, caller, tool }, params.arguments ?? {}),
      ),
    );
    parts.onCallStarted?.(call);
    return call;
  });
  return server;
}

/**
 * MCP semantic conventions of OpenTelemetry. The client may name the parent in the metadata of the call. The id of the request is
 * left out: the client chooses its text.
 */
function spanOptions<Context>(
  { transport }: McpDependencies<Context>,
  { name }: Tool<Context>,
  meta: unknown,
): SpanOptions {
  const { traceparent } = Object(meta);
  return {
    kind: 'server',
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
    attributes: {
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': name,
      'network.transport': transport,
    },
  };
}

/** A tool that the caller may not call is neither listed nor found. */
function toolsFor<Context>(
  { tools }: McpDependencies<Context>,
  { tools: allowed }: Caller,
): readonly Tool<Context>[] {
  return allowed === undefined ? tools : tools.filter(({ name }) => allowed.has(name));
}

function codecOf<Context>(parts: McpDependencies<Context>) {
  return parts.stateKey().then((key) => pageStateCodec(key, parts.caller()));
}

interface ToolCall<Context> {
  readonly parts: McpDependencies<Context>;
  readonly server: Server;
  readonly context: ServerContext;
  readonly caller: Caller;
  readonly tool: Tool<Context>;
}

/** Calls the tool, or continues a call whose page the client was requested to open. */
async function runTool<Context>(
  { parts, server, context, caller, tool }: ToolCall<Context>,
  input: unknown,
): Promise<CallResult> {
  const opened = await parts.context();
  const decline = async (page_id: string) => tool.declinePage?.(opened, caller, page_id);
  const state = parts.era === 'modern' ? context.mcpReq.requestState<PageState>() : undefined;
  if (state !== undefined) return resumePage(state, tool.name, context, decline);
  const called = await tool.call(opened, caller, input);
  const { page, text } = called;
  const structuredContent = { ...(called.structured as object) };
  const image = called.image === undefined ? [] : [imageContent(called.image)];
  const result = { content: [{ type: 'text' as const, text }, ...image], structuredContent };
  if (page === undefined || !opensPages(server, parts.era, context)) return result;
  if (parts.era === 'modern') {
    const plain = { content: [{ type: 'text' as const, text }], structuredContent };
    const resumed = { tool: tool.name, page_id: page.id, result: plain };
    return requirePage(await codecOf(parts), context, page, resumed);
  }
  await pushPage(server, page, caller.request_id, decline);
  return result;
}

type CallResult =
  | {
      readonly content: (TextContent | ReturnType<typeof imageContent>)[];
      readonly structuredContent: object;
    }
  | InputRequiredResult;
interface TextContent {
  readonly type: 'text';
  readonly text: string;
}

async function callTool<Context>(
  parts: McpDependencies<Context>,
  caller: Caller,
  tool: Tool<Context>,
  span: Span,
  run: () => Promise<CallResult>,
) {
  try {
    return await run();
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown;
    const { request_id } = caller;
    const error = toPublicError(thrown, request_id);
    const { code } = error;
    parts.onError?.(code);
    if (ERROR_TABLE[code].is_server_failure) {
      const failure = describeFailure(thrown);
      await writeLog(parts, 'error', { tool: tool.name, code, request_id, failure }, 'tool call failed');
    }
    const message = /[.!?]$/.test(error.message) ? error.message : `${error.message}.`;
    const { next = adviceFor(error) } = error;
    const text = `${code}: ${message}${message.includes(next) ? '' : ` ${next}`}`;
    span.fail('tool_error');
    span.set({ 'keyhold.error_code': code });
    return { content: [{ type: 'text' as const, text }], isError: true, _meta: { 'keyhold/error': error } };
  }
}

function imageContent({ content_type, bytes }: NonNullable<ToolResult<unknown>['image']>) {
  return { type: 'image' as const, mimeType: content_type, data: bytes.toString('base64') };
}

/** Never rejects: a call must not fail because the log cannot be opened. */
export async function writeLog(
  parts: Pick<McpDependencies<unknown>, 'log'>,
  level: 'warn' | 'error',
  fields: Readonly<Record<string, unknown>>,
  message: string,
): Promise<void> {
  try {
    (await parts.log())[level](fields, message);
  } catch {
    // Every call reports an invalid setting already.
  }
}

type ObjectSchema = Record<string, unknown> & { readonly type: 'object' };

const descriptions = new WeakMap<object, ReturnType<typeof newDescription>>();

function describeTool<Context>(tool: Tool<Context>) {
  const description = descriptions.get(tool) ?? newDescription(tool);
  descriptions.set(tool, description);
  return description;
}

function newDescription<Context>({ name, title, description, input, output, annotations }: Tool<Context>) {
  return {
    name,
    title,
    description,
    inputSchema: compactSchema(input, 'input'),
    outputSchema: compactSchema(output, 'output'),
    annotations: { title, ...annotations },
  };
}

/** Writes `anyOf: [{type: T}, {type: null}]` as `type: [T, null]`, which is the same in fewer bytes. */
function mergeNull(jsonSchema: z.core.JSONSchema.BaseSchema): void {
  const [first, second, ...more] = jsonSchema.anyOf ?? [];
  if (typeof first !== 'object' || typeof second !== 'object' || more.length > 0) return;
  const is_plain = typeof first.type === 'string' && first.enum === undefined;
  if (!is_plain || second.type !== 'null') return;
  const { anyOf: _, ...outer } = jsonSchema;
  delete jsonSchema.anyOf;
  Object.assign(jsonSchema, first, outer, { type: [first.type, 'null'] });
}

/** Of the path `properties`, NAME. */
const TOP_MEMBER_DEPTH = 2;
const RESULT_LIMITS = ['minItems', 'maxItems', 'minLength', 'maxLength', 'minimum', 'maximum', 'pattern'];

/** Every byte is read by models: keywords that MCP implies, that a format implies, or that limit only results are left out. */
function compactSchema(schema: z.ZodType, io: 'input' | 'output'): ObjectSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    override: ({ jsonSchema, path }) => {
      for (const keyword of ['propertyNames', ...(io === 'output' ? RESULT_LIMITS : [])])
        Reflect.deleteProperty(jsonSchema, keyword);
      // Results explain themselves in their text, and new members are no error.
      if (io === 'output') delete jsonSchema.description;
      // Of inner objects, the names are enough: a result has the values.
      if (io === 'output' && path.length >= TOP_MEMBER_DEPTH && jsonSchema.properties !== undefined) {
        const names = Object.keys(jsonSchema.properties);
        jsonSchema.properties = Object.fromEntries(names.map((name) => [name, {}]));
      }
      if (io === 'output') {
        delete jsonSchema.required;
        delete jsonSchema.enum;
      }
      mergeNull(jsonSchema);
      if (io === 'output') delete jsonSchema.additionalProperties;
      // That a text is not empty is obvious; the vault refuses one that is.
      if (jsonSchema.minLength === 1) delete jsonSchema.minLength;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  });
  return { ...json, type: 'object' };
}
