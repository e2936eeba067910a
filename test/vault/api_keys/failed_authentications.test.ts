/** Failed authentications are in the audit log: the first at once, the others as a number. */
import { expect, test } from 'vitest';
import { outcomeOf } from '../../kit/outcome.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

test('a thousand failed authentications make two audit entries, the second with the number of the others', async () => {
  const tenants = await openTenants();
  const { key } = await tenants.newKey({ organization: 'acme', user: 'ann' });
  const wrong = `${key.slice(0, 36)}${'A'.repeat(43)}`;
  for (let attempt = 0; attempt < 1_000; attempt++)
    expect(await outcomeOf(tenants.caller(attempt % 2 === 0 ? wrong : 'nonsense'))).toBe('UNAUTHENTICATED');
  await tenants.vault.close();
  const again = await openTenants(tenants.home);
  const { entries } = await again.vault.listAudit(again.operator(), { action: 'authenticate' });
  expect(entries.map(({ user, outcome, count, api_key_id }) => [user, outcome, count, api_key_id])).toEqual([
    ['-', 'denied', 999, null],
    ['-', 'denied', 1, null],
  ]);
  expect((await again.vault.verifyAudit(again.operator())).findings).toEqual([]);
});

test('an expired key is named in the audit log of the organization of the key', async () => {
  const tenants = await openTenants();
  const expires_at = tenants.clock.in(1_000);
  const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann', expires_at });
  tenants.clock.advance(2_000);
  expect(await outcomeOf(tenants.caller(key))).toBe('UNAUTHENTICATED');
  const admin = await tenants.admin('acme');
  await expect
    .poll(async () => (await tenants.vault.listAudit(admin, { action: 'authenticate' })).entries)
    .toMatchObject([{ api_key_id: id, count: 1, reason: 'no valid API key' }]);
});
