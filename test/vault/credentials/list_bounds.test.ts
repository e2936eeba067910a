/** A list of credentials reads a bounded number of them, whatever its filter. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { CREDENTIALS_READ_MAX } from '../../../src/contract/limits.ts';
import { readCredentialRows, replaceRecords } from '../../kit/vault/database.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const STORE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

test('lists of credentials read 10,000 of them at most and report that there are more', async () => {
  const tenants = await openTenants();
  const ann = await tenants.user('acme', 'ann');
  await tenants.vault.store(ann, { ...STORE, name: 'oldest' });
  const [row] = await readCredentialRows(tenants.home);
  if (row === undefined) throw new Error('no row');
  // They do not decrypt, and are read all the same.
  const copies = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      ...row,
      seq: 1_000 + at,
      id: randomBytes(16),
      blind_index: randomBytes(16),
    }));
  const listsOf = async () => {
    const { vault } = await openTenants(tenants.home);
    const { credentials, more } = await vault.listCredentials(ann, {});
    const filtered = await vault.listCredentials(ann, { name: 'oldest' });
    const page = await vault.credentials.page(ann, {}, 10);
    return [
      [credentials.length, more],
      [filtered.credentials.length, filtered.more],
      [page.credentials.length, page.more],
    ];
  };
  await replaceRecords(tenants.home, copies(CREDENTIALS_READ_MAX - 1));
  expect(await listsOf()).toEqual(Array(3).fill([1, false]));
  await replaceRecords(tenants.home, copies(CREDENTIALS_READ_MAX));
  expect(await listsOf()).toEqual(Array(3).fill([0, true]));
});
