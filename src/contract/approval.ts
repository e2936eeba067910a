/** Approvals: decisions that a person makes about a destination, about stored values or about a request. */
import * as z from 'zod';
import { USE_GRANT_MAX_MS } from './limits.ts';
import { UsePolicy } from './use/policy.ts';
import { GRANT_EXTENTS } from './use/rules.ts';

/**
 * `destination`: a stored credential may be sent to the origins that its service has now. `stored_values`: values that
 * replace those of a protected credential. `request`: one request or command with a credential. `access_request`: an agent
 * requests a service.
 */
export const APPROVAL_KINDS = ['destination', 'stored_values', 'request', 'access_request'] as const;

/**
 * `pending` waits for a decision; `approved` was approved and, for a request, not used yet; `granted` permits the uses that
 * `grant` has.
 */
export const APPROVAL_STATES = ['pending', 'approved', 'denied', 'used', 'granted'] as const;

/**
 * Which approvals a list has: those that wait for a decision; those of requests that permit uses; those of requests and access
 * requests that were decided on and have not expired.
 */
export const APPROVAL_LISTS = ['pending', 'in_force', 'decided'] as const;
export type ApprovalList = (typeof APPROVAL_LISTS)[number];

/** How long an approval of a request is valid. */
export const GRANT_TERMS = ['once', 'session', 'duration'] as const;

/** The choice of a person: of a request by default this request, once; of an access request, the limits. */
export const ApprovalChoice = z
  .strictObject({
    for: z.enum(GRANT_TERMS).default('once'),
    /** Of a duration. */
    minutes: z
      .int()
      .min(1)
      .max(USE_GRANT_MAX_MS / 60_000)
      .optional(),
    each: z.enum(GRANT_EXTENTS).default('request'),
    /** Of an access request: other uses are refused. */
    use_policy: UsePolicy.optional(),
  })
  .refine(
    (choice) => (choice.for === 'duration') === (choice.minutes !== undefined),
    'a duration, and nothing else, has minutes',
  );
export type ApprovalChoice = z.output<typeof ApprovalChoice>;
export type ApprovalChoiceInput = z.input<typeof ApprovalChoice>;

/** An approval of more than one request. */
export const Grant = z.strictObject({
  for: z.enum(GRANT_TERMS),
  each: z.enum(GRANT_EXTENTS),
  uses: z.int(),
  uses_max: z.int(),
  last_used_at: z.string().nullable(),
});

/** The parts of an approval that only an access request has. */
export const RequestedAccess = z.strictObject({
  code: z.string(),
  /** `null`: a service of the catalogue. */
  base_url: z.string().nullable(),
  fields: z.array(z.string()),
  /** The limits that the person set. */
  use_policy: UsePolicy.nullable(),
});

export const Approval = z.strictObject({
  /** For a destination: the id of its credential. */
  id: z.string(),
  kind: z.enum(APPROVAL_KINDS),
  state: z.enum(APPROVAL_STATES),
  created_at: z.string(),
  /** `null`: does not expire. */
  expires_at: z.string().nullable(),
  organization: z.string(),
  /** The user whose credential it is. */
  user: z.string(),
  /** One line that says what is approved, such as `POST https://api.github.com/repos/x/issues`. */
  summary: z.string(),
  service_id: z.string(),
  /** `null`: an access request, before there is one. */
  credential_id: z.string().nullable(),
  stack_id: z.string(),
  /** The name of the credential. */
  name: z.string().nullable(),
  /** Who requested it: the interface, and the API key and client as far as known. `null` for a destination. */
  requested_by: z.string().nullable(),
  /** Origins that the credential is bound to, and those that it would be bound to. Equal if they do not change. */
  bound_origins: z.array(z.string()).nullable(),
  new_origins: z.array(z.string()).nullable(),
  /** Ids of the fields whose values would be stored. */
  fields: z.array(z.string()),
  /** The caller's reason for a request. */
  reason: z.string().nullable(),
  /** The headers that the caller gave for a request, as `name: value`; of a long value the first part and its length. */
  headers: z.array(z.string()),
  /** The first part of the body of a request. */
  body: z.string().nullable(),
  /** Method and URL without query of a request, and its origin: what it can be granted for. `null` for a child process. */
  endpoint: z.string().nullable(),
  host: z.string().nullable(),
  /** Whether the request was made in a session, so that it can be granted for the session. */
  has_session: z.boolean(),
  decided_at: z.string().nullable(),
  /** The user who decided. */
  decided_by: z.string().nullable(),
  grant: Grant.nullable(),
  /** Of an access request. Its URL and fields, like the reason, are the agent's texts. */
  access: RequestedAccess.nullable(),
});
export type Approval = z.infer<typeof Approval>;

/** The parts that only requests have, for the other kinds. */
export const NO_REQUEST = {
  reason: null,
  headers: [],
  body: null,
  endpoint: null,
  host: null,
  has_session: false,
  decided_at: null,
  decided_by: null,
  grant: null,
  access: null,
} satisfies Partial<Approval>;

/** What the caller who gave values for a protected credential, and the status of it, show of the approval. */
export const PendingApproval = z.strictObject({
  approval_id: z.string(),
  fields: z.array(z.string()).describe('The fields whose values wait.'),
  requested_at: z.string(),
  expires_at: z.string().describe('The values are deleted then.'),
  command: z.string().describe('What a person runs on the machine of the vault.'),
});
export type PendingApproval = z.infer<typeof PendingApproval>;

/** For a person, and for a model. */
export function describePendingApproval({ fields, command, expires_at }: PendingApproval): string {
  return `The credential is protected, so it is unchanged: the new values (${fields.join(', ')}) wait for a person until ${expires_at}. On the machine of the vault: ${command}`;
}

/** A request that begins to wait for a person, for notifications. No value, no query or body of a request, and no handle. */
export interface Waiting {
  readonly kind: (typeof APPROVAL_KINDS)[number] | 'handle';
  /** `null`: a handle. */
  readonly approval_id: string | null;
  readonly organization: string;
  /** The user who decides. */
  readonly user: string;
  readonly summary: string;
  /** The agent shows it too. */
  readonly code: string | null;
  readonly created_at: string;
  readonly expires_at: string;
}
/** Returns at once, and never throws. */
export type NotifyPerson = (waiting: Waiting) => void;
