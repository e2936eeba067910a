/** Tests the values that a write would store, before it stores them. */
import { VaultError } from '../../contract/errors.ts';
import type { LastTest } from '../../contract/use/test_result.ts';
import type { ExistingCredential } from '../credentials/changes.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import type { WriteRequest } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { bindDestination } from '../destinations/binding.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import { UsedNonces } from '../sealed_values/used_nonces.ts';
import type { Candidates } from '../uses/candidates.ts';
import type { GivenValues } from './pending_values.ts';

/** A write whose values the service has accepted. */
export interface VerifiedWrite {
  readonly test: LastTest;
  /** Throws CONFLICT if the credential was changed since the test. */
  assertUnchanged(current: ExistingCredential | undefined): void;
  /** Stores the result of the test. */
  keep(written: CredentialMeta): Promise<void>;
}

export class Verification {
  readonly #parts: VaultDependencies;
  readonly #candidates: Candidates;
  readonly #activity: CredentialActivity;
  readonly #nonces: UsedNonces;

  constructor(parts: VaultDependencies, candidates: Candidates, activity: CredentialActivity) {
    this.#parts = parts;
    this.#candidates = candidates;
    this.#activity = activity;
    this.#nonces = new UsedNonces(parts);
  }

  /** Rejects with VaultError, whatever the write itself would be refused for, and unless the service accepts the values. */
  async verify(
    { caller, keyring, ref, change }: Pick<WriteRequest, 'caller' | 'keyring' | 'ref' | 'change'>,
    { values: given, nonces }: GivenValues,
  ): Promise<VerifiedWrite> {
    const { store, codec, services, verify } = this.#parts;
    if (verify === undefined)
      throw new VaultError('INVALID_INPUT', 'Values cannot be tested here. Store them without verify.');
    await this.#nonces.assertUnused(keyring, nonces);
    const found = await store.find(codec.indexOf(keyring, ref));
    const row = found && (await store.get(found.id));
    const existing =
      row === undefined
        ? undefined
        : { meta: codec.openFound(keyring, row), values: () => codec.openValues(keyring, row) };
    const next = change(existing);
    if (next === 'delete') throw new Error('a deletion has no values');
    const destination = bindDestination(
      this.#parts,
      ref.service,
      [...given.keys()],
      existing,
      next.values,
      next.approved,
    );
    const before = existing?.meta;
    const state = { service: services.get(ref.service), ref, values: next.values, destination, before };
    const test = await verify(caller, await this.#candidates.ofWrite(caller, state));
    return {
      test,
      assertUnchanged: (current) => {
        if (current?.meta.revision !== before?.revision) throw changedMeanwhile();
      },
      // The values are stored: a failure here loses only the result of the test.
      keep: (written) => this.#activity.recordTest(keyring, written, test).catch(() => undefined),
    };
  }
}

/** With a reason: no repetition of the write alone helps. */
function changedMeanwhile(): VaultError {
  const message = 'The credential was changed while the values were tested. Nothing was stored. Call again.';
  return new VaultError('CONFLICT', message, {
    reason: 'changed_meanwhile',
    next: 'Repeat the same call.',
    retry: true,
  });
}
