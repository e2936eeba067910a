/** last_used_at of API keys is written in the background: requests neither wait for it nor fail with it. */
import { describe, expect, test } from 'vitest';
import {
  flipBit,
  openTestDatabase,
  type RecordRow,
  readRowsOfKind,
  replaceRecords,
} from '../../kit/vault/database.ts';
import { Clock, openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const MINUTE_MS = 60_000;

const revisions = async ({ home }: Tenants) =>
  (await readRowsOfKind(home, 'api_key_use')).map(({ revision }) => revision);

async function lastUsed({ vault, operator }: Tenants, id: string): Promise<string | null | undefined> {
  const { keys } = await vault.api_keys.list(operator());
  return keys.find((one) => one.id === id)?.last_used_at;
}

/** A key that was used once, with last_used_at written. */
async function usedKey() {
  const tenants = await openTenants();
  const { key, id } = await tenants.newKey({});
  await tenants.caller(key);
  await expect.poll(() => revisions(tenants)).toEqual([1]);
  return { tenants, key, id, used_at: tenants.clock.in(0) };
}

describe('last_used_at of an API key', () => {
  test('last_used_at is null before the first use and then the time of use', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({});
    expect(await lastUsed(tenants, id)).toBeNull();
    await tenants.caller(key);
    await expect.poll(() => lastUsed(tenants, id)).toBe(tenants.clock.in(0));
    const other = await openTenants(tenants.home);
    expect(await lastUsed(other, id)).toBe(tenants.clock.in(0));
  });

  test('last_used_at is written at most once a minute', async () => {
    const { tenants, key, id, used_at } = await usedKey();
    for (let second = 1; second < 60; second++) {
      tenants.clock.advance(MINUTE_MS / 60);
      await tenants.caller(key);
    }
    // A write commits pending background writes too.
    await tenants.newKey({});
    expect([await revisions(tenants), await lastUsed(tenants, id)]).toEqual([[1], used_at]);
    tenants.clock.advance(MINUTE_MS / 60);
    await tenants.caller(key);
    await expect.poll(() => revisions(tenants)).toEqual([2]);
    expect(await lastUsed(tenants, id)).toBe(tenants.clock.in(0));
  });

  test('last_used_at is written again if the clock was set back', async () => {
    const { tenants, key } = await usedKey();
    tenants.clock.advance(-60 * MINUTE_MS);
    await tenants.caller(key);
    await expect.poll(() => revisions(tenants)).toEqual([2]);
  });

  test('a refused API key does not change last_used_at', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ expires_at: tenants.clock.in(MINUTE_MS) });
    await tenants.caller(`${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`).catch(() => undefined);
    tenants.clock.advance(MINUTE_MS);
    await tenants.caller(key).catch(() => undefined);
    await tenants.newKey({});
    expect(await revisions(tenants)).toEqual([]);
  });

  test('last_used_at is written for each of many keys used concurrently', async () => {
    const tenants = await openTenants();
    const keys = await Promise.all(Array.from({ length: 50 }, () => tenants.newKey({})));
    await Promise.all([...keys, ...keys].map(({ key }) => tenants.caller(key)));
    await expect.poll(() => revisions(tenants)).toEqual(keys.map(() => 1));
  });

  test('two vaults that write last_used_at concurrently both succeed and leave one record', async () => {
    const first = await openTenants();
    const second = await openTenants(first.home);
    const { key, id } = await first.newKey({});
    await Promise.all([first, second].map((tenants) => tenants.caller(key)));
    await expect.poll(() => lastUsed(first, id)).not.toBeNull();
    await Promise.all([first.newKey({}), second.newKey({})]);
    expect(await readRowsOfKind(first.home, 'api_key_use')).toHaveLength(1);
  });

  test('last_used_at has no audit entry, and verification reports no finding for it', async () => {
    const { tenants, key } = await usedKey();
    tenants.clock.advance(MINUTE_MS);
    await tenants.caller(key);
    await expect.poll(() => revisions(tenants)).toEqual([2]);
    const { entries } = await tenants.vault.listAudit(tenants.operator());
    expect(entries.map(({ action }) => action).toSorted()).toEqual(
      ['init', 'create_organization', 'create_unit', 'create_user', 'create_key'].toSorted(),
    );
    expect((await tenants.vault.verifyAudit(tenants.operator())).findings).toEqual([]);
  });
});

describe('a last_used_at that cannot be written', () => {
  test('authentication does not wait for last_used_at while another program locks the database', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({});
    const unlock = await openTestDatabase(tenants.home).lockForWriting();
    const before = performance.now();
    for (let time = 0; time < 100; time++) await tenants.caller(key);
    expect(performance.now() - before).toBeLessThan(2_000);
    await unlock();
    await expect.poll(() => lastUsed(tenants, id)).toBe(tenants.clock.in(0));
  });

  test.each<readonly [string, (row: RecordRow) => RecordRow]>([
    ['sealed_meta', (row) => ({ ...row, sealed_meta: flipBit(row.sealed_meta, 77) })],
    ['revision', (row) => ({ ...row, revision: 7 })],
  ])(
    'a last_used_at record with a damaged %s is overwritten and hides no key from the list',
    async (_, damage) => {
      const { tenants, key, id } = await usedKey();
      const [row] = await readRowsOfKind(tenants.home, 'api_key_use');
      if (row === undefined) throw new Error('no row');
      await replaceRecords(tenants.home, [damage(row)]);
      expect(await lastUsed(tenants, id)).toBeNull();
      tenants.clock.advance(MINUTE_MS);
      await tenants.caller(key);
      await expect.poll(() => lastUsed(tenants, id)).toBe(tenants.clock.in(0));
    },
  );

  test('closing the vault while last_used_at is written loses no acknowledged write', async () => {
    for (let round = 0; round < 10; round++) {
      const tenants = await openTenants(undefined, new Clock());
      const keys = await Promise.all(Array.from({ length: 5 }, () => tenants.newKey({})));
      const stored: string[] = [];
      const stores = keys.map(async (_, at) => {
        const name = `n${at}`;
        const input = {
          service_id: 'linear',
          credential_type: 'bearer',
          credential_value: 'v',
          name,
        } as const;
        await tenants.vault.store(tenants.operator(), input).then(
          () => stored.push(name),
          () => undefined,
        );
      });
      await Promise.all(keys.map(({ key }) => tenants.caller(key)));
      // Waits a different number of ticks in each round, to meet every state of the background write.
      for (let tick = 0; tick < round; tick++) await new Promise((resolve) => process.nextTick(resolve));
      await tenants.vault.close();
      await Promise.all(stores);
      const again = await openTenants(tenants.home);
      const { credentials } = await again.vault.listCredentials(again.operator(), {});
      expect(credentials.map(({ name }) => name)).toEqual(expect.arrayContaining(stored));
      expect((await again.vault.verifyAudit(again.operator())).findings).toEqual([]);
      await again.vault.close();
    }
  });

  test('revoking a key while its last_used_at is written leaves no record behind', async () => {
    for (let round = 0; round < 10; round++) {
      const tenants = await openTenants();
      const { key, id } = await tenants.newKey({});
      await tenants.caller(key);
      for (let tick = 0; tick < round; tick++) await new Promise((resolve) => process.nextTick(resolve));
      await tenants.vault.api_keys.revoke(tenants.operator(), id);
      await tenants.newKey({});
      expect([round, await revisions(tenants)]).toEqual([round, []]);
    }
  });
});
