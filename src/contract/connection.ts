/**
 * Connections: a person permits access to an account at a provider with OAuth 2.0, and the tokens become fields of a
 * credential. The input, the results, and the interface that pages and commands use.
 */
import * as z from 'zod';
import type { Caller } from './caller.ts';
import { CREDENTIAL_STATES, CredentialName, ServiceId, StackId } from './credential.ts';

/** RFC 6749, section 3.3: visible ASCII characters without quotes and backslashes. */
const OAuthScope = z
  .string()
  .max(200)
  .regex(/^[\x21\x23-\x5B\x5D-\x7E]+$/, 'must be a scope without blanks');

export const ConnectInput = z.strictObject({
  service_id: ServiceId,
  name: CredentialName.optional(),
  stack_id: StackId.optional(),
  /** In place of those of the definition. */
  scopes: z.array(OAuthScope).max(60).optional(),
});
export type ConnectInput = z.infer<typeof ConnectInput>;

/** Grants in which a person takes part: RFC 6749, section 4.1, and RFC 8628. */
export const CONNECT_GRANTS = ['authorization_code', 'device_code'] as const;
export type ConnectGrant = (typeof CONNECT_GRANTS)[number];

/** A value that is stored before a connection, such as the client id: entered and updated like every value. */
const ConnectField = z.strictObject({
  field_id: z.string(),
  /** `start` and `startDevice` refuse without it. */
  required: z.boolean(),
  added: z.boolean(),
});
export type ConnectField = z.infer<typeof ConnectField>;

export const ConnectDescription = z.strictObject({
  /** The slug. */
  service_id: z.string(),
  service_name: z.string(),
  /** Never empty. */
  grants: z.array(z.enum(CONNECT_GRANTS)),
  /** In the order of the definition. */
  fields: z.array(ConnectField),
  scopes: z.array(z.string()),
  /** Where the browser of the person is sent to; `null`: not with an authorization code, or it depends on a field. */
  authorization_origin: z.string().nullable(),
  status: z.enum(CREDENTIAL_STATES),
});
export type ConnectDescription = z.infer<typeof ConnectDescription>;

export const StartedConnection = z.strictObject({
  /** For the browser of the person only: it has the state of RFC 6749. Never logged. */
  authorization_url: z.string(),
  expires_at: z.string(),
});
export type StartedConnection = z.infer<typeof StartedConnection>;

export const StartedDevice = z.strictObject({
  /** For `deviceState`. */
  device_id: z.string(),
  /** The person enters it at `verification_uri`. */
  user_code: z.string(),
  verification_uri: z.string(),
  /** With the code in it. */
  verification_uri_complete: z.string().nullable(),
  expires_at: z.string(),
  /** Between two calls of `deviceState`. */
  interval_ms: z.int(),
});
export type StartedDevice = z.infer<typeof StartedDevice>;

/** A credential with new tokens. */
export const Connected = z.strictObject({
  credential_id: z.string(),
  /** The slug. */
  service_id: z.string(),
  service_name: z.string(),
  stack_id: z.string(),
  name: z.string().nullable(),
  /** Requested scopes that the provider did not grant; empty also if the response does not list scopes. */
  missing_scopes: z.array(z.string()),
  /** Whether the provider returned a refresh token. Without one, the person connects again when the access token ends. */
  is_refreshable: z.boolean(),
  /** When the access token ends; `null`: unknown. */
  expires_at: z.string().nullable(),
  /** Whether an agent waits for it with a handle, which is done now. */
  completes_handle: z.boolean(),
});
export type Connected = z.infer<typeof Connected>;

/** `failed`: `message` has the reason and the next step. */
export const DeviceState = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('pending'), device: StartedDevice }),
  z.strictObject({ state: z.enum(['declined', 'expired']) }),
  z.strictObject({ state: z.literal('connected'), connected: Connected }),
  z.strictObject({ state: z.literal('failed'), message: z.string() }),
]);
export type DeviceState = z.infer<typeof DeviceState>;

export interface Connections {
  /** What a page shows before a connection. INVALID_INPUT if the service is not connected with one of the grants. */
  describe(caller: Caller, input: ConnectInput): Promise<ConnectDescription>;
  /**
   * Starts an authorization code grant, for one callback within ten minutes. Nothing is sent. `redirect_uri`: the exact URL of the
   * callback, see `callbackUrl`. `handle`: becomes done with the connection; it must be of the same credential. INVALID_INPUT,
   * with the command that stores it, if a required field is missing; RATE_LIMITED if too many connections of the user wait.
   */
  start(
    caller: Caller,
    input: ConnectInput,
    redirect_uri: string,
    handle?: string,
  ): Promise<StartedConnection>;
  /**
   * Ends it with the parameters of the callback, by the same user. Rejects, and nothing is stored: FORBIDDEN, reason
   * `connection_declined`, if the person declined at the provider; NOT_FOUND for an unknown state or that of another
   * user; EXPIRED if it was used or has expired; FORBIDDEN for a wrong issuer or if the provider refuses the code or
   * the client; UPSTREAM if the provider fails.
   */
  finish(caller: Caller, parameters: URLSearchParams): Promise<Connected>;
  /** Starts a device code grant. This process polls the provider in the background; if it ends, the next one that gets `deviceState` does. */
  startDevice(caller: Caller, input: ConnectInput, handle?: string): Promise<StartedDevice>;
  /** NOT_FOUND for another user or API key, and an hour after the code has expired. */
  deviceState(caller: Caller, device_id: string): Promise<DeviceState>;
}
