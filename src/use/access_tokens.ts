/** How uses get access tokens that have not ended. `src/oauth` implements it, from other parts of a use. */
import type { Caller } from '../contract/caller.ts';
import { chooseMode } from '../services/authentication.ts';
import type { UsableCredential, UsePurpose } from '../vault/uses/use.ts';

export interface AccessTokens {
  /**
   * The credential with an access token that does not end soon: refreshes it, or obtains it, if it must. Rejects with VaultError without
   * a usable one. `before_ms`: how soon; default: within a minute.
   */
  fresh(
    caller: Caller,
    credential: UsableCredential,
    purpose?: UsePurpose,
    before_ms?: number,
  ): Promise<UsableCredential>;
  /**
   * The credential with another access token than one that the service refused; `undefined` if only a person can get one.
   * Rejects as `fresh`.
   */
  replace(
    caller: Caller,
    credential: UsableCredential,
    purpose?: UsePurpose,
  ): Promise<UsableCredential | undefined>;
  /** Resolves when no request for tokens runs. A response that is not stored may be the last one that the provider gives. */
  idle(): Promise<void>;
}

/** The credential as it is once its access token is obtained, for a request that is described and not sent. */
export function withAccessToken(credential: UsableCredential): UsableCredential {
  const { service, token, destination } = credential;
  const field = service.oauth?.access_token_field;
  if (token === undefined || field === undefined || credential.fields.includes(field)) return credential;
  const fields = [...credential.fields, field];
  const no = () => false;
  const mode = chooseMode(service, { has: (id) => fields.includes(id), startsWith: no, endsWith: no })?.id;
  return { ...credential, fields, destination: { ...destination, mode } };
}
