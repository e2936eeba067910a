/** A list of credentials reads a bounded number of them, whatever its filter. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { CREDENTIALS_READ_MAX, LIST_PAGE_MAX } from '../../../src/contract/limits.ts';
import { type RecordRow, readCredentialRows, replaceRecords } from '../../kit/vault/database.ts';
import { countQueries } from '../../kit/vault/query_counter.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const STORE = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

/** Rows that do not decrypt, and are read all the same. */
const copiesOf = (row: RecordRow, count: number) =>
  Array.from({ length: count }, (_, at) => ({
    ...row,
    seq: 1_000 + at,
    id: randomBytes(16),
    blind_index: randomBytes(16),
  }));

test('lists of credentials read 10,000 of them at most and report that there are more', async () => {
  const tenants = await openTenants();
  const ann = await tenants.user('acme', 'ann');
  await tenants.vault.store(ann, { ...STORE, name: 'oldest' });
  const [row] = await readCredentialRows(tenants.home);
  if (row === undefined) throw new Error('no row');
  const copies = (count: number) => copiesOf(row, count);
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

test('a list reads no further stack once it has read all the credentials that it may read', async () => {
  const tenants = await openTenants();
  const { vault, home } = tenants;
  const ann = await tenants.user('acme', 'ann');
  for (let at = 0; at < 60; at++) await vault.stacks.create(ann, { stack_name: `s${at}` });
  // In the newest stack, which is read first.
  await vault.store(ann, { ...STORE, stack_id: 'newest' });
  const [row] = await readCredentialRows(home);
  if (row === undefined) throw new Error('no row');
  await replaceRecords(home, copiesOf(row, CREDENTIALS_READ_MAX + 1));
  const queries = countQueries();
  expect((await vault.credentials.page(ann, {}, 10)).more).toBe(true);
  expect(queries().reads).toBeLessThan(CREDENTIALS_READ_MAX / LIST_PAGE_MAX + 30);
});
