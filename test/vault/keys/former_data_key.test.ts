/** Records that somebody with a former data key and access to the database writes after the key was rotated. */
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { systemRandom } from '../../../src/crypto/random.ts';
import { loadSodium } from '../../../src/crypto/sodium.ts';
import { KeyVersions } from '../../../src/vault/keys/key_versions.ts';
import { type CredentialValues, NO_VALUES, RecordCodec } from '../../../src/vault/records/record_codec.ts';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import {
  type RecordRow,
  readCredentialRows,
  readRowsOfKind,
  replaceRecords,
  unwrapDataKey,
} from '../../kit/vault/database.ts';
import { openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

const processes = useVaultProcesses();
const LINEAR = { service_id: 'linear' };
const DAMAGED = 'CORRUPT record_damaged';

/** A vault with one credential, and what somebody has who copied it together with its root key. */
async function copiedVault() {
  const at = await openTestVault();
  await at.vault.store(at.caller(), { ...LINEAR, credential_type: 'api_key', credential_value: 'lin_api_1' });
  const [row] = await readCredentialRows(at.home);
  if (row === undefined) throw new Error('no credential');
  const key = await unwrapDataKey(at.home);
  return { ...at, row, keyring: new KeyVersions(row.organization, 1, key) };
}

/** The row with another content, sealed with a key that the writer has. */
async function forge(
  row: RecordRow,
  keyring: KeyVersions,
  change: (meta: object) => object,
  values: CredentialValues = NO_VALUES,
): Promise<RecordRow> {
  const codec = new RecordCodec(await loadSodium(), systemRandom, 'aes-256-gcm');
  const identity = { ...row, index: row.blind_index, derived: undefined };
  const meta = change(Object(codec.openMeta(keyring, identity)));
  const sealed = codec.seal(keyring, identity, meta, values);
  const { key_version, sealed_meta } = sealed.row;
  return { ...row, key_version, sealed_meta, sealed_values: sealed.sealed_values };
}

const forgeValue = (row: RecordRow, keyring: KeyVersions) =>
  forge(row, keyring, (meta) => meta, new Map([['linear_api_key', new Secret('forged')]]));

const statusOf = ({ vault, caller }: TestVault) => outcomeOf(vault.status(caller(), LINEAR));

async function findingsOf({ vault, caller }: TestVault) {
  return (await vault.verifyAudit(caller())).findings.map(({ kind, message }) => [kind, message]);
}

const FORGED = [['record_damaged', expect.stringContaining('has a former data key')]];

describe('a record that is encrypted with a former data key', () => {
  test('is accepted before the rotation, which shows that the key and the forgery are right', async () => {
    const at = await copiedVault();
    await replaceRecords(at.home, [await forgeValue(at.row, at.keyring)]);
    expect(await statusOf(at)).toBe('ok');
    expect(await findingsOf(at)).toEqual([]);
  });

  test('is refused after the rotation and reported by the verification, by this process and by one that starts later', async () => {
    const at = await copiedVault();
    await at.vault.rotations.rotateData(at.caller());
    const forged = await forgeValue(at.row, at.keyring);
    await replaceRecords(at.home, [forged]);
    expect(await statusOf(at)).toBe(DAMAGED);
    expect(await findingsOf(at)).toEqual(FORGED);
    await at.vault.close();
    const later = await openTestVault(at.home);
    expect(await statusOf(later)).toBe(DAMAGED);
    expect(await findingsOf(later)).toEqual(FORGED);
    // A further rotation does not encrypt it with the newest key.
    await later.vault.rotations.rotateData(later.caller());
    expect(await statusOf(later)).toBe(DAMAGED);
    // Also without the record that shows that the rotation is done.
    const states = await readRowsOfKind(at.home, 'key_rotation');
    await replaceRecords(
      at.home,
      [],
      states.map(({ seq }) => seq),
    );
    await later.vault.close();
    expect(await statusOf(await openTestVault(at.home))).toBe(DAMAGED);
  });

  test('is refused by a process that had the vault open before the rotation', async () => {
    const at = await copiedVault();
    const other = await processes.open(at.home);
    const status = () => other.call('status', at.caller(), [LINEAR]);
    expect(await status()).toMatchObject({ results: [{ status: 'active' }] });
    await at.vault.rotations.rotateData(at.caller());
    expect(await status()).toMatchObject({ results: [{ status: 'active' }] });
    await replaceRecords(at.home, [await forgeValue(at.row, at.keyring)]);
    await expect
      .poll(status, { timeout: 15_000 })
      .toMatchObject({ code: 'CORRUPT', reason: 'record_damaged' });
  });

  test('is refused after the rotation if it is a handle, which a person would enter values for', async () => {
    const at = await copiedVault();
    const { handle } = await at.vault.handles.create(at.caller(), { ...LINEAR, credential_type: 'api_key' });
    const [row] = await readRowsOfKind(at.home, 'handle');
    if (row === undefined) throw new Error('no handle');
    const forged = await forge(row, at.keyring, (meta) => ({ ...meta, name: 'forged' }));
    const status = () => outcomeOf(at.vault.handles.status(at.caller(), handle));
    expect(await status()).toBe('ok');
    await at.vault.rotations.rotateData(at.caller());
    expect(await status()).toBe('ok');
    await replaceRecords(at.home, [forged]);
    expect(await status()).toBe(DAMAGED);
  });

  test('is reported by the verification even if the state of the rotation was rolled back', async () => {
    const at = await copiedVault();
    await at.vault.rotations.rotateData(at.caller());
    const [state] = await readRowsOfKind(at.home, 'key_rotation');
    if (state === undefined) throw new Error('no state');
    const present = new KeyVersions(at.row.organization, 1, await unwrapDataKey(at.home));
    present.add(2, await unwrapDataKey(at.home, 2));
    const begun = await forge(state, present, (meta) => ({ ...meta, is_done: false }));
    await replaceRecords(at.home, [begun, await forgeValue(at.row, at.keyring)]);
    await at.vault.close();
    const later = await openTestVault(at.home);
    expect(await statusOf(later)).toBe('ok');
    expect(await findingsOf(later)).toEqual(FORGED);
  });

  test('is read by another process while the rotation is in progress', async () => {
    const at = await copiedVault();
    const other = await openTestVault(at.home, {}, 'no');
    const before = at.vault.rotations.rotateData(at.caller());
    for (let time = 0; time < 20; time++) expect(await statusOf(other)).toBe('ok');
    await before;
    expect(await statusOf(other)).toBe('ok');
    expect(await findingsOf(other)).toEqual([]);
  });
});
