/** The guard decides on what a request names, whether or not it is defined, and logs only what exists. */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES } from '../../src/contract/caller.ts';
import { outcomeOf } from '../kit/outcome.ts';
import { customService } from '../kit/vault/custom_service.ts';
import { readCredentialRows } from '../kit/vault/database.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { openTenants, type Tenants } from '../kit/vault/tenants.ts';

const ACME = { service_id: 'acme', credential_type: 'api_key', credential_value: 'v' } as const;

describe('a key that is restricted to a stack and services', () => {
  test.each([
    ['its stack', { stack_id: 'sandbox' }, 'NOT_FOUND stack_missing'],
    ['its services', { allowed_services: ['linear'] }, 'FORBIDDEN'],
  ])('deletes nothing past %s after the definition of a service was removed', async (_, limits, refusal) => {
    const home = temporaryFolder();
    const service = customService(home);
    service.define();
    const first = await openTenants(home);
    const ann = await first.user('acme', 'ann', { scopes: [...SCOPES] });
    await first.vault.store(ann, { ...ACME, stack_id: 'prod' });
    const bound = await first.user('acme', 'ann', limits);
    await first.vault.close();
    service.remove();
    const { vault } = await openTenants(home);
    const target = { service_id: 'acme', stack_id: 'prod' };
    expect(await outcomeOf(vault.delete(bound, target))).toBe(refusal);
    expect(await readCredentialRows(home)).toHaveLength(1);
    const { entries } = await vault.listAudit(ann, { outcome: 'denied' });
    expect(entries.map(({ action, service_id, stack_id }) => [action, service_id, stack_id])).toEqual([
      ['delete', 'acme', 'prod'],
    ]);
    expect(await outcomeOf(vault.delete(ann, target))).toBe('ok');
  });

  test('a key for some services cannot delete a stack with settings of another service', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann', { scopes: [...SCOPES] });
    const { stack_id } = await vault.stacks.create(ann, { stack_name: 's' });
    for (const stack of [stack_id, 'default']) {
      await vault.stacks.addService(ann, stack, 'github', ['read_issue']);
      await vault.stacks.addService(ann, stack, 'linear', null);
    }
    const bound = await tenants.user('acme', 'ann', { allowed_services: ['linear'], scopes: [...SCOPES] });
    for (const stack of [stack_id, 'default']) {
      expect(await outcomeOf(vault.stacks.delete(bound, stack))).toBe('FORBIDDEN');
      expect((await vault.stacks.get(ann, stack)).services).toHaveLength(2);
      await vault.stacks.removeService(ann, stack, 'github');
      expect(await outcomeOf(vault.stacks.delete(bound, stack))).toBe('ok');
    }
    const { entries } = await vault.listAudit(ann, { outcome: 'denied' });
    expect(entries.map(({ action, reason }) => [action, reason])).toEqual([
      ['delete_stack', 'service not allowed'],
      ['delete_stack', 'service not allowed'],
    ]);
  });
});

describe('the audit entry of a refused request', () => {
  test.each<readonly [string, (at: Tenants, me: Caller) => Promise<unknown>]>([
    [
      'store',
      ({ vault }, me) => vault.store(me, { ...ACME, service_id: 'linear', stack_id: 'stack_canary' }),
    ],
    [
      'update',
      ({ vault }, me) =>
        vault.update(me, {
          service_id: 'linear',
          credentials: { linear_api_key: 'v' },
          stack_id: 'stack_canary',
          name: 'canary',
        }),
    ],
    [
      'delete',
      ({ vault }, me) => vault.delete(me, { service_id: 'linear', stack_id: 'canary', name: 'canary' }),
    ],
    [
      'delete in the stack default',
      ({ vault }, me) => vault.delete(me, { service_id: 'linear', name: 'canary' }),
    ],
    ['stacks.update', ({ vault }, me) => vault.stacks.update(me, 'stack_canary', { stack_name: 'canary' })],
    ['stacks.addService', ({ vault }, me) => vault.stacks.addService(me, 'canary', 'linear', null)],
    ['stacks.delete', ({ vault }, me) => vault.stacks.delete(me, 'canary')],
  ])('%s of a stack and name that do not exist logs neither', async (_, operation) => {
    const tenants = await openTenants();
    const ann = await tenants.user('acme', 'ann', { scopes: [...SCOPES] });
    expect(await outcomeOf(operation(tenants, ann))).toMatch(/^NOT_FOUND/);
    const { entries } = await tenants.vault.listAudit(ann, { outcome: 'denied' });
    expect(entries).toHaveLength(1);
    expect(JSON.stringify(entries)).not.toContain('canary');
  });

  test('a refused request for a credential that exists logs its stack and name', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const ann = await tenants.user('acme', 'ann', { scopes: [...SCOPES] });
    await vault.store(ann, { ...ACME, service_id: 'linear', stack_id: 'work', name: 'main' });
    const reader = await tenants.user('acme', 'ann', { scopes: ['credentials:read'] });
    await outcomeOf(vault.delete(reader, { service_id: 'linear', stack_id: 'work', name: 'main' }));
    const second = await tenants.user('acme', 'ann', { scopes: ['credentials:read'] });
    await outcomeOf(vault.delete(second, { service_id: 'linear', stack_id: 'work', name: 'other' }));
    const { entries } = await vault.listAudit(ann, { outcome: 'denied' });
    expect(entries.map(({ service_id, stack_id, name }) => [service_id, stack_id, name])).toEqual([
      ['linear', 'work', null],
      ['linear', 'work', 'main'],
    ]);
  });
});
