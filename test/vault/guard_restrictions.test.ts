/**
 * The guard for callers restricted to a stack or to services: everything else is NOT_FOUND or refused. A refusal
 * changes nothing, and a refused write has an audit entry.
 */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { outcomeOf } from '../kit/outcome.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import {
  BEARER,
  createOperationFixtures,
  GET_REQUEST,
  LINEAR,
  listDenials,
  NEW,
  type OperationCase,
  type OperationFixtures,
  TESTED,
  VALUES,
} from '../kit/vault/operations.ts';

/** The operations that use a credential, with this one, which another caller has found. */
function usesOf(credential: { readonly service_id: string; readonly stack_id?: string }): OperationCase[] {
  const find = ({ tenants: { vault }, ann }: OperationFixtures) => vault.uses.find(ann, credential);
  const use = ['credentials:use', 'use'] as const;
  return [
    ['uses.find', ...use, ({ tenants: { vault } }, me) => vault.uses.find(me, credential)],
    [
      'uses.authorize',
      ...use,
      async (at, me) => at.tenants.vault.uses.authorize(me, await find(at), GET_REQUEST),
    ],
    ['uses.begin', ...use, async (at, me) => at.tenants.vault.uses.begin(me, await find(at), GET_REQUEST)],
    [
      'uses.findings.reject',
      ...use,
      async (at, me) => at.tenants.vault.uses.findings.reject(me, await find(at), 401),
    ],
    [
      'uses.findings.keepTest',
      ...use,
      async (at, me) => at.tenants.vault.uses.findings.keepTest(me, await find(at), { test: TESTED }),
    ],
    [
      'use_policies.set',
      'credentials:write',
      'set_use_policy',
      ({ tenants: { vault } }, me) =>
        vault.use_policies.set(me, { ...credential, use_policy: { methods: ['GET'] } }),
    ],
  ];
}

describe('a caller restricted to a stack', () => {
  const NO_STACK = 'NOT_FOUND stack_missing';
  const elsewhere: readonly OperationCase[] = [
    [
      'store',
      'credentials:write',
      'store',
      ({ tenants: { vault } }, me) => vault.store(me, { ...BEARER, stack_id: 'default' }),
    ],
    [
      'update',
      'credentials:write',
      'update',
      ({ tenants: { vault } }, me) => vault.update(me, { ...VALUES, stack_id: 'default' }),
    ],
    [
      'delete',
      'credentials:write',
      'delete',
      ({ tenants: { vault } }, me) => vault.delete(me, { ...LINEAR, stack_id: 'default' }),
    ],
    [
      'status',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.status(me, { ...LINEAR, stack_id: 'default' }),
    ],
    [
      'listCredentials',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.listCredentials(me, { stack_id: 'default' }),
    ],
    [
      'listServices',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.listServices(me, { stack_id: 'default' }),
    ],
    [
      'credentials.create',
      'credentials:write',
      'store',
      ({ tenants: { vault } }, me) =>
        vault.credentials.create(me, { ...NEW, name: 'n', stack_id: 'default' }),
    ],
    ['stacks.get', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.stacks.get(me, 'default')],
    [
      'stacks.update',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.update(me, 'default', { stack_name: 's' }),
    ],
    [
      'stacks.addService',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.addService(me, 'default', 'openai', null),
    ],
    [
      'stacks.setTools',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.setTools(me, 'default', 'linear', []),
    ],
    [
      'stacks.removeService',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.removeService(me, 'default', 'linear'),
    ],
    [
      'stacks.delete',
      'stacks:write',
      'delete_stack',
      ({ tenants: { vault } }, me) => vault.stacks.delete(me, 'default'),
    ],
    [
      'stacks.requireService',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.stacks.requireService(me, 'default', 'linear'),
    ],
    ...usesOf({ ...LINEAR, stack_id: 'default' }),
  ];

  test.each(elsewhere)(
    'a caller restricted to a stack gets NOT_FOUND for another stack by %s, and a write is in the audit log',
    async (_, __, action, operation) => {
      const at = await createOperationFixtures();
      const bound = await at.tenants.user('acme', 'ann', { scopes: [...SCOPES], stack_id: 'work' });
      const before = await readStoredRecords(at.tenants.home);
      const refused_before = (await listDenials(at)).length;
      expect(await outcomeOf(operation(at, bound))).toBe(NO_STACK);
      expect(await readStoredRecords(at.tenants.home)).toEqual(before);
      const refused = (await listDenials(at)).map(([denied]) => denied);
      expect(refused.slice(0, refused.length - refused_before)).toEqual(action === null ? [] : [action]);
    },
  );

  test('a caller restricted to a stack uses that stack by default and sees no other in lists', async () => {
    const { tenants, ann, credential } = await createOperationFixtures();
    const { vault } = tenants;
    const bound = await tenants.user('acme', 'ann', { stack_id: 'work' });
    expect((await vault.listCredentials(bound, {})).credentials).toHaveLength(2);
    await vault.delete(bound, LINEAR);
    expect((await vault.listCredentials(ann, {})).credentials).toHaveLength(4);
    expect((await vault.listCredentials(ann, { stack_id: 'work' })).credentials).toHaveLength(1);
    expect((await vault.stacks.list(bound)).map(({ stack_id }) => stack_id)).toEqual(['work']);
    expect((await vault.credentials.list(bound)).map(({ stack_id }) => stack_id)).toEqual(['work']);
    expect(await outcomeOf(vault.credentials.get(bound, credential))).toBe('NOT_FOUND');
    expect(await outcomeOf(vault.stacks.create(bound, { stack_name: 's' }))).toBe('FORBIDDEN');
    const connected = (await vault.listServices(bound, {})).filter((service) => service.connected);
    expect(connected.map(({ service_id }) => service_id)).toEqual(['notion']);
  });
});

describe('a caller restricted to services', () => {
  const others: readonly OperationCase[] = [
    [
      'store',
      'credentials:write',
      'store',
      ({ tenants: { vault } }, me) => vault.store(me, { ...BEARER, service_id: 'notion' }),
    ],
    [
      'store of a new one',
      'credentials:write',
      'store',
      ({ tenants: { vault } }, me) => vault.store(me, { ...BEARER, service_id: 'openai' }),
    ],
    [
      'update',
      'credentials:write',
      'update',
      ({ tenants: { vault } }, me) =>
        vault.update(me, { service_id: 'notion', credentials: { notion_api_key: 'v' } }),
    ],
    [
      'delete',
      'credentials:write',
      'delete',
      ({ tenants: { vault } }, me) => vault.delete(me, { service_id: 'notion' }),
    ],
    [
      'status',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.status(me, { service_id: 'notion' }),
    ],
    [
      'credentials.create',
      'credentials:write',
      'store',
      ({ tenants: { vault } }, me) =>
        vault.credentials.create(me, { ...NEW, service_id: 'notion', name: 'n', credentials: { x: 'v' } }),
    ],
    [
      'stacks.addService',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.addService(me, 'work', 'openai', null),
    ],
    [
      'stacks.setTools',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.setTools(me, 'work', 'notion', []),
    ],
    [
      'stacks.removeService',
      'stacks:write',
      'update_stack',
      ({ tenants: { vault } }, me) => vault.stacks.removeService(me, 'work', 'notion'),
    ],
    [
      'stacks.requireService',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.stacks.requireService(me, 'work', 'notion'),
    ],
    [
      'stacks.delete',
      'stacks:write',
      'delete',
      ({ tenants: { vault } }, me) => vault.stacks.delete(me, 'work'),
    ],
    ...usesOf({ service_id: 'notion' }),
  ];

  test.each(others)(
    'a caller restricted to services is refused another service by %s, and a write is in the audit log',
    async (_, __, action, operation) => {
      const at = await createOperationFixtures();
      const bound = await at.tenants.user('acme', 'ann', {
        scopes: [...SCOPES],
        allowed_services: ['linear'],
      });
      const before = await readStoredRecords(at.tenants.home);
      const refused_before = (await listDenials(at)).length;
      expect(await outcomeOf(operation(at, bound))).toBe('FORBIDDEN');
      expect(await readStoredRecords(at.tenants.home)).toEqual(before);
      const refused = (await listDenials(at)).map(([denied]) => denied);
      expect(refused.slice(0, refused.length - refused_before)).toEqual(action === null ? [] : [action]);
    },
  );

  test('a caller restricted to services sees no other in lists or by id; the restriction may be to no service', async () => {
    const { tenants, ann } = await createOperationFixtures();
    const { vault } = tenants;
    const bound = await tenants.user('acme', 'ann', { scopes: [...SCOPES], allowed_services: ['notion'] });
    const [notion] = await vault.credentials.list(ann, { service_id: 'notion' });
    const [linear] = await vault.credentials.list(ann, { service_id: 'linear' });
    expect((await vault.listCredentials(bound, {})).credentials.map(({ service_id }) => service_id)).toEqual([
      'notion',
    ]);
    expect((await vault.listServices(bound, {})).map(({ service_id }) => service_id)).toEqual(['notion']);
    expect((await vault.credentials.list(bound)).map(({ service_id }) => service_id)).toEqual([
      'notion',
      'notion',
    ]);
    expect(await vault.credentials.list(bound, { service_id: 'linear' })).toEqual([]);
    expect(await outcomeOf(vault.credentials.get(bound, notion?.id ?? ''))).toBe('ok');
    for (const operation of ['get', 'delete', 'reveal'] as const)
      expect(await outcomeOf(vault.credentials[operation](bound, linear?.id ?? ''))).toBe('NOT_FOUND');
    const none = await tenants.user('acme', 'ann', { allowed_services: [] });
    expect((await vault.listCredentials(none, {})).credentials).toEqual([]);
    expect(await vault.listServices(none, {})).toEqual([]);
    expect(await vault.credentials.list(none)).toEqual([]);
    expect(await outcomeOf(vault.status(none, LINEAR))).toBe('FORBIDDEN');
  });
});
