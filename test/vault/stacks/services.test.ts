/** Services of a stack: the added ones, and those with a credential in it. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { flipBit, readRowById, replaceRecords } from '../../kit/vault/database.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

async function ofAnn() {
  const tenants = await openTenants();
  const ann = await tenants.user('acme', 'ann');
  return { tenants, ann, vault: tenants.vault };
}

const put = (vault: Vault, caller: Caller, service_id: string, stack_id = 'default', name?: string) =>
  vault.store(caller, {
    service_id,
    credential_type: 'bearer',
    credential_value: 'v',
    stack_id,
    ...(name === undefined ? {} : { name }),
  });

describe('the services of a stack', () => {
  test('the services of a stack are the added ones, then those that only have a credential', async () => {
    const { ann, vault } = await ofAnn();
    await put(vault, ann, 'openai', 'work', 'only-with-a-name');
    await put(vault, ann, 'linear', 'work');
    await put(vault, ann, 'notion', 'elsewhere');
    await vault.stacks.addService(ann, 'work', 'slack', ['t']);
    const services = [
      { service_id: 'slack', enabled_tools: ['t'] },
      { service_id: 'openai', enabled_tools: null },
      { service_id: 'linear', enabled_tools: null },
    ];
    expect(await vault.stacks.get(ann, 'work')).toMatchObject({ services });
    const [, work, last] = await vault.stacks.list(ann);
    expect([work, last]).toMatchObject([{ services }, { stack_id: 'default', services: [] }]);
    expect(await vault.stacks.update(ann, 'work', { stack_name: 'w' })).toMatchObject({ services });
    // Every operation uses the services that are shown.
    for (const { service_id } of services)
      expect(await outcomeOf(vault.stacks.requireService(ann, 'work', service_id))).toBe('ok');
    const bound = { ...ann, services: new Set(['linear']) };
    expect((await vault.stacks.get(bound, 'work')).services).toEqual([services[2]]);
  });

  test('the services of the default stack are shown before it is stored', async () => {
    const { ann, vault } = await ofAnn();
    await put(vault, ann, 'linear');
    const services = [{ service_id: 'linear', enabled_tools: null }];
    expect(await vault.stacks.get(ann, 'default')).toMatchObject({ services });
    expect(await vault.stacks.list(ann)).toMatchObject([{ stack_id: 'default', services }]);
    await vault.delete(ann, { service_id: 'linear' });
    expect(await vault.stacks.get(ann, 'default')).toMatchObject({ services: [] });
  });

  test('a service that only has a credential can be added with its tools, once', async () => {
    const { ann, vault } = await ofAnn();
    await put(vault, ann, 'linear');
    await vault.stacks.addService(ann, 'default', 'linear', null);
    const { services } = await vault.stacks.get(ann, 'default');
    expect(services).toEqual([{ service_id: 'linear', enabled_tools: null }]);
    expect(await outcomeOf(vault.stacks.addService(ann, 'default', 'linear', []))).toBe(
      'CONFLICT service_in_stack',
    );
    await vault.delete(ann, { service_id: 'linear' });
    expect((await vault.stacks.get(ann, 'default')).services).toEqual(services);
  });

  test('services keep their order when their tools change', async () => {
    const { ann, vault } = await ofAnn();
    for (const service_id of ['linear', 'notion', 'slack'])
      await vault.stacks.addService(ann, 'default', service_id, null);
    await vault.stacks.setTools(ann, 'default', 'notion', ['t']);
    const { services } = await vault.stacks.get(ann, 'default');
    expect(services).toEqual([
      { service_id: 'linear', enabled_tools: null },
      { service_id: 'notion', enabled_tools: ['t'] },
      { service_id: 'slack', enabled_tools: null },
    ]);
  });

  test('services that only have credentials are ordered by their first credential', async () => {
    const { ann, vault } = await ofAnn();
    await put(vault, ann, 'openai');
    await put(vault, ann, 'linear');
    await put(vault, ann, 'openai', 'default', 'second');
    const { services } = await vault.stacks.get(ann, 'default');
    expect(services.map(({ service_id }) => service_id)).toEqual(['openai', 'linear']);
  });

  test('removing a service deletes its unnamed credential, even a damaged one', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const { credential_id } = await put(vault, ann, 'linear');
    await put(vault, ann, 'notion');
    const row = await readRowById(tenants.home, credential_id);
    if (row === undefined) throw new Error('no row');
    await replaceRecords(tenants.home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 99) }]);
    await vault.stacks.removeService(ann, 'default', 'linear');
    expect(await readRowById(tenants.home, credential_id)).toBeUndefined();
    expect((await vault.stacks.get(ann, 'default')).services).toEqual([
      { service_id: 'notion', enabled_tools: null },
    ]);
    const admin = await tenants.admin('acme');
    const { entries } = await vault.listAudit(admin, { action: 'delete' });
    expect(entries).toMatchObject([{ credential_id, stack_id: 'default', user: 'ann' }]);
  });

  test('the services of a stack are shown if a credential is damaged', async () => {
    const { tenants, ann, vault } = await ofAnn();
    const { credential_id } = await put(vault, ann, 'linear');
    await put(vault, ann, 'notion');
    const row = await readRowById(tenants.home, credential_id);
    if (row === undefined) throw new Error('no row');
    await replaceRecords(tenants.home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 99) }]);
    expect((await vault.stacks.get(ann, 'default')).services).toEqual([
      { service_id: 'notion', enabled_tools: null },
      { service_id: 'linear', enabled_tools: null },
    ]);
  });

  test('a service is found in a stack with more credentials than the scan limit', {
    timeout: 120_000,
  }, async () => {
    const { ann, vault } = await ofAnn();
    await put(vault, ann, 'notion');
    for (let at = 0; at < 1_000; at += 500)
      await Promise.all(
        Array.from({ length: 500 }, (_, i) => put(vault, ann, 'linear', 'default', `n${at + i}`)),
      );
    const { services } = await vault.stacks.get(ann, 'default');
    expect(services.map(({ service_id }) => service_id)).toEqual(['linear', 'notion']);
  });
});
