/** Inputs and outputs of the operations on API keys, organizations and units. */
import * as z from 'zod';
import { OrganizationName, SCOPES } from './caller.ts';
import { CredentialName, ServiceId, StackId } from './credential.ts';
import { NAME_MAX_CHARACTERS } from './limits.ts';
import { Timestamp } from './timestamp.ts';
import { UsePolicy } from './use/policy.ts';

/** Letters, digits and the characters of user names and email addresses; no slash, no whitespace. */
const NAME_PATTERN = /^[\p{L}\p{N}][\p{L}\p{N}._@|:+-]{0,127}$/u;
const NAME_RULE = 'must be letters, digits or ._@|:+- (128 at most), and begin with a letter or a digit';

export const UserName = z.string().refine((name) => NAME_PATTERN.test(name), NAME_RULE);
/** Without `|`: completion prints names of units into a shell. */
const UNIT_NAME_PATTERN = /^[\p{L}\p{N}][\p{L}\p{N}._@:+-]{0,127}$/u;
const UNIT_NAME_RULE = 'must be letters, digits or ._@:+- (128 at most), and begin with a letter or a digit';
export const UnitName = z.string().refine((name) => UNIT_NAME_PATTERN.test(name), UNIT_NAME_RULE);

const LISTED_MAX = 200;

export const CreateKeyInput = z.strictObject({
  /** Default: the caller's own. Others are for the operator; a missing one is created. */
  organization: OrganizationName.optional(),
  /** Default: the caller. Others are for administrators of the organization; a missing one is created. */
  user: UserName.optional(),
  /** Id or name of the unit of a new user. */
  unit: z.string().min(1).max(NAME_MAX_CHARACTERS).optional(),
  name: CredentialName.optional(),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).optional(),
  stack_id: StackId.optional().describe('The one stack that the key is for. Leave out for all of them.'),
  /** ISO 8601 with an offset or Z, in the future. */
  expires_at: Timestamp.optional(),
  allowed_services: z.array(ServiceId).max(LISTED_MAX).optional(),
  allowed_tools: z.array(z.string().min(1).max(NAME_MAX_CHARACTERS)).max(LISTED_MAX).optional(),
  use_policy: UsePolicy.optional().describe(
    'Limits all uses with the key. Default: that of the caller’s key.',
  ),
});
export type CreateKeyInput = z.infer<typeof CreateKeyInput>;

/** An API key without its secret. Timestamps are ISO 8601 in UTC. */
export const ApiKeyInfo = z.strictObject({
  id: z.string(),
  /** The first eight characters, to distinguish keys. */
  key_prefix: z.string(),
  name: z.string().nullable(),
  organization: z.string(),
  organization_id: z.string(),
  user: z.string(),
  user_id: z.string(),
  unit_id: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  stack_id: z.string().nullable(),
  allowed_services: z.array(z.string()).nullable(),
  allowed_tools: z.array(z.string()).nullable(),
  /** Absent on servers of earlier versions. */
  use_policy: UsePolicy.nullable().default(null),
  created_at: z.string(),
  /** The user who created or last rotated the key, if not `user`. */
  made_by: z.string().nullable(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
});
export type ApiKeyInfo = z.infer<typeof ApiKeyInfo>;

/** A key with its secret, shown once when it is created or rotated. */
export const NewApiKey = ApiKeyInfo.extend({
  key: z.string(),
  /** What the creator should know, such as that the stack of the key does not exist yet. */
  notice: z.string().optional(),
});
export type NewApiKey = z.infer<typeof NewApiKey>;

export const UnitInfo = z.strictObject({ id: z.string(), name: z.string(), created_at: z.string() });
export type UnitInfo = z.infer<typeof UnitInfo>;

/** A user of an organization, with its unit. */
export const UserInfo = z.strictObject({ id: z.string(), name: z.string(), unit_id: z.string() });
export type UserInfo = z.infer<typeof UserInfo>;

/** A page of users; `more`: there are further ones. */
export interface UserList {
  readonly users: readonly UserInfo[];
  readonly more: boolean;
}

/** A page of API keys; `more`: there are further ones. */
export interface ApiKeyList {
  readonly keys: readonly ApiKeyInfo[];
  readonly more: boolean;
}
