/** The definition of a tool: name, texts, schemas, the four annotations and a handler that is independent of MCP. */
import type * as z from 'zod';
import type { Caller, Scope } from './caller.ts';

/** The tools by name, with the scope that each needs. */
export const TOOL_SCOPES: ReadonlyMap<string, Scope> = new Map([
  ['store_credential', 'credentials:write'],
  ['update_credentials', 'credentials:write'],
  ['get_credential_status', 'credentials:read'],
  ['list_services', 'credentials:read'],
  ['delete_credential', 'credentials:write'],
  ['test_credential', 'credentials:use'],
  ['call_service', 'credentials:use'],
  ['request_access', 'credentials:use'],
]);

/** The hints of the MCP specification. All four are always set. */
export interface ToolAnnotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

export interface ToolResult<Output> {
  readonly structured: Output;
  /** Short text for the model: the result, the ids and the next useful tool. */
  readonly text: string;
  /** Content that clients show to the model as an image. */
  readonly image?: { readonly content_type: string; readonly bytes: Buffer } | undefined;
  /** A page on which the user continues. A client that opens URLs is requested to open it. */
  readonly page?: ToolPage | undefined;
}

export interface ToolPage {
  readonly url: string;
  /** For the user: the purpose of the page. */
  readonly message: string;
  /** For `declinePage`. */
  readonly id: string;
}

export interface ToolSpec<Context, Input, Output> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: z.ZodType<Input>;
  readonly output: z.ZodType<Output>;
  readonly annotations: ToolAnnotations;
  /** `input` is validated by the vault operation that the tool calls, not before. */
  handle(context: Context, caller: Caller, input: Input): Promise<ToolResult<Output>>;
  /** Called if the user refuses to open the page of a result. */
  declinePage?(context: Context, caller: Caller, page_id: string): Promise<void>;
}

/** A tool without its type parameters, for lists. */
export interface Tool<Context> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly annotations: ToolAnnotations;
  /** Rejects with VaultError, also for input that does not match the schema. */
  call(context: Context, caller: Caller, input: unknown): Promise<ToolResult<unknown>>;
  /** See `ToolSpec`. */
  declinePage?(context: Context, caller: Caller, page_id: string): Promise<void>;
}

/** Erases the type of the input. Vault operations validate it, so that no interface can omit that. */
export function defineTool<Context, Input, Output>(spec: ToolSpec<Context, Input, Output>): Tool<Context> {
  return { ...spec, call: (context, caller, input) => spec.handle(context, caller, input as Input) };
}

/**
 * The end of a hint to call a tool for the same credential: without these arguments, the call would be about another one.
 * Does not repeat their texts, which may be a secret value that was put there by mistake.
 */
export function sameCredentialHint(input: {
  readonly name?: string | undefined;
  readonly stack_id?: string | undefined;
}): string {
  const given = (['name', 'stack_id'] as const).filter((argument) => input[argument] !== undefined);
  return given.length === 0 ? '' : ` (same ${given.join(' and ')})`;
}
