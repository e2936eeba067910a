/** Every operation of the vault with its scope and audit action, and a vault to run them on. */
import { type Caller, SCOPES, type Scope } from '../../../src/contract/caller.ts';
import type { UsableCredential, UseRequest } from '../../../src/vault/uses/use.ts';
import { outcomeOf } from '../outcome.ts';
import { openTenants, type Tenants } from './tenants.ts';

export const LINEAR = { service_id: 'linear' };
const OPENAI = { service_id: 'openai' };
const CONNECTED = { service_id: 'slack' };
export const VALUES = { ...LINEAR, credentials: { linear_api_key: 'v' } };
export const NEW = { ...VALUES, credential_type: 'bearer' } as const;
export const BEARER = { ...LINEAR, credential_type: 'bearer', credential_value: 'v' } as const;

/** The result of a test. */
export const TESTED = {
  at: '2026-01-01T00:00:00Z',
  result: 'valid',
  reason: 'accepted',
  message: 'The service accepts the credential.',
  account: null,
} as const;
export const GET_REQUEST: UseRequest = {
  kind: 'http',
  method: 'GET',
  origin: 'https://api.linear.app',
  path: '/graphql',
  hash: 'of the request',
  summary: 'GET https://api.linear.app/graphql',
};

export interface OperationFixtures {
  readonly tenants: Tenants;
  /** User `ann` of `acme`, with every scope. */
  readonly ann: Caller;
  readonly admin: Caller;
  readonly credential: string;
  readonly key: string;
  /** The nameless credential of Linear in `default`, as `uses.find` returned it. */
  readonly usable: UsableCredential;
  /** Id of a stack of ann that is shared with the unit `default`; there is a unit `sales` too. */
  readonly shared: string;
  /** Id of a request that waits for approval, with the credential of Notion. */
  readonly approval: string;
  /** A handle of ann for the credential of Linear in `default`. */
  readonly handle: string;
  /** Id of an approval that is in force. */
  readonly grant: string;
  /** Id of an access request of ann. */
  readonly access: string;
  /** State of a connection of ann that waits, with the credential of Slack. */
  readonly state: string;
}

/** Creates the stacks `default` and `work` of ann, each with a credential for Linear and Notion. */
export async function createOperationFixtures(): Promise<OperationFixtures> {
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
  const usable = await vault.uses.find(ann, LINEAR);
  const grant = await requestApproval(tenants, ann, { ...GET_REQUEST, hash: 'granted' });
  await vault.approvals.approve(personOf(ann), grant);
  const approval = await requestApproval(tenants, ann, GET_REQUEST);
  const { approval_id: access } = await vault.approvals.access.request(ann, {
    service_id: 'github',
    reason: 'r',
  });
  const admin = await tenants.admin('acme');
  const { stack_id: shared } = await vault.stacks.create(ann, { stack_name: 'Shared' });
  await vault.stack_shares.share(ann, shared, { unit: 'default', role: 'use' });
  await vault.organizations.createUnit(admin, 'sales');
  const { handle } = await vault.handles.create(ann, { ...LINEAR, credential_type: 'bearer' });
  const state = await startConnection(tenants, ann);
  return { tenants, ann, admin, credential: id, key, usable, approval, grant, access, state, shared, handle };
}

async function startConnection({ vault }: Tenants, ann: Caller): Promise<string> {
  await vault.update(ann, { ...CONNECTED, credentials: { slack_client_id: 'v', slack_client_secret: 'v' } });
  const state = 's'.repeat(43);
  const request = { state, code_verifier: null, redirect_uri: 'http://127.0.0.1/callback', scopes: [] };
  const found = await vault.connections.find(ann, CONNECTED, 'authorization_code');
  await vault.connections.create(ann, found, request);
  return state;
}

async function requestApproval({ vault }: Tenants, ann: Caller, request: UseRequest): Promise<string> {
  const notion = { service_id: 'notion' };
  await vault.use_policies.set(ann, { ...notion, use_policy: { approve: 'always' } });
  await outcomeOf(vault.uses.authorize(ann, await vault.uses.find(ann, notion), request));
  const [approval] = await vault.approvals.list(personOf(ann));
  return approval?.id ?? '';
}

/** At the machine of the vault, where only a person acts. */
function personOf(caller: Caller): Caller {
  return { ...caller, edge: 'cli', api_key_id: undefined };
}

export type Operation = (scene: OperationFixtures, caller: Caller) => Promise<unknown>;
export type OperationCase = readonly [
  name: string,
  scope: Scope,
  action: string | null,
  operation: Operation,
];

export const OPERATIONS: readonly OperationCase[] = [
  ['store', 'credentials:write', 'store', ({ tenants: { vault } }, me) => vault.store(me, BEARER)],
  ['update', 'credentials:write', 'update', ({ tenants: { vault } }, me) => vault.update(me, VALUES)],
  [
    'previewDestination',
    'credentials:write',
    'approve_destination',
    // Only a person at the machine of the vault may do it.
    ({ tenants: { vault } }, me) => vault.previewDestination(personOf(me), VALUES),
  ],
  [
    'setProtected',
    'credentials:write',
    'set_protected',
    // Only a person at the machine of the vault may do it.
    ({ tenants: { vault } }, me) =>
      vault.setProtected({ ...me, edge: 'cli', api_key_id: undefined }, LINEAR, true),
  ],
  ['delete', 'credentials:write', 'delete', ({ tenants: { vault } }, me) => vault.delete(me, LINEAR)],
  ['status', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.status(me, LINEAR)],
  [
    'listCredentials',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.listCredentials(me, {}),
  ],
  ['listServices', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.listServices(me, {})],
  ['listAudit', 'audit:read', 'list_audit', ({ tenants: { vault } }, me) => vault.listAudit(me)],
  ['verifyAudit', 'audit:read', 'verify_audit', ({ tenants: { vault } }, me) => vault.verifyAudit(me)],
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
    'credentials.page',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.credentials.page(me, {}, 1),
  ],
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
  ['stacks.names', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.stacks.names(me)],
  ['stacks.get', 'credentials:read', null, ({ tenants: { vault } }, me) => vault.stacks.get(me, 'work')],
  [
    'stacks.requireService',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.stacks.requireService(me, 'work', 'linear'),
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
    'stack_shares.list',
    'credentials:read',
    null,
    ({ tenants: { vault }, shared }, me) => vault.stack_shares.list(me, shared),
  ],
  [
    'stack_shares.share',
    'stacks:write',
    'share_stack',
    ({ tenants: { vault }, shared }, me) =>
      vault.stack_shares.share(me, shared, { user: 'admin', role: 'edit' }),
  ],
  [
    'stack_shares.unshare',
    'stacks:write',
    'unshare_stack',
    ({ tenants: { vault }, shared }, me) => vault.stack_shares.unshare(me, shared, { unit: 'default' }),
  ],
  [
    'api_keys.create',
    'keys:write',
    'create_key',
    ({ tenants: { vault } }, me) => vault.api_keys.create(me, {}),
  ],
  ['api_keys.list', 'keys:write', 'list_keys', ({ tenants: { vault } }, me) => vault.api_keys.list(me)],
  [
    'api_keys.createBootstrapKey',
    'keys:write',
    'create_key',
    ({ tenants: { vault } }, me) => vault.api_keys.createBootstrapKey(me),
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
    'organizations.listUnits',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.organizations.listUnits(me),
  ],
  ['users.list', 'org:admin', 'list_users', ({ tenants: { vault } }, me) => vault.users.list(me)],
  [
    'users.move',
    'org:admin',
    'move_user',
    ({ tenants: { vault } }, me) => vault.users.move(me, 'admin', 'sales'),
  ],
  [
    'users.remove',
    'org:admin',
    'delete_user',
    ({ tenants: { vault } }, me) => vault.users.remove(me, 'admin'),
  ],
  [
    'organizations.createUnit',
    'org:admin',
    'create_unit',
    ({ tenants: { vault } }, me) => vault.organizations.createUnit(me, 'u'),
  ],
  ['uses.find', 'credentials:use', 'use', ({ tenants: { vault } }, me) => vault.uses.find(me, LINEAR)],
  [
    'uses.authorize',
    'credentials:use',
    'use',
    ({ tenants: { vault }, usable }, me) => vault.uses.authorize(me, usable, GET_REQUEST),
  ],
  [
    'uses.begin',
    'credentials:use',
    'use',
    ({ tenants: { vault }, usable }, me) => vault.uses.begin(me, usable, GET_REQUEST),
  ],
  [
    'uses.findings.reject',
    'credentials:use',
    'use',
    ({ tenants: { vault }, usable }, me) => vault.uses.findings.reject(me, usable, 401),
  ],
  [
    'uses.findings.keepTest',
    'credentials:use',
    'use',
    ({ tenants: { vault }, usable }, me) => vault.uses.findings.keepTest(me, usable, { test: TESTED }),
  ],
  [
    'use_policies.set',
    'credentials:write',
    'set_use_policy',
    ({ tenants: { vault } }, me) =>
      vault.use_policies.set(me, { ...LINEAR, use_policy: { methods: ['GET'] } }),
  ],
  [
    'approvals.list',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault } }, me) => vault.approvals.list(personOf(me)),
  ],
  [
    'approvals.get',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault }, approval }, me) => vault.approvals.get(personOf(me), approval),
  ],
  [
    'approvals.approve',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault }, approval }, me) => vault.approvals.approve(personOf(me), approval),
  ],
  [
    'approvals.deny',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault }, approval }, me) => vault.approvals.deny(personOf(me), approval),
  ],
  [
    'handles.create',
    'credentials:write',
    'create_handle',
    ({ tenants: { vault } }, me) => vault.handles.create(me, LINEAR),
  ],
  [
    'handles.status',
    'credentials:read',
    null,
    ({ tenants: { vault }, handle }, me) => vault.handles.status(me, handle),
  ],
  [
    'handles.countPending',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.handles.countPending(me),
  ],
  [
    'handles.open',
    'credentials:write',
    'complete_handle',
    ({ tenants: { vault }, handle }, me) => vault.handles.open(me, handle),
  ],
  [
    'handles.complete',
    'credentials:write',
    'complete_handle',
    ({ tenants: { vault }, handle }, me) => vault.handles.complete(me, handle, { linear_api_key: 'v2' }),
  ],
  [
    'handles.decline',
    'credentials:write',
    'decline_handle',
    ({ tenants: { vault }, handle }, me) => vault.handles.decline(me, handle),
  ],
  [
    'connections.find',
    'credentials:write',
    'start_connection',
    ({ tenants: { vault } }, me) => vault.connections.find(me, CONNECTED, 'authorization_code'),
  ],
  [
    'connections.byState',
    'credentials:write',
    'connect',
    ({ tenants: { vault }, state }, me) => vault.connections.byState(me, state),
  ],
  [
    'connections.assertMayRead',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.connections.assertMayRead(me),
  ],
  [
    'approvals.access.request',
    'credentials:use',
    'request_access',
    ({ tenants: { vault } }, me) => vault.approvals.access.request(me, { ...OPENAI, reason: 'r' }),
  ],
  [
    'approvals.access.statusFor',
    'credentials:read',
    null,
    ({ tenants: { vault } }, me) => vault.approvals.access.statusFor(me, LINEAR),
  ],
  [
    'approvals.accept',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault }, access }, me) => vault.approvals.accept(personOf(me), access),
  ],
  [
    'approvals.listDecided',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault } }, me) => vault.approvals.listDecided(personOf(me), 'all'),
  ],
  [
    'approvals.listRequests',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault } }, me) => vault.approvals.listRequests(personOf(me)),
  ],
  [
    'approvals.listOf',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault } }, me) => vault.approvals.listOf(personOf(me), 'in_force'),
  ],
  [
    'approvals.revoke',
    'approvals:decide',
    'approve_destination',
    ({ tenants: { vault }, grant }, me) => vault.approvals.revoke(personOf(me), grant),
  ],
  [
    'rotations.rotateRoot',
    'org:admin',
    'rotate_root_key',
    ({ tenants: { vault } }, me) => vault.rotations.rotateRoot(me),
  ],
  [
    'rotations.formerRoots',
    'org:admin',
    'rotate_root_key',
    ({ tenants: { vault } }, me) => vault.rotations.formerRoots(me),
  ],
  [
    'rotations.rotateData',
    'org:admin',
    'rotate_data_key',
    ({ tenants: { vault } }, me) => vault.rotations.rotateData(me),
  ],
  [
    'rotations.rotateBox',
    'org:admin',
    'rotate_box_key',
    ({ tenants: { vault } }, me) => vault.rotations.rotateBox(me),
  ],
  [
    'rotations.retireBoxes',
    'org:admin',
    'retire_box_keys',
    ({ tenants: { vault } }, me) => vault.rotations.retireBoxes(me),
  ],
  [
    'rotations.rotateSigning',
    'org:admin',
    'rotate_signing_key',
    ({ tenants: { vault } }, me) => vault.rotations.rotateSigning(me),
  ],
];

/** The newest audit entries with the outcome `denied`. */
export async function listDenials({ tenants, admin }: OperationFixtures) {
  const { entries } = await tenants.vault.listAudit(admin, { outcome: 'denied' });
  return entries.map(({ action, reason, user, fields }) => [action, reason, user, fields.length]);
}
