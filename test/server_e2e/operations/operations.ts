/**
 * A valid request for each operation of the OpenAPI document and each tool, built from any person's ids. A new route or
 * tool needs a row here; a test fails without it.
 */
import type { Scope } from '../../../src/contract/caller.ts';
import { TOOLS } from '../../../tools/catalogue.ts';
import type { TestRequest, TestResponse } from '../../kit/http/in_process_server.ts';
import { type Fixtures, SLOTS, type Slot } from '../fixtures.ts';
import { SUPERAI_ROWS } from './superai.ts';
import { TOOL_ROWS } from './tools.ts';
import { TOOLZZ_ROWS } from './toolzz.ts';
import { V1_ROWS } from './v1.ts';

/** The facts about one operation. */
export interface Row {
  /** All scopes it needs; empty: any key. */
  readonly scopes: readonly Scope[];
  /** The path and body of a route, or the arguments of a tool. */
  readonly request: (fixtures: Fixtures) => { readonly path: string; readonly body?: object };
  /** The status of success; 200 by default. */
  readonly status?: number;
}
export type Rows = Readonly<Record<string, Row>>;

export interface Operation {
  /** `GET /v1/stacks/{stack_id}`, or `tool store_credential`. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly status: number;
  request(fixtures: Fixtures, key?: string): TestRequest;
}

const MCP_HEADERS = {
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-11-25',
};

/** One message for a tool. */
export function toolCall(name: string, input: unknown, key?: string): TestRequest {
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: input } };
  return { method: 'POST', path: '/mcp', key, body, headers: MCP_HEADERS };
}

const ROUTES: Rows = { ...V1_ROWS, ...SUPERAI_ROWS, ...TOOLZZ_ROWS };

export const ROUTE_OPERATIONS: readonly Operation[] = Object.entries(ROUTES).map(([name, row]) => ({
  name,
  scopes: row.scopes,
  status: row.status ?? 200,
  request: (fixtures, key) => ({ method: name.split(' ')[0] ?? '', key, ...row.request(fixtures) }),
}));

export const TOOL_OPERATIONS: readonly Operation[] = TOOLS.map(({ name }) => {
  const row = TOOL_ROWS[name];
  if (row === undefined) throw new Error(`the tool ${name} has no row in tool_rows.ts`);
  return {
    name: `tool ${name}`,
    scopes: row.scopes,
    status: 200,
    request: (fixtures, key) => toolCall(name, row.input(fixtures), key),
  };
});

export const OPERATIONS: readonly Operation[] = [...ROUTE_OPERATIONS, ...TOOL_OPERATIONS];

/** The kinds of ids that a request contains. */
export function slotsOf({ request }: Operation, fixtures: Fixtures): Slot[] {
  const marked = (slot: Slot) =>
    JSON.stringify(request({ ...fixtures, [slot]: 'MARKED' })).includes('MARKED');
  return SLOTS.filter(marked);
}

/** The message in a response of /mcp, sent as JSON or as a server-sent event. */
export function messageIn(text: string): Readonly<Record<string, unknown>> {
  return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
}

interface ToolResult {
  readonly isError?: boolean;
  readonly _meta?: { readonly 'keyhold/error'?: { readonly code: string; readonly message: string } };
}

/** The status; for a tool that failed, the code of its error. */
export function endOf({ status, text, area }: TestResponse): string {
  if (area !== 'mcp' || status !== 200) return String(status);
  const { isError, _meta } = messageIn(text).result as ToolResult;
  return isError === true ? String(_meta?.['keyhold/error']?.code) : '200';
}
