/**
 * Finds the credentials whose access token ends soon, of all users of an organization, so that a server refreshes it before the
 * next use. Only those that were used lately: the others are refreshed when they are used again.
 */
import type { Caller } from '../../contract/caller.ts';
import { msUntil } from '../../contract/timestamp.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import { credentialStatus } from '../credentials/status.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { reviewDestination } from '../destinations/binding.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import type { AllCredentials } from '../uses/all_credentials.ts';
import { usableCredential } from '../uses/usable.ts';
import { refreshBeforeMs } from './token_state.ts';

const USED_WITHIN_MS = 24 * 3_600_000;

export class DueRefreshes {
  readonly #parts: VaultDependencies;
  readonly #all: AllCredentials;
  readonly #activity: CredentialActivity;

  constructor(parts: VaultDependencies, all: AllCredentials, activity: CredentialActivity) {
    this.#parts = parts;
    this.#all = all;
    this.#activity = activity;
  }

  /** Throws FORBIDDEN unless the caller is the operator. `before_ms`: how soon the access token ends. */
  async *list(operator: Caller, organization: string, before_ms: number): AsyncGenerator<CredentialRef> {
    const keyring = await this.#all.keyringOf(operator, organization);
    for await (const meta of this.#all.of(keyring, organization)) {
      const { user, stack, service, name } = meta;
      if (this.#endsSoon(meta, before_ms) && (await this.#wasUsed(keyring, meta)))
        yield { user, stack, service, name };
    }
  }

  /** Only of active credentials: a refresh of others would be refused. */
  #endsSoon(meta: CredentialMeta, before_ms: number): boolean {
    const service = this.#parts.services.find(meta.service);
    if (service?.oauth === undefined) return false;
    const now = this.#parts.now();
    const review = reviewDestination(this.#parts, service, meta);
    if (review.bound === undefined || credentialStatus(service, meta, now, review).status !== 'active')
      return false;
    const { token } = usableCredential(service, meta, meta.fields, review.bound);
    if (token === undefined || token.expires_at === null) return false;
    return msUntil(token.expires_at, now) <= refreshBeforeMs(token, before_ms);
  }

  async #wasUsed(keyring: OrganizationKeyring, meta: CredentialMeta): Promise<boolean> {
    const { last_used_at } = await this.#activity.of(keyring, meta);
    return last_used_at !== null && msUntil(last_used_at, this.#parts.now()) >= -USED_WITHIN_MS;
  }
}
