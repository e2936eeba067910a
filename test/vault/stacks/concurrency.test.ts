/**
 * Stacks deleted during concurrent writes: no credential remains in a deleted stack, and every acknowledged store is
 * kept or was deleted with an audit entry.
 */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { fullOutcomeOf } from '../../kit/outcome.ts';
import { runSize } from '../../kit/run_size.ts';
import { readRowsOfKind } from '../../kit/vault/database.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const child_processes = useVaultProcesses();
const ROUNDS = runSize({ quick: 6, ci: 8, slow: 300 });
const NO_STACK = 'stack_missing';

const INPUT = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

/** Compares the stored credentials with the acknowledged ones: the ids of all credentials ever stored. */
async function expectNoWriteLost(
  tenants: Tenants,
  caller: Caller,
  stack_id: string,
  stored: readonly string[],
) {
  const { vault } = tenants;
  const there = new Set(
    (await vault.listCredentials(caller, { stack_id }).catch(() => ({ credentials: [] }))).credentials.map(
      ({ credential_id }) => credential_id,
    ),
  );
  const deleted_ids = new Set<string | null>();
  let before: number | null | undefined;
  do {
    const page = await vault.listAudit(caller, { action: 'delete' }, 100, before ?? undefined);
    for (const { credential_id } of page.entries) deleted_ids.add(credential_id);
    before = page.next;
  } while (before !== null);
  expect(stored.filter((id) => !there.has(id) && !deleted_ids.has(id))).toEqual([]);
  expect(await readRowsOfKind(tenants.home, 'credential')).toHaveLength(there.size);
  expect((await vault.verifyAudit(caller)).findings).toEqual([]);
}

const idsOf = (results: readonly unknown[]) =>
  (results as { credential_id: string }[]).map(({ credential_id }) => credential_id);

describe('a stack deleted during concurrent writes', () => {
  test('a stack deleted at any point of concurrent writes in one process loses no acknowledged write', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    for (let round = 0; round < ROUNDS; round++) {
      const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
      const stored: string[] = [];
      const refused: string[] = [];
      const storing = Array.from({ length: 12 }, async (_, at) => {
        for (let tick = 0; tick < at; tick++) await new Promise((resolve) => process.nextTick(resolve));
        await vault.store(ann, { ...INPUT, stack_id, name: `n${at}` }).then(
          ({ credential_id }) => stored.push(credential_id),
          (error: Error & { reason?: string }) => refused.push(error.reason ?? error.message),
        );
      });
      for (let tick = 0; tick < round % 8; tick++) await new Promise((resolve) => process.nextTick(resolve));
      await vault.stacks.delete(ann, stack_id);
      await Promise.all(storing);
      expect(new Set(refused)).toEqual(new Set(refused.length === 0 ? [] : [NO_STACK]));
      expect([round, (await readRowsOfKind(tenants.home, 'credential')).length]).toEqual([round, 0]);
      await expectNoWriteLost(tenants, ann, stack_id, stored);
    }
  });

  test('a stack deleted repeatedly in another process loses no acknowledged write', {
    timeout: 120_000,
  }, async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    const processes = await Promise.all([
      child_processes.open(tenants.home),
      child_processes.open(tenants.home),
    ]);
    for (let round = 0; round < ROUNDS; round++) {
      const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
      const storing = processes.map((process, at) =>
        process.call('store', ann, [{ ...INPUT, stack_id, name: `p${at}-#` }], 10_000),
      );
      await new Promise((resolve) => setTimeout(resolve, 5 + 10 * (round % 4)));
      expect(await fullOutcomeOf(vault.stacks.delete(ann, stack_id))).toBe('ok');
      const results = await Promise.all(storing);
      expect(results.map((result) => 'code' in result && result.reason)).toEqual([NO_STACK, NO_STACK]);
      expect([round, (await readRowsOfKind(tenants.home, 'credential')).length]).toEqual([round, 0]);
      const stored = results.flatMap(({ results }) => idsOf(results));
      await expectNoWriteLost(tenants, ann, stack_id, stored);
    }
  });

  test('a deleted stack that is created again by use has the remaining credentials, and deletions are in the audit log', {
    timeout: 120_000,
  }, async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    const process = await child_processes.open(tenants.home);
    const storing = process.call('store', ann, [{ ...INPUT, stack_id: 'work', name: 'n-#' }], 300);
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await fullOutcomeOf(vault.stacks.delete(ann, 'work'));
    }
    const { results, ...end } = await storing;
    expect([end, results.length]).toEqual([{ number: expect.any(Number) }, 300]);
    // More than one page may be left.
    const left = (await readRowsOfKind(tenants.home, 'credential')).length;
    const listed = await vault.listCredentials(ann, { stack_id: 'work' });
    expect(listed.credentials.length).toBe(Math.min(left, 100));
    expect((await vault.verifyAudit(ann)).credentials).toBe(left);
    await vault.stacks.delete(ann, 'work');
    await expectNoWriteLost(tenants, ann, 'work', idsOf(results));
  });

  test('a stack half deleted by a killed process accepts no credentials, and the next delete completes', {
    timeout: 120_000,
  }, async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    const storing = await child_processes.open(tenants.home);
    for (let round = 0; round < ROUNDS; round++) {
      const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
      const stored = storing.call('store', ann, [{ ...INPUT, stack_id, name: 'n-#' }], 10_000);
      const deleting = await child_processes.open(tenants.home);
      void deleting.call('stacks.delete', ann, [stack_id]);
      await new Promise((resolve) => setTimeout(resolve, 2 * round));
      deleting.kill();
      const end = await fullOutcomeOf(vault.stacks.delete(ann, stack_id));
      expect([round, end === 'ok' || end.includes(NO_STACK)]).toEqual([round, true]);
      const { results, ...result } = await stored;
      expect('code' in result && result.reason).toBe(NO_STACK);
      expect(await readRowsOfKind(tenants.home, 'stack')).toEqual([]);
      await expectNoWriteLost(tenants, ann, stack_id, idsOf(results));
    }
  });

  test('a stack deleted by two callers is deleted once', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    const process = await child_processes.open(tenants.home);
    for (let round = 0; round < ROUNDS; round++) {
      const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
      for (const name of ['a', 'b']) await vault.store(ann, { ...INPUT, stack_id, name });
      const [result, here] = await Promise.all([
        process.call('stacks.delete', ann, [stack_id]),
        fullOutcomeOf(vault.stacks.delete(ann, stack_id)),
      ]);
      const ends = ['code' in result ? result.reason : 'ok', here.includes(NO_STACK) ? NO_STACK : here];
      expect(ends.toSorted()).toEqual(['ok', NO_STACK]);
      expect(await readRowsOfKind(tenants.home, 'credential')).toEqual([]);
    }
    expect((await vault.verifyAudit(ann)).findings).toEqual([]);
  });

  test('a stack renamed and deleted concurrently has no credentials left', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    const process = await child_processes.open(tenants.home);
    for (let round = 0; round < ROUNDS; round++) {
      const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
      await vault.store(ann, { ...INPUT, stack_id });
      const [, here] = await Promise.all([
        process.call('stacks.update', ann, [stack_id, { stack_name: 'n-#' }], 5),
        fullOutcomeOf(vault.stacks.delete(ann, stack_id)),
      ]);
      expect(here).toBe('ok');
      expect(await readRowsOfKind(tenants.home, 'credential')).toEqual([]);
      expect(await readRowsOfKind(tenants.home, 'stack')).toEqual([]);
    }
    expect((await vault.verifyAudit(ann)).findings).toEqual([]);
  });
});

describe('a service removed from a stack during concurrent writes', () => {
  test('removing a service from a stack keeps credentials stored later and deletes none without an audit entry', {
    timeout: 120_000,
  }, async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = tenants.operator();
    const process = await child_processes.open(tenants.home);
    const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
    const storing = process.call('store', ann, [{ ...INPUT, stack_id, name: 'n-#' }], 200);
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await fullOutcomeOf(vault.stacks.removeService(ann, stack_id, 'linear'));
    }
    const { results } = await storing;
    expect(results).toHaveLength(200);
    await fullOutcomeOf(vault.stacks.removeService(ann, stack_id, 'linear'));
    await expectNoWriteLost(tenants, ann, stack_id, idsOf(results));
    expect(await readRowsOfKind(tenants.home, 'credential')).toEqual([]);
  });
});
