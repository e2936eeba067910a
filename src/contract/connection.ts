/**
 * Connections: a person permits access to an account at a provider with OAuth 2.0, and the tokens become fields of a
 * credential. The input, the results, and the interface that pages and commands use.
 */
import * as z from 'zod';
import { type Caller, DEFAULT_STACK } from './caller.ts';
import { CredentialName, type CredentialState, ServiceId, StackId } from './credential.ts';

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
export interface ConnectField {
  readonly field_id: string;
  /** `start` and `startDevice` refuse without it. */
  readonly required: boolean;
  readonly added: boolean;
}

export interface ConnectDescription {
  /** The slug. */
  readonly service_id: string;
  readonly service_name: string;
  /** Never empty. */
  readonly grants: readonly ConnectGrant[];
  /** In the order of the definition. */
  readonly fields: readonly ConnectField[];
  readonly scopes: readonly string[];
  /** Where the browser of the person is sent to; `null`: not with an authorization code, or it depends on a field. */
  readonly authorization_origin: string | null;
  readonly status: CredentialState;
}

export interface StartedConnection {
  /** For the browser of the person only: it has the state of RFC 6749. Never logged. */
  readonly authorization_url: string;
  readonly expires_at: string;
}

export interface StartedDevice {
  /** For `deviceState`. */
  readonly device_id: string;
  /** The person enters it at `verification_uri`. */
  readonly user_code: string;
  readonly verification_uri: string;
  /** With the code in it. */
  readonly verification_uri_complete: string | null;
  readonly expires_at: string;
  /** Between two calls of `deviceState`. */
  readonly interval_ms: number;
}

/** A credential with new tokens. */
export interface Connected {
  readonly credential_id: string;
  /** The slug. */
  readonly service_id: string;
  readonly service_name: string;
  readonly stack_id: string;
  readonly name: string | null;
  /** Requested scopes that the provider did not grant; empty also if the response does not list scopes. */
  readonly missing_scopes: readonly string[];
  /** Whether the provider returned a refresh token. Without one, the person connects again when the access token ends. */
  readonly is_refreshable: boolean;
  /** When the access token ends; `null`: unknown. */
  readonly expires_at: string | null;
  /** Whether an agent waits for it with a handle, which is done now. */
  readonly completes_handle: boolean;
}

/** `failed`: `message` has the reason and the next step. */
export type DeviceState =
  | { readonly state: 'pending'; readonly device: StartedDevice }
  | { readonly state: 'declined' | 'expired' }
  | { readonly state: 'connected'; readonly connected: Connected }
  | { readonly state: 'failed'; readonly message: string };

/** The command with which a person connects a credential. Names are quoted for a shell. */
export function connectCommand(
  service_id: string,
  stack_id: string = DEFAULT_STACK,
  name: string | null = null,
): string {
  const quote = (text: string) => (/^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const stack = stack_id === DEFAULT_STACK ? '' : ` --stack ${quote(stack_id)}`;
  return `keyhold connect ${service_id}${stack}${name === null ? '' : ` --name ${quote(name)}`}`;
}

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
  /** Starts a device code grant. This process polls the provider in the background until then. */
  startDevice(caller: Caller, input: ConnectInput, handle?: string): Promise<StartedDevice>;
  /** NOT_FOUND for another user, another process, and an hour after the end. */
  deviceState(caller: Caller, device_id: string): Promise<DeviceState>;
}
