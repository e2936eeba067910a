/**
 * Connects real MCP clients over stdio to the built program: the older SDK, and the newer one in both protocol
 * versions. Hides the differences between them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client as NewerClient } from '@modelcontextprotocol/client';
import { StdioClientTransport as NewerTransport } from '@modelcontextprotocol/client/stdio';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { PROGRAM } from '../child/built_program.ts';

/** SDK, and the protocol revision that it negotiates. */
export const CLIENT_KINDS = [
  'sdk 1.x, 2025-11-25',
  'client 2.x, 2025-11-25',
  'client 2.x, 2026-07-28',
] as const;
export type ClientKind = (typeof CLIENT_KINDS)[number];

export interface ServedTool {
  readonly name: string;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly outputSchema?: Readonly<Record<string, unknown>> | undefined;
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

export interface CallResult {
  /** All text parts, joined by line breaks. */
  readonly text: string;
  readonly structured: Readonly<Record<string, unknown>> | undefined;
  readonly is_error: boolean;
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface ConnectedClient {
  /** The negotiated protocol revision. */
  readonly revision: string | undefined;
  readonly server:
    | { readonly name: string; readonly version: string; readonly title?: string | undefined }
    | undefined;
  readonly instructions: string | undefined;
  listTools(): Promise<readonly ServedTool[]>;
  /** Rejects on a protocol error, or if structured content does not match the output schema. */
  call(name: string, input?: Readonly<Record<string, unknown>>): Promise<CallResult>;
  /** Standard error of the server so far. */
  stderr(): string;
  /** Process id of the server. */
  readonly pid: number | null;
  close(): Promise<void>;
}

/** How a client handles requests to open a page. */
export interface Elicitation {
  /** What the client declares, such as `{ url: {} }`. */
  readonly declares: Record<string, Record<string, string>>;
  readonly action: 'accept' | 'decline' | 'cancel';
  /** Before the client responds. */
  readonly delay_ms?: number;
  /** Called with every request. */
  readonly onRequest: (params: Readonly<Record<string, unknown>>) => void;
}

async function decide({ action, delay_ms = 0, onRequest }: Elicitation, params: object) {
  onRequest({ ...params });
  await sleep(delay_ms);
  return { action };
}

export function newOlderClient(elicitation: Elicitation | undefined): OlderClient {
  if (elicitation === undefined) return new OlderClient(IDENTITY);
  const capabilities = { elicitation: elicitation.declares };
  const client = new OlderClient(IDENTITY, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => decide(elicitation, params));
  return client;
}

export function newNewerClient(kind: ClientKind, elicitation: Elicitation | undefined): NewerClient {
  const mode = kind === 'client 2.x, 2026-07-28' ? { pin: '2026-07-28' } : ('legacy' as const);
  const versionNegotiation = { mode };
  if (elicitation === undefined) return new NewerClient(IDENTITY, { versionNegotiation });
  const capabilities = { elicitation: elicitation.declares };
  const client = new NewerClient(IDENTITY, { versionNegotiation, capabilities });
  client.setRequestHandler('elicitation/create', ({ params }) => decide(elicitation, params));
  return client;
}

/** Copies what the client writes to `stdin`, and what the server writes to `stdout`, in a folder. */
const RECORD = 'tee "$1/stdin" | "$2" "$3" mcp | tee "$1/stdout"';

/**
 * Starts `keyhold mcp` with `home` as KEYHOLD_HOME and connects a client, which the caller closes. `wire_folder`: where the bytes
 * of both directions are written; the process id is of a shell then.
 */
export async function connectClient(
  kind: ClientKind,
  home: string,
  env: Readonly<Record<string, string>> = {},
  elicitation?: Elicitation,
  wire_folder?: string,
): Promise<ConnectedClient> {
  const recorded = wire_folder !== undefined;
  const server = {
    command: recorded ? '/bin/sh' : process.execPath,
    args: recorded ? ['-c', RECORD, 'sh', wire_folder, process.execPath, PROGRAM] : [PROGRAM, 'mcp'],
    env: { HOME: home, KEYHOLD_HOME: home, ...env },
    stderr: 'pipe' as const,
  };
  return kind === 'sdk 1.x, 2025-11-25'
    ? connectOlder(server, elicitation)
    : connectNewer(server, kind, elicitation);
}

interface StdioServer {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
  readonly stderr: 'pipe';
}

export const IDENTITY = { name: 'keyhold-test', version: '1.0.0' };

async function connectOlder(
  server: StdioServer,
  elicitation: Elicitation | undefined,
): Promise<ConnectedClient> {
  const transport = new OlderTransport(server);
  const client = newOlderClient(elicitation);
  const stderr = collect(transport.stderr);
  let revision: string | undefined;
  // This client passes the negotiated revision only to its transport.
  Object.assign(transport, {
    setProtocolVersion: (version: string) => {
      revision = version;
    },
  });
  await client.connect(transport);
  return {
    revision,
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    listTools: async () => (await client.listTools()).tools,
    call: async (name, input = {}) => toResult(await client.callTool({ name, arguments: input })),
    stderr,
    pid: transport.pid,
    close: () => client.close(),
  };
}

async function connectNewer(
  server: StdioServer,
  kind: ClientKind,
  elicitation: Elicitation | undefined,
): Promise<ConnectedClient> {
  const transport = new NewerTransport(server);
  const client = newNewerClient(kind, elicitation);
  const stderr = collect(transport.stderr);
  await client.connect(transport);
  return {
    revision: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    listTools: async () => (await client.listTools()).tools,
    call: async (name, input = {}) => toResult(await client.callTool({ name, arguments: input })),
    stderr,
    pid: transport.pid,
    close: () => client.close(),
  };
}

function collect(
  stream: { on(event: 'data', take: (chunk: unknown) => void): unknown } | null,
): () => string {
  let text = '';
  stream?.on('data', (chunk) => {
    text += String(chunk);
  });
  return () => text;
}

/** Converts a result to the common type. */
export function toResult(result: { readonly [key: string]: unknown }): CallResult {
  const content = Array.isArray(result.content) ? result.content : [];
  return {
    text: content.map((part: { text?: unknown }) => String(part.text ?? '')).join('\n'),
    structured: result.structuredContent as CallResult['structured'],
    is_error: result.isError === true,
    meta: (result._meta ?? {}) as CallResult['meta'],
  };
}
