/** When each credential was last used, and the result of its last test, as long as its values are those that were tested. */
import type { CredentialStatus } from '../../contract/credential.ts';
import type { LastTest } from '../../contract/use/test_result.ts';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { CredentialCodec, CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import type { CredentialLookup } from '../credentials/lookup.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { AttachedRecords, type Subject } from './attached_records.ts';
import { LastUsedTracker } from './last_used.ts';

interface TestMeta extends LastTest {
  /** Of the credential that was tested. */
  readonly values_revision: number | null;
}

interface ActivityRecords {
  readonly last_used_at: string | null;
  readonly tested: TestMeta | undefined;
}

/** `null`: never used, or its present values were not tested. */
export type Activity = Pick<CredentialStatus, 'last_used_at' | 'last_test'>;

const IDS_REMEMBERED_MAX = 10_000;

export class CredentialActivity {
  readonly #codec: CredentialCodec;
  readonly #lookup: CredentialLookup;
  readonly #last_used: LastUsedTracker;
  readonly #tests: AttachedRecords<TestMeta>;
  /** Written by `CredentialTokens`. */
  readonly #refreshes: AttachedRecords<object>;

  /** The ids of credentials by their index, as they were found last. */
  readonly #ids = new BoundedMap<string, string>(IDS_REMEMBERED_MAX);

  constructor(
    parts: Pick<VaultDependencies, 'store' | 'records' | 'codec' | 'now'>,
    lookup: CredentialLookup,
  ) {
    this.#codec = parts.codec;
    this.#lookup = lookup;
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

  async of(keyring: OrganizationKeyring, credential: CredentialMeta | undefined): Promise<Activity> {
    return activityOf(credential, credential && (await this.#read(keyring, credential.id)));
  }

  /**
   * A credential and its activity. The activity is found by the credential's id: it is read at the same time as the credential if
   * that had an id when it was found before, and again if the id is now another one.
   */
  async find(
    keyring: OrganizationKeyring,
    ref: CredentialRef,
  ): Promise<{ readonly meta: CredentialMeta | undefined; readonly activity: Activity }> {
    const key = this.#codec.indexOf(keyring, ref).toString('latin1');
    const expected_id = this.#ids.get(key);
    const [meta, read] = await Promise.all([
      this.#lookup.find(keyring, ref),
      expected_id === undefined ? undefined : this.#read(keyring, expected_id),
    ]);
    if (meta === undefined) return { meta, activity: activityOf(undefined, undefined) };
    if (meta.id === expected_id) return { meta, activity: activityOf(meta, read) };
    this.#ids.set(key, meta.id);
    return { meta, activity: await this.of(keyring, meta) };
  }

  async #read(keyring: OrganizationKeyring, id: string): Promise<ActivityRecords> {
    const [last_used_at, tested] = await Promise.all([
      this.#last_used.lastUsed(keyring, id),
      this.#tests.get(keyring, id),
    ]);
    return { last_used_at, tested };
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

function activityOf(credential: CredentialMeta | undefined, read: ActivityRecords | undefined): Activity {
  const { last_used_at = null, tested } = read ?? {};
  if (tested === undefined || tested.values_revision !== (credential?.values_revision ?? null))
    return { last_used_at, last_test: null };
  const { values_revision: _, ...last_test } = tested;
  return { last_used_at, last_test };
}
