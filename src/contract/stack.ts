/** Schemas of a stack, a user's named set of services. */
import * as z from 'zod';
import { CredentialName } from './credential.ts';
import { NAME_MAX_CHARACTERS } from './limits.ts';

const TOOLS_MAX = 200;
/** Names of tools. */
export const EnabledTools = z.array(z.string().min(1).max(NAME_MAX_CHARACTERS)).max(TOOLS_MAX);

const StackService = z.strictObject({
  /** The slug. */
  service_id: z.string(),
  /** `null`: all tools. */
  enabled_tools: EnabledTools.nullable(),
});

export const StackInfo = z.strictObject({
  /** `default`, `stack_` and a UUID, or the name of its first use. */
  stack_id: z.string(),
  stack_name: z.string(),
  analytics_enabled: z.boolean(),
  /** The services that were added, then those that only have a credential in the stack, with all tools. */
  services: z.array(StackService),
  created_at: z.string(),
  updated_at: z.string(),
});
export type StackInfo = z.infer<typeof StackInfo>;

/** A stack in a list. */
export interface StackSummary {
  readonly stack_id: string;
  readonly stack_name: string;
  /** Slugs of the services that were added to the stack or have a credential in it. */
  readonly services: readonly string[];
  readonly created_at: string;
  readonly updated_at: string;
}

export const StackChange = z.strictObject({
  stack_name: CredentialName.optional(),
  analytics_enabled: z.boolean().optional(),
});
export type StackChange = z.infer<typeof StackChange>;
export const StackCreate = StackChange.required({ stack_name: true });
export type StackCreate = z.infer<typeof StackCreate>;
