/** Audit entries of moves, renames and switches name the former and the present owner, unit, name and state. */
import { expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { createAcme, type Tenants } from '../../kit/vault/tenants.ts';

const NEW = {
  service_id: 'linear',
  credential_type: 'bearer',
  credentials: { linear_api_key: 'v' },
} as const;

async function newest({ vault }: Tenants, admin: Caller) {
  const [entry] = (await vault.listAudit(admin)).entries;
  return [entry?.action, entry?.changes];
}

test('a move, a rename and a switch are in the audit log with their former and their new value', async () => {
  const { tenants, credentials, admin, ids } = await createAcme();
  const sales = await tenants.vault.organizations.createUnit(admin, 'sales');
  const { id } = await credentials.create(admin, { ...NEW, name: 'first', user_id: ids.ann });
  await credentials.change(admin, id, { name: 'second' });
  expect(await newest(tenants, admin)).toEqual(['rename', [{ what: 'name', from: 'first', to: 'second' }]]);
  await credentials.change(admin, id, { inactive: true });
  const off = [{ what: 'state', from: 'active', to: 'inactive' }];
  expect(await newest(tenants, admin)).toEqual(['set_inactive', off]);
  await credentials.change(admin, id, { inactive: false });
  const on = [{ what: 'state', from: 'inactive', to: 'active' }];
  expect(await newest(tenants, admin)).toEqual(['set_inactive', on]);
  await credentials.change(admin, id, { user_id: ids.bob, name: 'third', unit_id: sales.id });
  const { unit_id } = await credentials.get(admin, id);
  expect(unit_id).toBe(sales.id);
  expect(await newest(tenants, admin)).toEqual([
    'move',
    [
      { what: 'user', from: 'ann', to: 'bob' },
      { what: 'unit', from: ids.unit, to: sales.id },
      { what: 'name', from: 'second', to: 'third' },
    ],
  ]);
  await credentials.change(admin, id, {});
  expect(await newest(tenants, admin)).toEqual(['update', []]);
  expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
});

test('a user puts a credential into the own unit only, and an administrator into any', async () => {
  const { tenants, credentials, ann, admin, ids } = await createAcme();
  const finance = await tenants.vault.organizations.createUnit(admin, 'finance');
  const { code, message } = await errorOf(credentials.create(ann, { ...NEW, unit_id: finance.id }));
  expect([code, message]).toEqual(['FORBIDDEN', expect.stringContaining('Only an administrator')]);
  const { id } = await credentials.create(ann, { ...NEW, unit_id: ids.unit });
  expect(await outcomeOf(credentials.change(ann, id, { unit_id: finance.id }))).toBe('FORBIDDEN');
  expect(await outcomeOf(credentials.change(ann, id, { unit_id: ids.unit }))).toBe('ok');
  expect((await credentials.change(admin, id, { unit_id: finance.id })).unit_id).toBe(finance.id);
  // Clients send the present unit back when they change something else.
  expect(await outcomeOf(credentials.change(ann, id, { unit_id: finance.id, name: 'n' }))).toBe('ok');
  const { entries } = await tenants.vault.listAudit(admin, { outcome: 'denied' });
  expect(entries.map(({ action, reason }) => [action, reason])).toEqual([
    ['update', 'another unit'],
    ['store', 'another unit'],
  ]);
});
