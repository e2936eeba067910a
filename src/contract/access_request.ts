/** Access requests: an agent requests a service from a person, in the catalogue or not. The agent writes their texts. */
import * as z from 'zod';
import { CredentialName, ServiceId, StackId } from './credential.ts';
import {
  ACCESS_FIELDS_MAX,
  ACCESS_REASON_MAX_CHARACTERS,
  ACCESS_URL_MAX_CHARACTERS,
  FIELD_ID_MAX_CHARACTERS,
} from './limits.ts';
import { UNPRINTABLE_CHARACTER_PATTERN } from './patterns.ts';
import { UsePolicy } from './use/policy.ts';

const plainText = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine((text) => !UNPRINTABLE_CHARACTER_PATTERN.test(text), 'must not hold invisible characters');

export const RequestAccessInput = z
  .strictObject({
    service_id: ServiceId.optional(),
    base_url: plainText(ACCESS_URL_MAX_CHARACTERS)
      .optional()
      .describe('Of a service that is not listed: its https origin.'),
    fields: z
      .array(z.string().regex(new RegExp(`^[a-z][a-z0-9_]{0,${FIELD_ID_MAX_CHARACTERS - 1}}$`)))
      .min(1)
      .max(ACCESS_FIELDS_MAX)
      .optional()
      .describe('With base_url: its secrets: a token, or user name and password.'),
    reason: plainText(ACCESS_REASON_MAX_CHARACTERS).describe('For the user.'),
    name: CredentialName.optional(),
    stack_id: StackId.optional(),
  })
  .refine(
    ({ service_id, base_url, fields }) =>
      (service_id === undefined) !== (base_url === undefined) &&
      (fields === undefined || base_url !== undefined),
    'needs either service_id, or base_url and perhaps fields',
  );
export type RequestAccessInput = z.input<typeof RequestAccessInput>;

/** `approved`: a person accepted; the values may still be missing. */
export const NewAccessRequest = z.strictObject({
  approval_id: z.string(),
  /** Of a service that is not in the catalogue: the id that it gets. */
  service_id: z.string(),
  code: z.string(),
  expires_at: z.string(),
  state: z.enum(['pending', 'approved']),
});
export type NewAccessRequest = z.infer<typeof NewAccessRequest>;

/** Where the person stores the credential, if not as requested. */
const AcceptedAs = z.strictObject({ stack_id: z.string(), name: z.string().nullable() });
export type AcceptedAs = z.infer<typeof AcceptedAs>;

/** `url`: the page on which the user decides, if a server runs. */
export const AccessRequest = NewAccessRequest.extend({
  url: z.string().optional(),
  accepted_as: AcceptedAs.optional(),
});
export type AccessRequest = z.infer<typeof AccessRequest>;

/** How a person narrows a request: the limits of uses, and where the credential is stored. Default: as requested. */
export const AcceptAccessInput = z.strictObject({
  use_policy: UsePolicy.optional(),
  stack_id: StackId.optional(),
  /** `null`: without a name. */
  name: CredentialName.nullable().optional(),
});
export type AcceptAccessInput = z.input<typeof AcceptAccessInput>;

export function describeAcceptedAs({ stack_id, name }: AcceptedAs): string {
  return `stack_id ${JSON.stringify(stack_id)} and ${name === null ? 'no name' : `the name ${JSON.stringify(name)}`}`;
}

/** For a model that checks a credential which is not stored yet, or stored elsewhere than requested. */
export function describeAccessRequest(request: AccessRequest): string {
  const { state, approval_id, expires_at, accepted_as } = request;
  if (accepted_as !== undefined)
    return `The user has accepted the access request, with ${describeAcceptedAs(accepted_as)}. Check the values with get_credential_status and these, and give them with each call.`;
  return state === 'approved'
    ? 'The user has accepted the access request and enters the values next. Check again later with get_credential_status.'
    : `The access request waits for the user until ${expires_at}: \`keyhold approvals show ${approval_id}\`. Check again later with get_credential_status.`;
}
