/**
 * Handles: one-time, write-only tickets with which a person enters values in a browser. A caller requests one, gives its URL
 * to the person, and polls its state. The schemas of that request, and the results.
 */
import * as z from 'zod';
import { CredentialName, ServiceId, StackId, StatusInput, UpdateInput, Value } from './credential.ts';
import { FIELD_ID_MAX_CHARACTERS, FIELDS_PER_CREDENTIAL_MAX, ID_MAX_CHARACTERS } from './limits.ts';
import { CREDENTIAL_TYPES } from './service/service.ts';

export const HANDLE_RETRY_AFTER_MS = 3_000;

/** `expired` also: the API key that requested it was revoked, or the definition of the service has changed. */
export const HANDLE_STATES = ['pending', 'done', 'declined', 'expired'] as const;
export type HandleState = (typeof HANDLE_STATES)[number];

/** With `credential_type`, the value is stored as by `store`; without, the fields are updated as by `update`. */
export const HandleInput = z.strictObject({
  service_id: ServiceId,
  credential_type: z.enum(CREDENTIAL_TYPES).optional(),
  /** The fields to enter. Default: those that are missing and required, or all. Not with `credential_type`. */
  fields: z
    .array(z.string().min(1).max(FIELD_ID_MAX_CHARACTERS))
    .min(1)
    .max(FIELDS_PER_CREDENTIAL_MAX)
    .optional(),
  name: CredentialName.optional(),
  stack_id: StackId.optional(),
  /** Stores only values that pass a test. */
  verify: z.boolean().optional(),
});
export type HandleInput = z.infer<typeof HandleInput>;

/** Of `update_credentials`: without `credentials`, the user enters the values. */
export const UpdateToolInput = UpdateInput.omit({ expires_at: true }).extend({
  credentials: z
    .record(z.string(), Value.meta({ description: undefined }))
    .optional()
    .describe(
      'Field id to value, plain or "sealed:...". Leave out to have the user enter the values on a page.',
    ),
  fields: z
    .array(z.string().min(1).max(FIELD_ID_MAX_CHARACTERS))
    .min(1)
    .max(FIELDS_PER_CREDENTIAL_MAX)
    .optional()
    .describe('Ids of the fields that the user enters. Default: the missing ones.'),
});
export type UpdateToolInput = z.infer<typeof UpdateToolInput>;

/** Of `get_credential_status`. */
export const StatusToolInput = StatusInput.extend({
  handle: z
    .string()
    .max(ID_MAX_CHARACTERS)
    .optional()
    .describe('The handle of a result that is pending_user_input: whether the user has entered the values.'),
});
export type StatusToolInput = z.infer<typeof StatusToolInput>;

/** The members of every response that has a new handle. */
export const pendingInputShape = {
  /** The page: for the person. */
  url: z.string(),
  code: z.string(),
  handle: z.string(),
  expires_at: z.string(),
  retry_after_ms: z.int(),
};

/** A new handle with the page on which its user enters the values. */
export const PendingHandle = z.strictObject({
  status: z.literal('pending_user_input'),
  ...pendingInputShape,
  service_name: z.string(),
  /** Of the credential, if it exists. */
  credential_id: z.string().nullable(),
  fields: z.array(z.string()),
});
export type PendingHandle = z.infer<typeof PendingHandle>;

/** A new handle, for the caller that requested it. */
export interface NewHandle {
  /** Lets its user write to the credential once. Never reads. */
  readonly handle: string;
  /** The agent's result and the page both show it, so that a person recognizes the request. */
  readonly code: string;
  readonly expires_at: string;
  readonly service_name: string;
  /** Of the credential, if it exists. */
  readonly credential_id: string | null;
  readonly fields: readonly string[];
}

/** A handle as its caller sees it. */
export const HandleStatus = z.strictObject({
  state: z.enum(HANDLE_STATES),
  code: z.string(),
  expires_at: z.string(),
  service_id: z.string(),
  stack_id: z.string(),
  name: z.string().nullable(),
});
export type HandleStatus = z.infer<typeof HandleStatus>;

/** For a program that polls: `retry_after_ms` while the handle is pending. */
export const PolledHandle = HandleStatus.extend({ retry_after_ms: z.int().optional() });
export type PolledHandle = z.infer<typeof PolledHandle>;

/** A handle as the page shows it to a person. */
export interface OpenHandle {
  readonly code: string;
  readonly expires_at: string;
  readonly service_id: string;
  readonly stack_id: string;
  readonly name: string | null;
  /** In the order of the definition. */
  readonly fields: readonly { readonly field_id: string; readonly required: boolean }[];
  /** Whether the credential has values that are replaced. */
  readonly replaces: boolean;
  readonly edge: string;
  readonly api_key_id: string | null;
  /** Name and version of the MCP client, as the client claims. */
  readonly claimed_client: string | null;
  /** Origins that the values will be sent to. `null`: it depends on the values; empty: not used over HTTP. */
  readonly destination: readonly string[] | null;
  /** Whether the values are tested before they are stored. */
  readonly verify: boolean;
}

/** The result of a completed handle. */
export interface CompletedHandle {
  readonly credential_id: string;
  readonly service_name: string;
  readonly fields: readonly string[];
}
