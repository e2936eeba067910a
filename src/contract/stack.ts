/** Schemas of a stack, a named set of services of a user or of the organization, and of its shares. */
import * as z from 'zod';
import { CredentialName } from './credential.ts';
import { NAME_MAX_CHARACTERS } from './limits.ts';

/** Owns the stacks of the organization. No user has this name: names of users begin with a letter or a digit. */
export const ORGANIZATION_OWNER = '@organization';

/** The roles of shares; each includes those before it. */
export const STACK_ROLES = ['use', 'edit', 'manage'] as const;
export type StackRole = (typeof STACK_ROLES)[number];
/** The rights of a caller in a stack. An administrator has those of the owner in each stack that it sees. */
export const STACK_RIGHTS = [...STACK_ROLES, 'owner'] as const;
export type StackRight = (typeof STACK_RIGHTS)[number];

/** Whether only the vault gives out such ids. Only these stacks can be shared. */
export function isGeneratedStackId(stack_id: string): boolean {
  return stack_id.startsWith('stack_');
}

/** Whether the rights `given` include those that are `needed`. */
export function includesRight(given: StackRight, needed: StackRight): boolean {
  return STACK_RIGHTS.indexOf(given) >= STACK_RIGHTS.indexOf(needed);
}

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
  /** The name of a user, or `@organization`. */
  owner: z.string(),
  /** The rights of the caller. */
  role: z.enum(STACK_RIGHTS),
  /** The number of shares. */
  shared_with: z.int(),
  created_at: z.string(),
  updated_at: z.string(),
});
export type StackInfo = z.infer<typeof StackInfo>;

/** A stack of a menu. */
export interface StackName {
  readonly stack_id: string;
  readonly stack_name: string;
  /** `null`: the caller. */
  readonly owner: string | null;
}

/** A stack in a list. */
export interface StackSummary {
  readonly stack_id: string;
  readonly stack_name: string;
  /** Slugs of the services that were added to the stack or have a credential in it. */
  readonly services: readonly string[];
  /** See `StackInfo`. Absent on servers of earlier versions. */
  readonly owner?: string | undefined;
  readonly role?: StackRight | undefined;
  readonly shared_with?: number | undefined;
  readonly created_at: string;
  readonly updated_at: string;
}

export const StackChange = z.strictObject({
  stack_name: CredentialName.optional(),
  analytics_enabled: z.boolean().optional(),
});
export type StackChange = z.infer<typeof StackChange>;
export const StackCreate = StackChange.required({ stack_name: true }).extend({
  /** Whether the stack belongs to the organization instead of the caller. For administrators. */
  organization_owned: z.boolean().optional(),
});
export type StackCreate = z.infer<typeof StackCreate>;

const grantee = {
  /** The name of a user. */
  user: z.string().min(1).max(NAME_MAX_CHARACTERS).optional(),
  /** The id or the name of a unit. */
  unit: z.string().min(1).max(NAME_MAX_CHARACTERS).optional(),
};
const hasOneGrantee = ({
  user,
  unit,
}: {
  readonly user?: string | undefined;
  readonly unit?: string | undefined;
}) => (user === undefined) !== (unit === undefined);
const ONE_GRANTEE = 'must name either user or unit';

/** The user or unit that a stack is shared with, and the role, which replaces that of an existing share. */
export const ShareInput = z
  .strictObject({ ...grantee, role: z.enum(STACK_ROLES) })
  .refine(hasOneGrantee, ONE_GRANTEE);
export type ShareInput = z.infer<typeof ShareInput>;
export const UnshareInput = z.strictObject(grantee).refine(hasOneGrantee, ONE_GRANTEE);
export type UnshareInput = z.infer<typeof UnshareInput>;

/** A share of a stack: with a user, or with all users of a unit. */
export const StackShare = z.strictObject({
  user: z.string().nullable(),
  unit_id: z.string().nullable(),
  unit_name: z.string().nullable(),
  role: z.enum(STACK_ROLES),
  shared_by: z.string(),
  shared_at: z.string(),
});
export type StackShare = z.infer<typeof StackShare>;
