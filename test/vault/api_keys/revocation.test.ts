/** Rotated and revoked API keys are refused at once. */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES } from '../../../src/contract/caller.ts';
import { fullOutcomeOf } from '../../kit/outcome.ts';
import { readRowById, readRowsOfKind, replaceRecords } from '../../kit/vault/database.ts';
import { openTenants, type Tenants, UNKNOWN_ID } from '../../kit/vault/tenants.ts';

const REFUSED = '["UNAUTHENTICATED",null,"A valid API key is needed."]';

const headOf = (key: string) => key.slice(0, 36);

describe('a rotated API key', () => {
  test('a rotated API key keeps its id and permissions, and the old secret is refused at once in every open vault', async () => {
    const tenants = await openTenants();
    const other = await openTenants(tenants.home);
    const { key: old, ...made } = await tenants.newKey({ organization: 'acme', user: 'ann', name: 'ci' });
    const before = await other.caller(old);
    const { key, ...rotated } = await tenants.vault.api_keys.rotate(tenants.operator(), made.id);
    expect(rotated).toEqual(made);
    expect(headOf(key)).toBe(headOf(old));
    for (const vault of [tenants, other]) {
      expect(await fullOutcomeOf(vault.caller(old))).toBe(REFUSED);
      expect(await vault.caller(key)).toEqual({ ...before, request_id: expect.any(String) });
    }
  });

  test('two concurrent rotations of an API key leave the secret of one of them', async () => {
    const tenants = await openTenants();
    const other = await openTenants(tenants.home);
    const { id } = await tenants.newKey({});
    const both = await Promise.all(
      [tenants, other].map(({ vault, operator }) => vault.api_keys.rotate(operator(), id)),
    );
    const ends = await Promise.all(both.map(({ key }) => fullOutcomeOf(tenants.caller(key))));
    expect(ends.toSorted()).toEqual([REFUSED, 'ok'].toSorted());
  });
});

describe('a revoked API key', () => {
  test.each([
    [
      'was revoked',
      async (tenants: Tenants, id: string) => tenants.vault.api_keys.revoke(tenants.operator(), id),
    ],
    ['has expired', async (tenants: Tenants) => tenants.clock.advance(3_600_000)],
  ])('a caller authenticated before its key %s creates no key that outlives it', async (_, end) => {
    const tenants = await openTenants();
    const expires_at = tenants.clock.in(3_600_000);
    const { key, id } = await tenants.newKey({
      organization: 'acme',
      user: 'ann',
      scopes: ['keys:write'],
      expires_at,
    });
    const caller = await tenants.caller(key);
    await end(tenants, id);
    const before = (await readRowsOfKind(tenants.home, 'api_key')).length;
    expect(await fullOutcomeOf(tenants.vault.api_keys.create(caller, { scopes: ['keys:write'] }))).toBe(
      REFUSED,
    );
    expect((await readRowsOfKind(tenants.home, 'api_key')).length).toBe(before);
  });

  test('a revoked API key is refused at once in every open vault, like an unknown one', async () => {
    const tenants = await openTenants();
    const other = await openTenants(tenants.home);
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    await other.caller(key);
    await expect.poll(async () => (await readRowsOfKind(tenants.home, 'api_key_use')).length).toBe(1);
    await tenants.vault.api_keys.revoke(tenants.operator(), id);
    expect((await readRowsOfKind(tenants.home, 'api_key_use')).length).toBe(0);
    for (const one of [tenants, other]) {
      expect(await fullOutcomeOf(one.caller(key))).toBe(REFUSED);
      for (const again of ['revoke', 'rotate'] as const) {
        const unknown = await fullOutcomeOf(one.vault.api_keys[again](one.operator(), UNKNOWN_ID));
        expect(await fullOutcomeOf(one.vault.api_keys[again](one.operator(), id))).toBe(unknown);
      }
    }
    const { keys } = await other.vault.api_keys.list(await other.admin('acme'));
    expect(keys.map((one) => one.id)).not.toContain(id);
  });

  test('an API key can revoke itself', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({ scopes: [...SCOPES] });
    await tenants.vault.api_keys.revoke(await tenants.caller(key), id);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
  });

  test('verification finds a revoked API key that was restored from an older copy', async () => {
    const tenants = await openTenants();
    const { id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const row = await readRowById(tenants.home, id);
    if (row === undefined) throw new Error('no row');
    await tenants.vault.api_keys.revoke(tenants.operator(), id);
    await replaceRecords(tenants.home, [row]);
    expect(await findings(tenants, await tenants.admin('acme'))).toEqual([['record_rolled_back', id]]);
  });

  test('verification finds an older secret of an API key that was restored from an older copy', async () => {
    const tenants = await openTenants();
    const { id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const row = await readRowById(tenants.home, id);
    if (row === undefined) throw new Error('no row');
    await tenants.vault.api_keys.rotate(tenants.operator(), id);
    await replaceRecords(tenants.home, [row]);
    expect(await findings(tenants, await tenants.admin('acme'))).toEqual([['record_rolled_back', id]]);
  });
});

async function findings({ vault }: Tenants, caller: Caller) {
  const report = await vault.verifyAudit(caller);
  return report.findings.map(({ kind, record_id }) => [kind, record_id]);
}
