/**
 * The gate: every operation of the vault, with every scope taken away in turn, and for callers whose key is bound to a
 * stack or to services. What is refused changes nothing, and what was a write is in the log.
 */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES, type Scope } from '../../src/contract/caller.ts';
import { endOf, refusalOf } from '../kit/database.ts';
import { openTenants, outcome, storedRecords, type Tenants, without } from '../kit/tenants.ts';

const LINEAR = { service_id: 'linear' };
const VALUES = { ...LINEAR, credentials: { linear_api_key: 'v' } };
const NEW = { ...VALUES, credential_type: 'bearer' } as const;
const BEARER = { ...LINEAR, credential_type: 'bearer', credential_value: 'v' } as const;

interface Scene {
  readonly tenants: Tenants;
  /** Of the user `ann` of `acme`, with every scope. */
  readonly ann: Caller;
  readonly admin: Caller;
  readonly credential: string;
  readonly key: string;
}

/** The stacks `default` and `work` of ann, each with a credential for Linear and for Notion. */
async function scene(): Promise<Scene> {
  const tenants = await openTenants();
  const { vault } = tenants;
  const ann = await tenants.user('acme', 'ann', { scopes: [...SCOPES] });
  for (const stack_id of ['default', 'work']) {
    for (const service_id of ['linear', 'notion'])
      await vault.store(ann, { ...BEARER, service_id, stack_id });
    await vault.stacks.addService(ann, stack_id, 'linear', null);
  }
  const { id } = await vault.credentials.create(ann, { ...NEW, name: 'main' });
  const { id: key } = await tenants.newKey({ organization: 'acme', user: 'ann' });
  return { tenants, ann, admin: await tenants.admin('acme'), credential: id, key };
}

type Operation = (scene: Scene, caller: Caller) => Promise<unknown>;
type Row = readonly [name: string, scope: Scope, action: string | null, operation: Operation];

const OPERATIONS: readonly Row[] = [
  ['store', 'credentials:write', 'store', ({ tenants: { vault } }, me) => vault.store(me, BEARER)],
  ['update', 'credentials:write', 'update', ({ tenants: { vault } }, me) => vault.update(me, VALUES)],
  ['delete', 'credentials:write', 'delete', ({ tenants: { vault } }, me) => vault.delete(me, LINEAR)],
  ['status', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.status(me, LINEAR)],
  ['statusList', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.statusList(me, {})],
  ['listServices', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.listServices(me, {})],
  ['auditList', 'audit:read', null, ({ tenants: { vault } }, me) => vault.auditList(me)],
  ['auditVerify', 'audit:read', null, ({ tenants: { vault } }, me) => vault.auditVerify(me)],
  [
    'credentials.create',
    'credentials:write',
    'store',
    ({ tenants: { vault } }, me) => vault.credentials.create(me, { ...NEW, name: 'n' }),
  ],
  [
    'credentials.get',
    'credentials:read',
    null,
    ({ tenants: { vault }, credential }, me) => vault.credentials.get(me, credential),
  ],
  ['credentials.list', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.credentials.list(me)],
  [
    'credentials.replace',
    'credentials:write',
    'update',
    ({ tenants: { vault }, credential }, me) =>
      vault.credentials.replace(me, credential, { credential_type: 'bearer', credentials: { x: 'v' } }),
  ],
  [
    'credentials.change',
    'credentials:write',
    'update',
    ({ tenants: { vault }, credential }, me) => vault.credentials.change(me, credential, { inactive: true }),
  ],
  [
    'credentials.delete',
    'credentials:write',
    'delete',
    ({ tenants: { vault }, credential }, me) => vault.credentials.delete(me, credential),
  ],
  [
    'credentials.reveal',
    'values:reveal',
    'reveal',
    ({ tenants: { vault }, credential }, me) => vault.credentials.reveal(me, credential),
  ],
  ['stacks.list', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.stacks.list(me)],
  ['stacks.get', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.stacks.get(me, 'work')],
  [
    'stacks.assertHas',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.stacks.assertHas(me, 'work', 'linear'),
  ],
  [
    'stacks.create',
    'stacks:write',
    'create_stack',
    ({ tenants: { vault } }, me) => vault.stacks.create(me, { stack_name: 's' }),
  ],
  [
    'stacks.update',
    'stacks:write',
    'update_stack',
    ({ tenants: { vault } }, me) => vault.stacks.update(me, 'work', { stack_name: 's' }),
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
    ({ tenants: { vault } }, me) => vault.stacks.setTools(me, 'work', 'linear', ['t']),
  ],
  [
    'stacks.removeService',
    'stacks:write',
    'update_stack',
    ({ tenants: { vault } }, me) => vault.stacks.removeService(me, 'work', 'linear'),
  ],
  [
    'stacks.delete',
    'stacks:write',
    'delete_stack',
    ({ tenants: { vault } }, me) => vault.stacks.delete(me, 'work'),
  ],
  [
    'api_keys.create',
    'keys:write',
    'create_key',
    ({ tenants: { vault } }, me) => vault.api_keys.create(me, {}),
  ],
  ['api_keys.list', 'keys:write', null, ({ tenants: { vault } }, me) => vault.api_keys.list(me)],
  [
    'api_keys.createFirst',
    'keys:write',
    'create_key',
    ({ tenants: { vault } }, me) => vault.api_keys.createFirst(me),
  ],
  [
    'api_keys.rotate',
    'keys:write',
    'rotate_key',
    ({ tenants: { vault }, key }, me) => vault.api_keys.rotate(me, key),
  ],
  [
    'api_keys.revoke',
    'keys:write',
    'revoke_key',
    ({ tenants: { vault }, key }, me) => vault.api_keys.revoke(me, key),
  ],
  [
    'api_keys.listUnits',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.api_keys.listUnits(me),
  ],
  [
    'api_keys.createUnit',
    'org:admin',
    'create_unit',
    ({ tenants: { vault } }, me) => vault.api_keys.createUnit(me, 'u'),
  ],
];

/** The newest entries of refusals, and how many there are of all. */
async function denials({ tenants, admin }: Scene) {
  const { entries } = await tenants.vault.auditList(admin, { outcome: 'denied' });
  return entries.map(({ action, reason, user, fields }) => [action, reason, user, fields.length]);
}

describe('every operation', () => {
  test('of the vault is in the table', async () => {
    const { vault } = await openTenants();
    const methods = (of: object, prefix: string) =>
      Object.getOwnPropertyNames(Object.getPrototypeOf(of))
        .filter((name) => !['constructor', 'publicKey', 'services'].includes(name))
        .map((name) => `${prefix}${name}`);
    const all = [
      ...methods(vault, ''),
      ...methods(vault.credentials, 'credentials.'),
      ...methods(vault.stacks, 'stacks.'),
      ...methods(vault.api_keys, 'api_keys.'),
    ];
    // What concerns no caller: nothing of anybody's is read or written.
    const of_nobody = ['health', 'isReady', 'hasOrganization', 'scrub', 'close', 'api_keys.authenticate'];
    expect(all.filter((name) => !of_nobody.includes(name)).toSorted()).toEqual(
      OPERATIONS.map(([name]) => name).toSorted(),
    );
  });

  test.each(OPERATIONS)(
    '%s needs the scope %s, and is in the log as %s',
    async (_, scope, action, operation) => {
      const at = await scene();
      const before = storedRecords(at.tenants.home);
      const refused_before = (await denials(at)).length;
      const refusal = await refusalOf(operation(at, without(at.ann, scope)));
      expect([refusal.code, refusal.message]).toEqual(['FORBIDDEN', expect.stringContaining(scope)]);
      expect(storedRecords(at.tenants.home)).toEqual(before);
      const refused = await denials(at);
      expect(refused.slice(0, refused.length - refused_before)).toEqual(
        action === null ? [] : [[action, `missing scope ${scope}`, 'ann', 0]],
      );
    },
  );

  test.each(OPERATIONS)('%s needs no scope but %s', async (name, scope, _, operation) => {
    const at = await scene();
    const kept: Scope[] = [scope];
    // Some do several things.
    if (name === 'stacks.removeService' || name === 'stacks.delete') kept.push('credentials:write');
    if (name === 'api_keys.create' || name === 'api_keys.rotate')
      kept.push('credentials:read', 'credentials:write', 'credentials:use', 'stacks:write');
    if (name === 'api_keys.createFirst') return;
    const least = { ...at.ann, scopes: new Set(kept) };
    expect(await outcome(operation(at, least))).toBe('ok');
    expect((await at.tenants.vault.auditVerify(at.admin)).findings).toEqual([]);
  });

  test.each(OPERATIONS)(
    '%s is nothing in an organization that there is not',
    async (_, __, ___, operation) => {
      const at = await scene();
      const before = storedRecords(at.tenants.home);
      expect(await outcome(operation(at, { ...at.ann, organization: 'nowhere' }))).toBe(
        '["NOT_FOUND",null,"No such organization."]',
      );
      expect(storedRecords(at.tenants.home)).toEqual(before);
    },
  );
});

describe('a caller that is bound to a stack', () => {
  const NO_STACK = 'NOT_FOUND stack_missing';
  const elsewhere: readonly Row[] = [
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
      'statusList',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.statusList(me, { stack_id: 'default' }),
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
      'stacks.assertHas',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.stacks.assertHas(me, 'default', 'linear'),
    ],
  ];

  test.each(elsewhere)(
    'finds no other by %s, and a write is in the log',
    async (_, __, action, operation) => {
      const at = await scene();
      const bound = await at.tenants.user('acme', 'ann', { scopes: [...SCOPES], stack_id: 'work' });
      const before = storedRecords(at.tenants.home);
      const refused_before = (await denials(at)).length;
      expect(await endOf(operation(at, bound))).toBe(NO_STACK);
      expect(storedRecords(at.tenants.home)).toEqual(before);
      const refused = (await denials(at)).map(([denied]) => denied);
      expect(refused.slice(0, refused.length - refused_before)).toEqual(action === null ? [] : [action]);
    },
  );

  test('is in that one where it names none, and sees no other in lists', async () => {
    const { tenants, ann, credential } = await scene();
    const { vault } = tenants;
    const bound = await tenants.user('acme', 'ann', { stack_id: 'work' });
    expect((await vault.statusList(bound, {})).credentials).toHaveLength(2);
    await vault.delete(bound, LINEAR);
    expect((await vault.statusList(ann, {})).credentials).toHaveLength(3);
    expect((await vault.statusList(ann, { stack_id: 'work' })).credentials).toHaveLength(1);
    expect((await vault.stacks.list(bound)).map(({ stack_id }) => stack_id)).toEqual(['work']);
    expect((await vault.credentials.list(bound)).map(({ stack_id }) => stack_id)).toEqual(['work']);
    expect(await endOf(vault.credentials.get(bound, credential))).toBe('NOT_FOUND');
    expect(await endOf(vault.stacks.create(bound, { stack_name: 's' }))).toBe('FORBIDDEN');
    const connected = (await vault.listServices(bound, {})).filter((service) => service.connected);
    expect(connected.map(({ service_id }) => service_id)).toEqual(['notion']);
  });
});

describe('a caller that is bound to services', () => {
  const others: readonly Row[] = [
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
      'stacks.assertHas',
      'credentials:read',
      null,
      ({ tenants: { vault } }, me) => vault.stacks.assertHas(me, 'work', 'notion'),
    ],
    [
      'stacks.delete',
      'stacks:write',
      'delete',
      ({ tenants: { vault } }, me) => vault.stacks.delete(me, 'work'),
    ],
  ];

  test.each(others)(
    'may not touch another by %s, and a write is in the log',
    async (_, __, action, operation) => {
      const at = await scene();
      const bound = await at.tenants.user('acme', 'ann', {
        scopes: [...SCOPES],
        allowed_services: ['linear'],
      });
      const before = storedRecords(at.tenants.home);
      const refused_before = (await denials(at)).length;
      expect(await endOf(operation(at, bound))).toBe('FORBIDDEN');
      expect(storedRecords(at.tenants.home)).toEqual(before);
      const refused = (await denials(at)).map(([denied]) => denied);
      expect(refused.slice(0, refused.length - refused_before)).toEqual(action === null ? [] : [action]);
    },
  );

  test('sees no other in lists, finds none by its id, and may be bound to none at all', async () => {
    const { tenants, ann } = await scene();
    const { vault } = tenants;
    const bound = await tenants.user('acme', 'ann', { scopes: [...SCOPES], allowed_services: ['notion'] });
    const [notion] = await vault.credentials.list(ann, { service_id: 'notion' });
    const [linear] = await vault.credentials.list(ann, { service_id: 'linear' });
    expect((await vault.statusList(bound, {})).credentials.map(({ service_id }) => service_id)).toEqual([
      'notion',
    ]);
    expect((await vault.listServices(bound, {})).map(({ service_id }) => service_id)).toEqual(['notion']);
    expect((await vault.credentials.list(bound)).map(({ service_id }) => service_id)).toEqual([
      'notion',
      'notion',
    ]);
    expect(await vault.credentials.list(bound, { service_id: 'linear' })).toEqual([]);
    expect(await endOf(vault.credentials.get(bound, notion?.id ?? ''))).toBe('ok');
    for (const operation of ['get', 'delete', 'reveal'] as const)
      expect(await endOf(vault.credentials[operation](bound, linear?.id ?? ''))).toBe('NOT_FOUND');
    const none = await tenants.user('acme', 'ann', { allowed_services: [] });
    expect((await vault.statusList(none, {})).credentials).toEqual([]);
    expect(await vault.listServices(none, {})).toEqual([]);
    expect(await vault.credentials.list(none)).toEqual([]);
    expect(await endOf(vault.status(none, LINEAR))).toBe('FORBIDDEN');
  });
});
