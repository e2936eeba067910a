/** Equal denials are in the audit log as one entry and a number, not as an entry each. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { NewAuditEntry } from '../../../src/contract/audit.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import { DENIAL_GROUPS_MAX, DENIALS_LOGGED_EVERY_MS } from '../../../src/contract/limits.ts';
import { newEntry } from '../../../src/vault/audit/entry.ts';
import { RepeatedDenials } from '../../../src/vault/audit/repeated_denials.ts';
import type { OrganizationKeyring } from '../../../src/vault/keys/keyring.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

async function denialsOf({ vault, operator }: Tenants) {
  const { entries } = await vault.listAudit(operator(), { outcome: 'denied' });
  return entries.map(({ action, service_id, stack_id, count }) => [action, service_id, stack_id, count]);
}

/** A vault, and a caller of its organization `local` who may only read. */
async function openWithReader() {
  const tenants = await openTenants();
  const reader = await tenants.user('local', 'ann', { scopes: ['credentials:read'] });
  const refuse = async (caller: Caller, service_id = 'linear', stack_id = 'default') =>
    expect(await outcomeOf(tenants.vault.store(caller, { ...LINEAR, service_id, stack_id }))).toMatch(
      /^FORBIDDEN/,
    );
  return { tenants, reader, refuse };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('repeated denials', () => {
  test('a thousand refused writes make two audit entries, the second with the number of the others', async () => {
    const { tenants, reader, refuse } = await openWithReader();
    const before = (await tenants.vault.verifyAudit(tenants.operator())).entries;
    for (let attempt = 0; attempt < 1_000; attempt++) await refuse(reader);
    await tenants.vault.close();
    const again = await openTenants(tenants.home);
    expect(await denialsOf(again)).toEqual([
      ['store', 'linear', 'default', 999],
      ['store', 'linear', 'default', 1],
    ]);
    const report = await again.vault.verifyAudit(again.operator());
    expect([report.findings, report.entries - before]).toEqual([[], 2]);
  });

  test('the number of refused writes is in the audit log after a minute', async () => {
    const { tenants, reader, refuse } = await openWithReader();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    for (let attempt = 0; attempt < 5; attempt++) await refuse(reader);
    vi.advanceTimersByTime(DENIALS_LOGGED_EVERY_MS);
    vi.useRealTimers();
    await expect
      .poll(() => denialsOf(tenants))
      .toEqual([
        ['store', 'linear', 'default', 4],
        ['store', 'linear', 'default', 1],
      ]);
  });

  test('a minute without a further refusal ends the group, and the next refusal is logged at once', async () => {
    const { tenants, reader, refuse } = await openWithReader();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await refuse(reader);
    vi.advanceTimersByTime(DENIALS_LOGGED_EVERY_MS);
    await refuse(reader);
    vi.useRealTimers();
    expect((await denialsOf(tenants)).map((denial) => denial.at(-1))).toEqual([1, 1]);
  });

  test('the next allowed write of the caller has its refused ones logged, and that of another caller does not', async () => {
    const { tenants, refuse } = await openWithReader();
    const bound = await tenants.user('local', 'bob', { allowed_services: ['linear'] });
    const other = await tenants.user('local', 'bob');
    for (let attempt = 0; attempt < 3; attempt++) await refuse(bound, 'notion');
    await tenants.vault.store(other, LINEAR);
    expect(await denialsOf(tenants)).toEqual([['store', 'notion', 'default', 1]]);
    await tenants.vault.store(bound, LINEAR);
    await expect
      .poll(() => denialsOf(tenants))
      .toEqual([
        ['store', 'notion', 'default', 2],
        ['store', 'notion', 'default', 1],
      ]);
    await refuse(bound, 'notion');
    expect((await denialsOf(tenants))[0]).toEqual(['store', 'notion', 'default', 1]);
  });

  test('refusals of other services, actions and keys are not counted together', async () => {
    const { tenants, reader, refuse } = await openWithReader();
    const second = await tenants.user('local', 'ann', { scopes: ['credentials:read'] });
    await refuse(reader, 'linear');
    await refuse(reader, 'notion');
    await outcomeOf(tenants.vault.delete(reader, { service_id: 'linear' }));
    await refuse(second, 'linear');
    expect((await denialsOf(tenants)).map((denial) => denial.at(-1))).toEqual([1, 1, 1, 1]);
  });

  test('an entry for refusals in several stacks names none of them', async () => {
    const { tenants, reader, refuse } = await openWithReader();
    const writer = await tenants.user('local', 'ann');
    await tenants.vault.store(writer, { ...LINEAR, stack_id: 'work' });
    for (const stack of ['default', 'work', 'default']) await refuse(reader, 'linear', stack);
    await tenants.vault.close();
    expect(await denialsOf(await openTenants(tenants.home))).toEqual([
      ['store', 'linear', null, 2],
      ['store', 'linear', 'default', 1],
    ]);
  });

  test('of refusals by a process that ends without closing the vault, the log has the first, and is intact', async () => {
    const { tenants, reader, refuse } = await openWithReader();
    for (let attempt = 0; attempt < 10; attempt++) await refuse(reader);
    // Sees what a kill would leave.
    const other = await openTenants(tenants.home);
    expect(await denialsOf(other)).toEqual([['store', 'linear', 'default', 1]]);
    expect((await other.vault.verifyAudit(other.operator())).findings).toEqual([]);
  });
});

describe('the groups of repeated denials', () => {
  const keyring = { id: Buffer.alloc(16) } as OrganizationKeyring;
  const denial = (user: string, service_id = 'linear') =>
    newEntry({ user, edge: 'rest', request_id: 'r' }, 'store', new Date(), {
      service_id,
      outcome: 'denied',
      reason: 'no',
    });

  test('a first denial that cannot be written is rejected, and the next one is written at once', async () => {
    const written: NewAuditEntry[] = [];
    const denials = new RepeatedDenials(async (_, entry) => {
      if (written.push(entry) === 1) throw new Error('disk full');
    });
    await expect(denials.record(keyring, denial('ann'))).rejects.toThrow('disk full');
    await denials.record(keyring, denial('ann'));
    expect(written.map(({ count }) => count)).toEqual([1, 1]);
  });

  test('a number that cannot be written is added to the next one', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const written: (number | null)[] = [];
    const denials = new RepeatedDenials(async (_, { count }) => {
      if (written.push(count) === 2) throw new Error('disk full');
    });
    for (let attempt = 0; attempt < 3; attempt++) await denials.record(keyring, denial('ann'));
    await vi.advanceTimersByTimeAsync(DENIALS_LOGGED_EVERY_MS);
    await denials.record(keyring, denial('ann'));
    await denials.flush();
    expect(written).toEqual([1, 2, 3]);
  });

  test('past the limit of groups, those of the caller with the oldest one are written and forgotten', async () => {
    const written: string[] = [];
    const denials = new RepeatedDenials(async (_, { user, count }) => {
      if (count !== 1) written.push(`${user} ${count}`);
    });
    for (const user of ['ann', 'ann', 'ann', 'bob', 'bob', 'bob'])
      await denials.record(keyring, denial(user));
    for (let at = 0; at < DENIAL_GROUPS_MAX - 2; at++) await denials.record(keyring, denial('eve', `s${at}`));
    expect(written).toEqual([]);
    await denials.record(keyring, denial('eve', 'one more'));
    expect(written).toEqual(['ann 2']);
    await denials.flush();
    expect(written).toEqual(['ann 2', 'bob 2']);
  });
});
