/**
 * Finds the credentials to test again in the background, of all users of an organization, and those that expire. For the
 * operator only; the tests themselves are made as the users.
 */
import type { Caller } from '../../contract/caller.ts';
import { EXPIRY_NOTICE_MS } from '../../contract/limits.ts';
import { authenticationOf } from '../../services/authentication.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import type { CredentialLookup } from '../credentials/lookup.ts';
import { credentialStatus } from '../credentials/status.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { reviewDestination } from '../destinations/binding.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import type { AllCredentials } from './all_credentials.ts';

const RANDOM_HEX_DIGITS = 8;

export interface ScheduledCredential {
  readonly ref: CredentialRef;
  /** Whether it was not tested within the interval. */
  readonly is_due: boolean;
  readonly expiry: 'expired' | 'soon' | undefined;
}

export class DueTests {
  readonly #parts: VaultDependencies;
  readonly #all: AllCredentials;
  readonly #lookup: CredentialLookup;
  readonly #activity: CredentialActivity;

  constructor(
    parts: VaultDependencies,
    all: AllCredentials,
    lookup: CredentialLookup,
    activity: CredentialActivity,
  ) {
    this.#parts = parts;
    this.#all = all;
    this.#lookup = lookup;
    this.#activity = activity;
  }

  /** The credentials that are due or expire. Throws FORBIDDEN unless the caller is the operator. */
  async *list(
    operator: Caller,
    organization: string,
    interval_ms: number,
  ): AsyncGenerator<ScheduledCredential> {
    const { now } = this.#parts;
    const keyring = await this.#all.keyringOf(operator, organization);
    for await (const meta of this.#all.of(keyring, organization)) {
      const expiry = expiryOf(meta, now().getTime());
      const is_due = await this.#isDue(keyring, meta, interval_ms);
      const { user, stack, service, name } = meta;
      if (is_due || expiry !== undefined) yield { ref: { user, stack, service, name }, is_due, expiry };
    }
  }

  /** Whether a credential is still due: another server on this vault may have tested it since it was listed. */
  async isDue(
    operator: Caller,
    organization: string,
    ref: CredentialRef,
    interval_ms: number,
  ): Promise<boolean> {
    const keyring = await this.#all.keyringOf(operator, organization);
    const meta = await this.#lookup.find(keyring, ref);
    return meta !== undefined && this.#isDue(keyring, meta, interval_ms);
  }

  async #isDue(keyring: OrganizationKeyring, meta: CredentialMeta, interval_ms: number): Promise<boolean> {
    const now = this.#parts.now();
    if (!this.#isTestable(meta, now)) return false;
    const { last_test } = await this.#activity.of(keyring, meta);
    const since_ms =
      last_test === null
        ? Date.parse(meta.updated_at) + spreadOf(meta.id) * interval_ms
        : Date.parse(last_test.at);
    // A time far ahead was written before the clock was set back.
    return Math.abs(now.getTime() - since_ms) >= interval_ms;
  }

  /** Only active credentials: repeated tests of refused values could lock an account. */
  #isTestable(meta: CredentialMeta, now: Date): boolean {
    const service = this.#parts.services.find(meta.service);
    if (service === undefined) return false;
    const review = reviewDestination(this.#parts, service, meta);
    if (review.bound === undefined || credentialStatus(service, meta, now, review).status !== 'active')
      return false;
    const { expires_at } = meta.use_policy ?? {};
    if (expires_at !== undefined && Date.parse(expires_at) <= now.getTime()) return false;
    return (
      service.connections !== undefined || authenticationOf(service, review.bound.mode).test !== undefined
    );
  }
}

/** From 0 to 1, the same for each credential: credentials that were stored at the same time are not tested at the same time. */
function spreadOf(id: string): number {
  return Number.parseInt(id.slice(-RANDOM_HEX_DIGITS), 16) / 16 ** RANDOM_HEX_DIGITS;
}

function expiryOf({ expires_at }: CredentialMeta, now_ms: number): ScheduledCredential['expiry'] {
  const remaining_ms = expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(expires_at) - now_ms;
  if (remaining_ms <= 0) return 'expired';
  return remaining_ms <= EXPIRY_NOTICE_MS ? 'soon' : undefined;
}
