/** Inputs and outputs of the operations on API keys, organizations and units. */
import * as z from 'zod';
import { OrganizationName, SCOPES } from './caller.ts';
import { CredentialName, ServiceId, StackId } from './credential.ts';
import { NAME_MAX_CHARACTERS } from './limits.ts';
import { Timestamp } from './timestamp.ts';

/** Letters, digits and what stands in user names and mail addresses; never a path or a blank. */
const NAME_PATTERN = /^[\p{L}\p{N}][\p{L}\p{N}._@|:+-]{0,127}$/u;
const NAME_RULE = 'must be letters, digits or ._@|:+- (128 at most), and begin with a letter or a digit';

export const UserName = z.string().refine((name) => NAME_PATTERN.test(name), NAME_RULE);
export const UnitName = z.string().refine((name) => NAME_PATTERN.test(name), NAME_RULE);

const LISTED_MAX = 200;

export const CreateKeyInput = z.strictObject({
  /** The caller's own unless the caller may act in others; made when it is new. */
  organization: OrganizationName.optional(),
  /** The caller's own unless the caller administers the organization; made when new. */
  user: UserName.optional(),
  /** The unit of a user that is new: its id or its name. */
  unit: z.string().min(1).max(NAME_MAX_CHARACTERS).optional(),
  name: CredentialName.optional(),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).optional(),
  stack_id: StackId.optional().describe('The one stack that the key is for. Leave out for all of them.'),
  /** ISO 8601 with an offset, or Z; it must lie ahead. */
  expires_at: Timestamp.optional(),
  allowed_services: z.array(ServiceId).max(LISTED_MAX).optional(),
  allowed_tools: z.array(z.string().min(1).max(NAME_MAX_CHARACTERS)).max(LISTED_MAX).optional(),
});
export type CreateKeyInput = z.infer<typeof CreateKeyInput>;

/** An API key without its secret. Times are ISO 8601 in UTC. */
export const ApiKeyInfo = z.strictObject({
  id: z.string(),
  /** The first eight characters, to tell keys apart by. */
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
  created_at: z.string(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
});
export type ApiKeyInfo = z.infer<typeof ApiKeyInfo>;

/** A key as it is shown once, when it is made or rotated. */
export const NewApiKey = ApiKeyInfo.extend({ key: z.string() });
export type NewApiKey = z.infer<typeof NewApiKey>;

export const UnitInfo = z.strictObject({ id: z.string(), name: z.string(), created_at: z.string() });
export type UnitInfo = z.infer<typeof UnitInfo>;

/** A page of API keys; `more` tells that there are further ones. */
export interface ApiKeyList {
  readonly keys: readonly ApiKeyInfo[];
  readonly more: boolean;
}
