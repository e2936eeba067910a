/** Every operation on a shared stack, for each role, with the expected outcome. */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES } from '../../../src/contract/caller.ts';
import { fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import { GET_REQUEST, TESTED } from '../../kit/vault/operations.ts';
import { countQueries } from '../../kit/vault/query_counter.ts';
import { openTenants, type Tenants, UNKNOWN_ID } from '../../kit/vault/tenants.ts';

const NO_STACK = 'NOT_FOUND stack_missing';
const ROLES = ['none', 'use', 'edit', 'manage', 'owner', 'administrator'] as const;
type Role = (typeof ROLES)[number];

interface Scene {
  readonly tenants: Tenants;
  readonly callers: Readonly<Record<Role, Caller>>;
  readonly stack_id: string;
  readonly credential: string;
}

/** Users of one organization, by the role that they get in each stack of ann. */
async function openScene(): Promise<Scene> {
  const tenants = await openTenants();
  const scopes = SCOPES.filter((scope) => scope !== 'org:admin');
  const user = (name: string) => tenants.user('acme', name, { scopes });
  const callers = {
    none: await user('noel'),
    use: await user('una'),
    edit: await user('ed'),
    manage: await user('max'),
    owner: await user('ann'),
    administrator: await tenants.admin('acme'),
  };
  return addStack({ tenants, callers });
}

/** A new stack of ann with a credential for Linear. The administrator has a share too: others are not visible to it. */
async function addStack({ tenants, callers }: Pick<Scene, 'tenants' | 'callers'>): Promise<Scene> {
  const { stacks, stack_shares } = tenants.vault;
  const { owner } = callers;
  const { stack_id } = await stacks.create(owner, { stack_name: 'Production' });
  const stored = await tenants.vault.store(owner, { ...LINEAR, stack_id });
  await stacks.addService(owner, stack_id, 'linear', null);
  for (const role of ['use', 'edit', 'manage'] as const)
    await stack_shares.share(owner, stack_id, { user: callers[role].user, role });
  await stack_shares.share(owner, stack_id, { user: 'admin', role: 'use' });
  return { tenants, callers, stack_id, credential: stored.credential_id };
}

const LINEAR = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;

type Run = (scene: Scene, me: Caller) => Promise<unknown>;
type Expected = readonly [
  none: string,
  use: string,
  edit: string,
  manage: string,
  owner: string,
  administrator: string,
];
const READ: Expected = [NO_STACK, 'ok', 'ok', 'ok', 'ok', 'ok'];
const EDIT: Expected = [NO_STACK, 'FORBIDDEN', 'ok', 'ok', 'ok', 'ok'];
const MANAGE: Expected = [NO_STACK, 'FORBIDDEN', 'FORBIDDEN', 'ok', 'ok', 'ok'];
const OWN: Expected = [NO_STACK, 'FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN', 'ok', 'ok'];
/** These fail because of the credential, not its stack. */
const ofCredential = ([, ...others]: Expected): Expected => ['NOT_FOUND', ...others];

const usable = ({ tenants: { vault }, callers, stack_id }: Scene) =>
  vault.uses.find(callers.owner, { service_id: 'linear', stack_id });

const OPERATIONS: readonly (readonly [name: string, expected: Expected, run: Run])[] = [
  ['stacks.get', READ, ({ tenants: { vault }, stack_id }, me) => vault.stacks.get(me, stack_id)],
  [
    'status',
    READ,
    ({ tenants: { vault }, stack_id }, me) => vault.status(me, { service_id: 'linear', stack_id }),
  ],
  [
    'listCredentials',
    READ,
    ({ tenants: { vault }, stack_id }, me) => vault.listCredentials(me, { stack_id }),
  ],
  ['listServices', READ, ({ tenants: { vault }, stack_id }, me) => vault.listServices(me, { stack_id })],
  [
    'stacks.requireService',
    READ,
    ({ tenants: { vault }, stack_id }, me) => vault.stacks.requireService(me, stack_id, 'linear'),
  ],
  [
    'uses.find',
    READ,
    ({ tenants: { vault }, stack_id }, me) => vault.uses.find(me, { service_id: 'linear', stack_id }),
  ],
  [
    'uses.authorize',
    READ,
    async (at, me) => at.tenants.vault.uses.authorize(me, await usable(at), GET_REQUEST),
  ],
  ['uses.begin', READ, async (at, me) => at.tenants.vault.uses.begin(me, await usable(at), GET_REQUEST)],
  [
    'uses.findings.reject',
    READ,
    async (at, me) => at.tenants.vault.uses.findings.reject(me, { ...(await usable(at)), revision: 0 }, 401),
  ],
  [
    'uses.findings.keepTest',
    READ,
    async (at, me) => at.tenants.vault.uses.findings.keepTest(me, await usable(at), { test: TESTED }),
  ],
  [
    'credentials.get',
    ofCredential(READ),
    ({ tenants: { vault }, credential }, me) => vault.credentials.get(me, credential),
  ],
  ['store', EDIT, ({ tenants: { vault }, stack_id }, me) => vault.store(me, { ...LINEAR, stack_id })],
  [
    'store of a new service',
    EDIT,
    ({ tenants: { vault }, stack_id }, me) => vault.store(me, { ...LINEAR, service_id: 'notion', stack_id }),
  ],
  [
    'update',
    EDIT,
    ({ tenants: { vault }, stack_id }, me) =>
      vault.update(me, { service_id: 'linear', credentials: { linear_api_key: 'w' }, stack_id }),
  ],
  [
    'update in the stack',
    EDIT,
    ({ tenants: { vault }, stack_id }, me) =>
      vault.update(
        me,
        { service_id: 'linear', credentials: { linear_api_key: 'w' }, stack_id },
        { require_service_in_stack: true },
      ),
  ],
  [
    'use_policies.set',
    ofCredential(EDIT),
    ({ tenants: { vault }, stack_id }, me) =>
      vault.use_policies.set(me, { service_id: 'linear', stack_id, use_policy: {} }),
  ],
  [
    'credentials.create',
    EDIT,
    ({ tenants: { vault }, stack_id }, me) =>
      vault.credentials.create(me, {
        service_id: 'linear',
        credential_type: 'bearer',
        credentials: { linear_api_key: 'v' },
        name: `of ${me.user}`,
        stack_id,
      }),
  ],
  [
    'credentials.replace',
    ofCredential(EDIT),
    ({ tenants: { vault }, credential }, me) =>
      vault.credentials.replace(me, credential, {
        credential_type: 'bearer',
        credentials: { linear_api_key: 'x' },
      }),
  ],
  [
    'credentials.change',
    ofCredential(EDIT),
    ({ tenants: { vault }, credential }, me) => vault.credentials.change(me, credential, { inactive: false }),
  ],
  [
    'stacks.setTools',
    EDIT,
    ({ tenants: { vault }, stack_id }, me) => vault.stacks.setTools(me, stack_id, 'linear', ['t']),
  ],
  [
    'stacks.update',
    MANAGE,
    ({ tenants: { vault }, stack_id }, me) => vault.stacks.update(me, stack_id, { stack_name: 'Staging' }),
  ],
  [
    'stack_shares.list',
    MANAGE,
    ({ tenants: { vault }, stack_id }, me) => vault.stack_shares.list(me, stack_id),
  ],
  [
    'stack_shares.share',
    MANAGE,
    ({ tenants: { vault }, stack_id }, me) =>
      vault.stack_shares.share(me, stack_id, { unit: 'default', role: 'use' }),
  ],
];

/** Each of these deletes something, so that it runs on a new stack. */
const ENDINGS: readonly (readonly [name: string, expected: Expected, run: Run])[] = [
  [
    'delete',
    ofCredential(EDIT),
    ({ tenants: { vault }, stack_id }, me) => vault.delete(me, { service_id: 'linear', stack_id }),
  ],
  [
    'credentials.delete',
    ofCredential(EDIT),
    ({ tenants: { vault }, credential }, me) => vault.credentials.delete(me, credential),
  ],
  [
    'stacks.removeService',
    EDIT,
    ({ tenants: { vault }, stack_id }, me) => vault.stacks.removeService(me, stack_id, 'linear'),
  ],
  [
    'stack_shares.unshare of another user',
    MANAGE,
    ({ tenants: { vault }, stack_id }, me) =>
      vault.stack_shares.unshare(me, stack_id, { user: me.user === 'una' ? 'ed' : 'una' }),
  ],
  ['stacks.delete', OWN, ({ tenants: { vault }, stack_id }, me) => vault.stacks.delete(me, stack_id)],
];

describe('operations on a shared stack', () => {
  test('each role allows exactly its operations', { timeout: 60_000 }, async () => {
    const scene = await openScene();
    for (const [name, expected, run] of OPERATIONS) {
      const outcomes: string[] = [];
      // None of these operations changes what another one decides on.
      for (const role of ROLES) outcomes.push(await outcomeOf(run(scene, scene.callers[role])));
      expect([name, ...outcomes]).toEqual([name, ...expected]);
    }
  });

  test('each role allows exactly the operations that end something', { timeout: 60_000 }, async () => {
    const scene = await openScene();
    for (const [name, expected, run] of ENDINGS) {
      const outcomes: string[] = [];
      for (const role of ROLES) {
        const own = await addStack(scene);
        outcomes.push(await outcomeOf(run(own, own.callers[role])));
      }
      expect([name, ...outcomes]).toEqual([name, ...expected]);
    }
  });

  test('a stack without a share is reported and looked up like one that does not exist', {
    timeout: 60_000,
  }, async () => {
    const scene = await openScene();
    const { none } = scene.callers;
    const unknown = { ...scene, stack_id: `stack_${UNKNOWN_ID}`, credential: UNKNOWN_ID };
    const queries = countQueries();
    const attempt = async (at: Scene, run: Run) => {
      queries();
      return [await fullOutcomeOf(run(at, none)), queries().reads];
    };
    for (const [name, , run] of [...OPERATIONS, ...ENDINGS].filter(
      ([name]) => !/authorize|begin|findings/.test(name),
    )) {
      // The first requests fill the cache of rows.
      for (const at of [scene, unknown, scene, unknown]) await outcomeOf(run(at, none));
      expect([name, ...(await attempt(scene, run))]).toEqual([name, ...(await attempt(unknown, run))]);
    }
  });

  test('no role reveals a value, and the owner still can', async () => {
    const { tenants, callers, credential } = await openScene();
    const outcomes: string[] = [];
    for (const role of ROLES)
      outcomes.push(await outcomeOf(tenants.vault.credentials.reveal(callers[role], credential)));
    // An administrator with values:reveal can reveal what any user owns, shared or not.
    expect(outcomes).toEqual(['NOT_FOUND', 'FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN', 'ok', 'ok']);
  });
});
