/** Organizations, users and units: creation, names, and that a refusal creates none. */
import { describe, expect, test } from 'vitest';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import { IS_SLOW } from '../../kit/run_size.ts';
import {
  flipBit,
  openTestDatabase,
  readRowsOfKind,
  readStoredRecords,
  readWrappedKeyRows,
  replaceRecords,
  type TestDatabase,
} from '../../kit/vault/database.ts';
import { openTenants, UNKNOWN_ID } from '../../kit/vault/tenants.ts';

/** Owner of the data key of `acme`, the first organization after `local`. */
async function ownerOfAcme(database: TestDatabase): Promise<Buffer> {
  const chain = (await database.auditChains()).find(({ number }) => number === 2);
  if (chain === undefined) throw new Error('no audit chain');
  return chain.organization;
}

describe('an organization', () => {
  test('an organization is created with its first API key and shared by later keys', async () => {
    const tenants = await openTenants();
    const first = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const second = await tenants.newKey({ organization: 'acme', user: 'bob' });
    expect(second.organization_id).toBe(first.organization_id);
    expect(second.unit_id).toBe(first.unit_id);
    expect(second.user_id).not.toBe(first.user_id);
    const other = await tenants.newKey({ organization: 'other', user: 'ann' });
    for (const id of ['organization_id', 'unit_id', 'user_id'] as const)
      expect(other[id]).not.toBe(first[id]);
    // One row each; keys for existing ones add none.
    expect(await readRowsOfKind(tenants.home, 'organization')).toHaveLength(2);
    expect(await readRowsOfKind(tenants.home, 'user')).toHaveLength(3);
    expect(await readRowsOfKind(tenants.home, 'unit')).toHaveLength(2);
  });

  test.each<readonly [string, CreateKeyInput]>([
    ['an empty name', { organization: '', user: 'ann' }],
    ['a name in upper case', { organization: 'Acme', user: 'ann' }],
    ['a name with a blank', { organization: 'ac me', user: 'ann' }],
    ['a name that is a path', { organization: '../local', user: 'ann' }],
    ['a name with a line end', { organization: 'acme\n', user: 'ann' }],
    ['a name in another script', { organization: 'асme', user: 'ann' }],
    ['a long name', { organization: 'a'.repeat(64), user: 'ann' }],
    ['no user named', { organization: 'acme' }],
    ['an empty user name', { organization: 'acme', user: '' }],
    ['a user name with a slash', { organization: 'acme', user: 'local/me' }],
    ['a user name with a blank', { organization: 'acme', user: 'a b' }],
    ['a user name with a line end', { organization: 'acme', user: 'ann\n' }],
    ['a user name with half a surrogate pair', { organization: 'acme', user: 'ann\ud800' }],
    ['a user name with a letter in two parts', { organization: 'acme', user: 'a\u0308nn' }],
    ['a user name that begins with a dot', { organization: 'acme', user: '.ann' }],
    ['a long user name', { organization: 'acme', user: 'a'.repeat(129) }],
    ['a key that there is not', { organization: 'acme', user: 'ann', admin: true } as CreateKeyInput],
    ['a key name with a control character', { organization: 'acme', user: 'ann', name: 'a\u0007' }],
    ['a long key name', { organization: 'acme', user: 'ann', name: 'x'.repeat(256) }],
    ['201 services', { organization: 'acme', user: 'ann', allowed_services: Array(201).fill('linear') }],
  ])('an organization is not created with %s', async (_, input) => {
    const tenants = await openTenants();
    const before = await readStoredRecords(tenants.home);
    expect((await errorOf(tenants.newKey(input))).code).toBe('INVALID_INPUT');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });

  test.each<readonly [string, CreateKeyInput]>([
    ['a unit that it cannot have yet', { organization: 'acme', user: 'ann', unit: 'sales' }],
    ['a service that there is not', { organization: 'acme', user: 'ann', allowed_services: ['no_such'] }],
  ])('an organization is not created for an API key that is refused for %s', async (_, input) => {
    const tenants = await openTenants();
    expect((await errorOf(tenants.newKey(input))).code).toBe('NOT_FOUND');
    expect(await readRowsOfKind(tenants.home, 'organization')).toEqual([]);
    expect(await readWrappedKeyRows(tenants.home)).toHaveLength(2);
  });

  test('an organization without its data key is CORRUPT at once, without retries', async () => {
    const tenants = await openTenants();
    await tenants.newKey({ organization: 'acme', user: 'ann' });
    await tenants.vault.close();
    const database = openTestDatabase(tenants.home);
    const owner = await ownerOfAcme(database);
    const keys = await database.wrappedKeys();
    await database.replaceWrappedKeys(keys.filter((key) => !key.owner.equals(owner)));
    const again = await openTenants(tenants.home);
    const began = performance.now();
    expect(await outcomeOf(again.newKey({ organization: 'acme', user: 'ann' }))).toBe(
      'CORRUPT record_damaged',
    );
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(await outcomeOf(again.newKey({ organization: 'other', user: 'ann' }))).toBe('ok');
  });

  test('an organization with a damaged data key does not affect other organizations', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const { key: other } = await tenants.newKey({ organization: 'other', user: 'ann' });
    await tenants.vault.close();
    const database = openTestDatabase(tenants.home);
    const owner = await ownerOfAcme(database);
    const keys = await database.wrappedKeys();
    await database.replaceWrappedKeys(
      keys.map((one) => (one.owner.equals(owner) ? { ...one, wrapped: flipBit(one.wrapped, 300) } : one)),
    );
    const again = await openTenants(tenants.home);
    expect(await outcomeOf(again.caller(key))).toBe('CORRUPT record_damaged');
    expect((await again.caller(other)).organization).toBe('other');
  });
});

describe('users', () => {
  test('users of one name in two organizations are independent', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const [here, there] = [await tenants.user('acme', 'ann'), await tenants.user('other', 'ann')];
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    await vault.store(here, input);
    expect((await vault.status(there, { service_id: 'linear' })).status).toBe('missing');
    expect((await vault.status(tenants.operator(), { service_id: 'linear' })).status).toBe('missing');
    await vault.store(there, input);
    await vault.delete(here, { service_id: 'linear' });
    expect((await vault.status(there, { service_id: 'linear' })).status).toBe('active');
  });

  test('users with similar or nested names are different users', async () => {
    const tenants = await openTenants();
    const names = ['ann', 'Ann', 'ann.', 'ann@acme.example', 'ann:default', 'änn', 'анна', '1'];
    const keys = [];
    for (const user of names) keys.push(await tenants.newKey({ organization: 'acme', user }));
    expect(new Set(keys.map(({ user_id }) => user_id)).size).toBe(names.length);
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    const [first, ...others] = await Promise.all(keys.map(({ key }) => tenants.caller(key)));
    if (first === undefined) throw new Error('no caller');
    await tenants.vault.store(first, input);
    for (const other of others)
      expect((await tenants.vault.status(other, { service_id: 'linear' })).status).toBe('missing');
  });

  test('a user is in the unit named at creation and in no other', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.admin('acme');
    const sales = await vault.organizations.createUnit(admin, 'sales');
    const ann = { organization: 'acme', user: 'ann' };
    expect((await tenants.newKey({ ...ann, unit: 'sales' })).unit_id).toBe(sales.id);
    expect((await tenants.newKey(ann)).unit_id).toBe(sales.id);
    expect((await tenants.newKey({ ...ann, unit: sales.id })).unit_id).toBe(sales.id);
    const before = await readStoredRecords(tenants.home);
    expect(await outcomeOf(tenants.newKey({ ...ann, unit: 'default' }))).toBe('INVALID_INPUT');
    expect(await outcomeOf(tenants.newKey({ ...ann, unit: 'no-such' }))).toBe('NOT_FOUND');
    expect(await outcomeOf(tenants.newKey({ ...ann, user: 'new', unit: UNKNOWN_ID }))).toBe('NOT_FOUND');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });
});

describe('units', () => {
  test('an administrator creates units, one for each name', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.admin('acme');
    const sales = await vault.organizations.createUnit(admin, 'sales');
    expect(await vault.organizations.createUnit(admin, 'sales')).toEqual(sales);
    expect((await vault.organizations.listUnits(admin)).map(({ name }) => name)).toEqual([
      'sales',
      'default',
    ]);
    expect((await vault.organizations.listUnits(tenants.operator(), 'acme')).map(({ name }) => name)).toEqual(
      ['sales', 'default'],
    );
    expect(await vault.organizations.listUnits(tenants.operator())).toEqual([]);
    for (const name of ['', 'a b', 'a\n', '../a', 'x'.repeat(129)])
      expect(await outcomeOf(vault.organizations.createUnit(admin, name))).toBe('INVALID_INPUT');
  });

  test('units of another organization are neither listed nor created, and the attempt creates no organization', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const admin = await tenants.admin('acme');
    const ann = await tenants.user('acme', 'ann');
    await tenants.admin('other');
    const before = await readStoredRecords(tenants.home);
    for (const organization of ['other', 'local', 'no-such']) {
      expect(await outcomeOf(vault.organizations.listUnits(ann, organization))).toBe('FORBIDDEN');
      expect(await outcomeOf(vault.organizations.createUnit(admin, 'sales', organization))).toBe('FORBIDDEN');
    }
    expect(await outcomeOf(vault.organizations.listUnits(tenants.operator(), 'no-such'))).toBe('NOT_FOUND');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    const { entries } = await tenants.vault.listAudit(admin, { action: 'create_unit', outcome: 'denied' });
    // The others are counted, and logged as a number.
    expect(entries).toHaveLength(1);
  });

  test('units by the id of another organization are like unknown ones', async () => {
    const tenants = await openTenants();
    const admin = await tenants.admin('acme');
    const { unit_id } = await tenants.newKey({ organization: 'other', user: 'ann' });
    const create = (unit: string) => tenants.vault.api_keys.create(admin, { user: 'new', unit });
    expect(await fullOutcomeOf(create(unit_id))).toBe(await fullOutcomeOf(create(UNKNOWN_ID)));
    expect(await outcomeOf(create(unit_id))).toBe('NOT_FOUND');
  });

  test('a damaged unit is left out of lists, and is CORRUPT by its name', async () => {
    const tenants = await openTenants();
    const admin = await tenants.admin('acme');
    const sales = await tenants.vault.organizations.createUnit(admin, 'sales');
    const [row] = await readRowsOfKind(tenants.home, 'unit');
    if (row === undefined) throw new Error('no row');
    await replaceRecords(tenants.home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 99) }]);
    expect(await tenants.vault.organizations.listUnits(admin)).toEqual([sales]);
    expect(await outcomeOf(tenants.vault.organizations.createUnit(admin, 'default'))).toBe(
      'CORRUPT record_damaged',
    );
  });

  test.runIf(IS_SLOW)('the number of units is limited', { timeout: 600_000 }, async () => {
    const tenants = await openTenants();
    const admin = await tenants.admin('acme');
    for (let at = 1; at < 1_000; at++) await tenants.vault.organizations.createUnit(admin, `u${at}`);
    expect(await tenants.vault.organizations.listUnits(admin)).toHaveLength(1_000);
    expect(await outcomeOf(tenants.vault.organizations.createUnit(admin, 'one-more'))).toBe('INVALID_INPUT');
    expect(await outcomeOf(tenants.vault.organizations.createUnit(admin, 'u1'))).toBe('ok');
  });
});
