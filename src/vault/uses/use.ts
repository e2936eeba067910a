/** The types of a use: what callers of `Uses` state about a request, and what they receive. */
import type { Caller } from '../../contract/caller.ts';
import type { Destination } from '../../contract/destination.ts';
import type { Secret } from '../../contract/secret.ts';
import type { Service } from '../../contract/service/service.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import type { UseMethod } from '../../contract/use/rules.ts';
import type { LastTest } from '../../contract/use/test_result.ts';
import type { TokenGrant } from '../../services/oauth/grants.ts';
import type { CredentialRef } from '../credentials/codec.ts';

/** A credential that can be used, without its values. */
export interface UsableCredential {
  readonly service: Service;
  readonly credential_id: string;
  /** The owner: the caller, unless the stack is shared with it. */
  readonly user: string;
  readonly stack: string;
  readonly name: string | null;
  readonly revision: number;
  /** The same as long as only access tokens are refreshed. */
  readonly stable_revision: number;
  /** Ids of the fields of the definition that have a value. */
  readonly fields: readonly string[];
  /** What was bound when the secrets were stored, as far as the present definition allows it. */
  readonly destination: Destination;
  readonly policy: UsePolicy | undefined;
  /** Whether the service refused the values. Only a test is given such a credential. */
  readonly is_rejected: boolean;
  /** Absent: no grant without a person returns an access token for it. */
  readonly token?: UsableToken | undefined;
}

/** How the access token of a credential is refreshed. */
export interface UsableToken {
  readonly grant: TokenGrant;
  /** When the present one ends; `null`: unknown. */
  readonly expires_at: string | null;
  /** From its response to its end; `undefined`: unknown. */
  readonly lifetime_ms?: number | undefined;
  /** Where the credential is bound to, with the origins that only requests for tokens go to. */
  readonly origins: readonly string[];
}

/** What a credential is looked for. */
export type UsePurpose = 'request' | 'test';

/** One use of a credential, as the policy, the approver and the audit log see it. */
export interface UseRequest {
  /**
   * `http`: a request to the service. `environment`: a child process receives the values. `test`: a fixed request of the
   * definition. `refresh`: a request for the next access token. `connect`: one for the tokens that a person permitted.
   */
  readonly kind: 'http' | 'environment' | 'test' | 'refresh' | 'connect' | 'revoke';
  readonly method?: UseMethod | undefined;
  /** RFC 6454; of a test also with another scheme, such as `postgresql://db.example.com:5432`. */
  readonly origin?: string | undefined;
  /** As it is sent, without the query and without what the authentication adds. */
  readonly path?: string | undefined;
  /** SHA-256 in base64url of all that the request sends; of the command and its arguments for a child process. */
  readonly hash: string;
  /** One line for the person who approves, with the query. Not logged. */
  readonly summary: string;
  /** The headers that the caller gave, for that person too. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The begin of the body, for that person too. Without values that the authentication adds. */
  readonly body?: string | undefined;
  /** Why the caller makes the request. */
  readonly reason?: string | undefined;
}

/** The result of `Uses.authorize`. */
export interface Authorization {
  /** The approval that permits this request. `Uses.begin` consumes it, or counts the use. */
  readonly approval_id?: string | undefined;
  /** Whether it permits one use, so that the same request again gets the same response. */
  readonly is_for_one_use?: boolean | undefined;
}

export interface UseOutcome {
  /** The status code of the response. */
  readonly status?: number | undefined;
  /** Why there is no response, or why it was refused. Never text of the upstream. */
  readonly reason?: string | undefined;
  /** The length of the response. */
  readonly bytes?: number | undefined;
  /** Where the values were sent, if only they name it, as a connection string does. */
  readonly origin?: string | undefined;
  readonly address?: string | undefined;
}

/** A use that is in the audit log. */
export interface OpenedUse {
  /** By field id; of the fields of the definition only. */
  readonly values: ReadonlyMap<string, Secret>;
  /** Of the credential with these values. */
  readonly revision: number;
  /** Logs the outcome, in the background. Never throws. Later calls have no effect. */
  finish(outcome: UseOutcome): void;
}

/** A credential as it would be with values that are not stored yet. */
export interface Candidate {
  /** The id of one that is not stored yet means nothing. */
  readonly credential: UsableCredential;
  /** The fields that the caller gave. */
  readonly given: ReadonlySet<string>;
  /** Logs the use, then gives out the values. Throws CONFLICT if the stored credential was changed meanwhile. */
  begin(request: UseRequest): Promise<OpenedUse>;
}

/** The findings of a test. */
export interface TestFinding {
  readonly test: LastTest;
  /** Whether the service refused or accepted the values; absent: neither is certain. */
  readonly verdict?: 'refused' | 'accepted' | undefined;
  /** The fingerprint of the server's SSH key, if the credential had none. */
  readonly host_key?: { readonly field_id: string; readonly fingerprint: string } | undefined;
}

/** Tests values before they are stored. Rejects with VaultError unless the service accepts them. */
export type VerifyValues = (caller: Caller, candidate: Candidate) => Promise<TestFinding>;

export function refOf({
  user,
  stack,
  service,
  name,
}: Pick<UsableCredential, 'user' | 'stack' | 'service' | 'name'>): CredentialRef {
  return { user, stack, service: service.slug, name };
}
