/** Inputs and outputs of the vault operations as zod schemas, which every interface validates with. */
import * as z from 'zod';
import { PendingApproval } from './approval.ts';
import { CustomFieldValues } from './custom_values.ts';
import {
  ID_MAX_CHARACTERS,
  NAME_MAX_CHARACTERS,
  QUERY_MAX_CHARACTERS,
  SEALED_VALUE_MAX_CHARACTERS,
} from './limits.ts';
import { CREDENTIAL_TYPES } from './service/service.ts';
import { Timestamp } from './timestamp.ts';
import { UsePolicy } from './use/policy.ts';
import { LastTest } from './use/test_result.ts';

/**
 * Rejects control characters and lone surrogates, since ids and names appear in terminals, headers and logs. Not a pattern:
 * it would be part of the JSON Schema, and not every client's engine supports `\p`.
 */
const isPrintable = (text: string) => !/[\p{Cc}\p{Cs}]/u.test(text);
const PRINTABLE = 'must not hold control characters';

export const ServiceId = z
  .string()
  .min(1)
  .max(ID_MAX_CHARACTERS)
  .describe('Id of the service, such as "linear", or its UUID: see list_services.');
export const StackId = z
  .string()
  .min(1)
  .max(ID_MAX_CHARACTERS)
  .refine(isPrintable, PRINTABLE)
  // Dot segments of a URL path.
  .refine((id) => id !== '.' && id !== '..', 'must not be a dot or two')
  .describe('A named set of services. Leave out for "default".');
export const CredentialName = z
  .string()
  .min(1)
  .max(NAME_MAX_CHARACTERS)
  .refine(isPrintable, PRINTABLE)
  .describe('Which of several credentials, such as "work". Leave out for the only one.');
export const Value = z
  .string()
  .min(1)
  .max(SEALED_VALUE_MAX_CHARACTERS)
  .describe('The value, or "sealed:..." made by `keyhold seal` for this service and field.');

const Verify = z.boolean().describe('Stores only what passes a test.');

/** Refused in the past. Left out: kept, unless a secret is stored, since it is of the replaced secret. */
const ExpiresAt = Timestamp.nullable().describe('When the secret expires; null: never.');

/** One value. The type decides which field of the service it is stored in. */
export const StoreInput = z.strictObject({
  service_id: ServiceId,
  credential_type: z
    .enum(CREDENTIAL_TYPES)
    .describe('What the value is: "bearer" for a token, "api_key" for a key.'),
  credential_value: Value.optional().describe(
    'The value, or "sealed:..." made by `keyhold seal` for this service. Leave out to have the user enter it on a page.',
  ),
  name: CredentialName.optional(),
  stack_id: StackId.optional(),
  verify: Verify.optional(),
  expires_at: ExpiresAt.optional(),
});
export type StoreInput = z.infer<typeof StoreInput>;
/** Of the tool: expiries are set by people and programs, and the schemas of the tools have a size limit. */
export const StoreToolInput = StoreInput.omit({ expires_at: true });
export type StoreToolInput = z.infer<typeof StoreToolInput>;

export const StoreOutput = z.strictObject({
  success: z.literal(true),
  service_id: z.string().describe('As it was sent.'),
  service_name: z.string(),
  credential_type: z.string(),
  credential_id: z.string().describe('Stays the same when the credential is stored again.'),
  status: z
    .enum(['stored', 'pending_approval'])
    .describe('pending_approval: the credential is protected and unchanged; see pending_approval.'),
  pending_approval: PendingApproval.optional(),
  updated_fields: z.array(z.string()).describe('The field that the value was stored in.'),
  kept_fields: z.array(z.string()).describe('Other fields, unchanged.'),
  removed_fields: z.array(z.string()).describe('Those of the replaced value, such as a refresh token.'),
  test: LastTest.optional().describe('With verify: the test before the value was stored.'),
});
export type StoreOutput = z.infer<typeof StoreOutput>;

export const UpdateInput = z.strictObject({
  service_id: ServiceId,
  credentials: z
    .record(z.string(), Value)
    .describe(
      'Field id to value. Fields that are not named stay as they are. list_services has the field ids.',
    ),
  stack_id: StackId.optional(),
  name: CredentialName.optional(),
  verify: Verify.optional(),
  expires_at: ExpiresAt.optional(),
});
export type UpdateInput = z.infer<typeof UpdateInput>;

export const FieldPresence = z.enum(['added', 'missing']);
const Presences = z.record(z.string(), FieldPresence);
/** ISO 8601, UTC. */
const Time = z.string();

/**
 * `missing`: nothing is stored. `incomplete`: a required field is missing. `needs_review`: not used until a person has
 * approved where the values are sent. `needs_reconnect`: not used until a person connects it again, because the provider
 * refused to refresh the access token. `rejected`: the service refused the values.
 */
export const CREDENTIAL_STATES = [
  'missing',
  'incomplete',
  'active',
  'inactive',
  'expired',
  'needs_review',
  'needs_reconnect',
  'rejected',
] as const;
export type CredentialState = (typeof CREDENTIAL_STATES)[number];

const statusShape = {
  required_credentials: Presences,
  optional_credentials: Presences,
  all_credentials_added: z.boolean(),
  required_credentials_added: z.boolean(),
  credential_id: z.string().nullable(),
  status: z.enum(CREDENTIAL_STATES),
  credential_type: z.string().nullable(),
  destination: z
    .array(z.string())
    .nullable()
    .describe('Origins that the values may be sent to. Empty if not used over HTTP.'),
  use_policy: UsePolicy.nullable().describe('What uses are limited to. null: no limits.'),
  protected: z.boolean().describe('Whether only a person can change it; new values wait for approval.'),
  pending_approval: PendingApproval.nullable().describe('New values that wait for a person.'),
  updated_at: Time.nullable(),
  modified_by: z.string().nullable().describe('The user who changed it last.'),
  expires_at: Time.nullable(),
  last_used_at: Time.nullable(),
  last_test: LastTest.nullable().describe('The last test of the present values.'),
};

export const CredentialStatus = z.strictObject(statusShape);
export type CredentialStatus = z.infer<typeof CredentialStatus>;

export const UpdateOutput = z.strictObject({
  message: z.enum(['Credentials updated successfully', 'The values wait for approval']),
  updated_fields: z.array(z.string()),
  test: LastTest.optional().describe('With verify: the test before the values were stored.'),
  ...statusShape,
  status: z
    .enum([...CREDENTIAL_STATES, 'pending_approval'])
    .describe('pending_approval: the credential is protected and unchanged; see pending_approval.'),
});
export type UpdateOutput = z.infer<typeof UpdateOutput>;

export const StatusInput = z.strictObject({
  service_id: ServiceId.optional(),
  stack_id: StackId.optional(),
  name: CredentialName.optional(),
});
export type StatusInput = z.infer<typeof StatusInput>;

export const CredentialStatusInput = StatusInput.required({ service_id: true });
export type CredentialStatusInput = z.infer<typeof CredentialStatusInput>;

/** One row of a list of credentials. */
export const CredentialSummary = z.strictObject({
  service_id: z.string(),
  service_name: z.string(),
  name: z.string().nullable(),
  ...statusShape,
});
export type CredentialSummary = z.infer<typeof CredentialSummary>;

export const ListServicesInput = z.strictObject({
  query: z
    .string()
    .max(QUERY_MAX_CHARACTERS)
    .optional()
    .describe('Words to look for in names, ids, categories and descriptions.'),
  stack_id: StackId.optional(),
});
export type ListServicesInput = z.infer<typeof ListServicesInput>;

export const ListedField = z.strictObject({
  field_id: z.string(),
  required: z.boolean(),
  secret: z.boolean(),
  description: z.string().optional(),
});
export const ListedService = z.strictObject({
  service_id: z.string(),
  id: z.string().describe('The UUID of the service.'),
  name: z.string(),
  description: z.string(),
  category: z.string(),
  fields: z.array(ListedField),
  credential_types: z
    .array(z.string())
    .optional()
    .describe('Given, like the descriptions of fields, when few services fit.'),
  connected: z.boolean().describe('Whether every required field is added in this stack.'),
});
export type ListedService = z.infer<typeof ListedService>;

export const DeleteInput = z.strictObject({
  service_id: ServiceId,
  stack_id: StackId.optional(),
  name: CredentialName.optional(),
});
export type DeleteInput = z.infer<typeof DeleteInput>;
export const DeleteOutput = z.strictObject({ success: z.literal(true) });
export type DeleteOutput = z.infer<typeof DeleteOutput>;

/** A credential without its values, for programs that address it by its id. */
export const CredentialInfo = z.strictObject({
  id: z.string(),
  service_id: z.string(),
  /** `null`: no name; interfaces show the name of the service. */
  name: z.string().nullable(),
  stack_id: z.string(),
  credential_type: z.string(),
  user: z.string(),
  user_id: z.string(),
  unit_id: z.string(),
  /** Ids of the fields that have a value. */
  fields: z.array(z.string()),
  inactive: z.boolean(),
  /** Public placeholder for the credential. */
  virtual_key: z.string(),
  created_at: Time,
  updated_at: Time,
  modified_by: z.string(),
});
export type CredentialInfo = z.infer<typeof CredentialInfo>;

/** Creates a credential. CONFLICT if one of that name exists. */
export const CreateInput = z.strictObject({
  service_id: ServiceId,
  credential_type: z.enum(CREDENTIAL_TYPES),
  credentials: CustomFieldValues,
  name: CredentialName.optional(),
  stack_id: StackId.optional(),
  user_id: z.string().max(ID_MAX_CHARACTERS).optional(),
  unit_id: z.string().max(ID_MAX_CHARACTERS).optional(),
  inactive: z.boolean().optional(),
});
export type CreateInput = z.infer<typeof CreateInput>;

/** Replaces all values of a credential, and its name if one is given. */
export const ReplaceInput = z.strictObject({
  credential_type: z.enum(CREDENTIAL_TYPES),
  credentials: CustomFieldValues,
  name: CredentialName.optional(),
});
export type ReplaceInput = z.infer<typeof ReplaceInput>;

/** Renames a credential, moves it to another user or unit, or switches it off or on. Its values stay. */
export const ChangeInput = z.strictObject({
  /** The expected service; INVALID_INPUT if the credential is for another one. */
  service_id: ServiceId.optional(),
  name: CredentialName.optional(),
  user_id: z.string().max(ID_MAX_CHARACTERS).optional(),
  unit_id: z.string().max(ID_MAX_CHARACTERS).optional(),
  inactive: z.boolean().optional(),
});
export type ChangeInput = z.infer<typeof ChangeInput>;

/** Sets limits of a stored credential. Limits that are not named stay, unless `replace` is true. */
export const SetUsePolicyInput = z.strictObject({
  service_id: ServiceId,
  stack_id: StackId.optional(),
  name: CredentialName.optional(),
  use_policy: UsePolicy,
  replace: z.boolean().optional().describe('Removes all other limits. Only an administrator may.'),
});
export type SetUsePolicyInput = z.infer<typeof SetUsePolicyInput>;

export const SetUsePolicyOutput = z.strictObject({
  credential_id: z.string(),
  use_policy: UsePolicy.nullable().describe('null: no limits.'),
});
export type SetUsePolicyOutput = z.infer<typeof SetUsePolicyOutput>;
