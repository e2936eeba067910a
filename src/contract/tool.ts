/**
 * What an MCP tool is to Keyhold: a name, texts, schemas, the four annotations and a handler that knows nothing of MCP.
 */
import type * as z from 'zod';
import type { Caller } from './caller.ts';

/** The hints of the MCP specification; all four are always set, so that no client has to guess. */
export interface ToolAnnotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

export interface ToolResult<Output> {
  readonly structured: Output;
  /** Short text for the model: what happened, the ids, and the next useful tool. */
  readonly text: string;
}

export interface ToolSpec<Context, Input, Output> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: z.ZodType<Input>;
  readonly output: z.ZodType<Output>;
  readonly annotations: ToolAnnotations;
  /** `input` is checked by the operation that the tool hands it to, not before. */
  handle(context: Context, caller: Caller, input: Input): Promise<ToolResult<Output>>;
}

/** A tool with its types folded away, ready to be put into a list. */
export interface Tool<Context> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly annotations: ToolAnnotations;
  /** Rejects with VaultError, for input that does not fit the schema too. */
  call(context: Context, caller: Caller, input: unknown): Promise<ToolResult<unknown>>;
}

/** Makes a tool of its parts. Vault operations validate what they are given, so that no edge can forget to. */
export function defineTool<Context, Input, Output>(spec: ToolSpec<Context, Input, Output>): Tool<Context> {
  return { ...spec, call: (context, caller, input) => spec.handle(context, caller, input as Input) };
}
