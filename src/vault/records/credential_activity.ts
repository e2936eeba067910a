/** When each credential was last used, and the result of its last test, as long as its values are those that were tested. */
import type { CredentialStatus } from '../../contract/credential.ts';
import type { LastTest } from '../../contract/use/test_result.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { AttachedRecords, type Subject } from './attached_records.ts';
import { LastUsedTracker } from './last_used.ts';

interface TestMeta extends LastTest {
  /** Of the credential that was tested. */
  readonly values_revision: number | null;
}

export class CredentialActivity {
  readonly #last_used: LastUsedTracker;
  readonly #tests: AttachedRecords<TestMeta>;
  /** Written by `CredentialTokens`. */
  readonly #refreshes: AttachedRecords<object>;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records' | 'now'>) {
    this.#last_used = new LastUsedTracker(parts, 'credential_use');
    this.#tests = new AttachedRecords(parts, 'credential_test');
    this.#refreshes = new AttachedRecords(parts, 'token_refresh');
  }

  /** See `LastUsedTracker.record`. */
  recordUse(keyring: OrganizationKeyring, used: Subject): void {
    this.#last_used.record(keyring, used);
  }

  /** Rejects with CONFLICT, and keeps nothing, if the credential was changed or deleted. */
  async recordTest(keyring: OrganizationKeyring, tested: CredentialMeta, test: LastTest): Promise<void> {
    await this.#tests.put(keyring, tested, { ...test, values_revision: tested.values_revision ?? null });
  }

  /** `null`: never used, or its present values were not tested. */
  async of(
    keyring: OrganizationKeyring,
    credential: CredentialMeta | undefined,
  ): Promise<Pick<CredentialStatus, 'last_used_at' | 'last_test'>> {
    if (credential === undefined) return { last_used_at: null, last_test: null };
    const { id, values_revision = null } = credential;
    const [last_used_at, tested] = await Promise.all([
      this.#last_used.lastUsed(keyring, id),
      this.#tests.get(keyring, id),
    ]);
    if (tested?.values_revision !== values_revision) return { last_used_at, last_test: null };
    const { values_revision: _, ...last_test } = tested;
    return { last_used_at, last_test };
  }

  /** See `AttachedRecords.forget`. */
  async forget(keyring: OrganizationKeyring, credential_id: string): Promise<void> {
    await Promise.all([
      this.#last_used.forget(keyring, credential_id),
      this.#tests.forget(keyring, credential_id),
      this.#refreshes.forget(keyring, credential_id),
    ]);
  }
}
