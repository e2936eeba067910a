/** Fixtures of a server under test: people with API keys, and one record of every kind for each person. */
import type { CreateKeyInput, NewApiKey } from '../../src/contract/api_key.ts';
import { type Caller, SCOPES } from '../../src/contract/caller.ts';
import { newRequestId } from '../../src/crypto/request_id.ts';
import type { Vault } from '../../src/vault/vault.ts';
import type { Tenants } from '../kit/vault/tenants.ts';

/** An id of every kind, and the other parts of a request. */
export interface Fixtures {
  readonly organization: string;
  readonly user: string;
  readonly user_id: string;
  readonly unit_id: string;
  readonly stack_id: string;
  /** A PostgreSQL credential in that stack. */
  readonly credential_id: string;
  readonly secret_id: string;
  readonly key_id: string;
  /** An access request that waits for a decision. */
  readonly approval_id: string;
  /** A handle that waits for values. */
  readonly handle: string;
  readonly integration_id: string;
  /** A name that is not used yet. */
  readonly name: string;
  /** The value that is stored. */
  readonly value: string;
}
export type Slot = Exclude<keyof Fixtures, 'name' | 'value' | 'integration_id'>;
/** Parts of a request that belong to a user or organization. */
export const SLOTS: readonly Slot[] = [
  'organization',
  'user',
  'user_id',
  'unit_id',
  'stack_id',
  'credential_id',
  'secret_id',
  'key_id',
  'approval_id',
  'handle',
];

export interface Person {
  /** The text of an API key with the requested scopes. */
  readonly key: string;
  readonly made: NewApiKey;
}

/** All scopes but `org:admin`. */
export const MEMBER_SCOPES = SCOPES.filter((scope) => scope !== 'org:admin');

interface HasTenants {
  readonly tenants: Pick<Tenants, 'vault' | 'newKey'>;
}

/** Creates a key, and its user and organization if they are new. */
export async function person({ tenants }: HasTenants, input: CreateKeyInput): Promise<Person> {
  const made = await tenants.newKey({ scopes: [...MEMBER_SCOPES], ...input });
  return { key: made.key, made };
}

let names = 0;

/** A caller with the person's user, all member scopes and no restrictions. */
export function memberOf({ organization, user }: NewApiKey): Caller {
  return { organization, user, scopes: new Set(MEMBER_SCOPES), edge: 'library', request_id: newRequestId() };
}

/** Creates one record of every kind for a person, regardless of the restrictions of its key. */
export async function fixturesOf(
  { tenants: { vault } }: HasTenants,
  { made }: Person,
  value = `value-${newRequestId()}`,
): Promise<Fixtures> {
  const caller = memberOf(made);
  const { stack_id } = await vault.stacks.create(caller, { stack_name: 'Production' });
  await vault.stacks.addService(caller, stack_id, 'linear', null);
  await vault.update(caller, { service_id: 'linear', stack_id, credentials: { linear_api_key: value } });
  const { id } = await vault.credentials.create(caller, {
    service_id: 'postgresql',
    credential_type: 'user_password',
    credentials: { host: 'db', username: 'app', password: value, database: 'app' },
    stack_id,
    name: `n${++names}`,
  });
  // A user has at most 50 keys: the fixtures of a person share one until a test revokes it.
  const { keys } = await vault.api_keys.list(caller);
  const shared = keys.find(({ name }) => name === 'shared');
  const other_key =
    shared ?? (await vault.api_keys.create(caller, { name: 'shared', scopes: ['keys:write'] }));
  return {
    organization: made.organization,
    user: made.user,
    user_id: made.user_id,
    unit_id: made.unit_id,
    stack_id,
    credential_id: id,
    secret_id: id,
    key_id: other_key.id,
    ...(await waitingFor(vault, caller)),
    integration_id: vault.services.get('postgresql').id,
    name: `n${++names}`,
    value,
  };
}

type Waiting = Pick<Fixtures, 'approval_id' | 'handle'>;
const waiting_by_user = new WeakMap<Vault, Map<string, Waiting>>();

/** A user has a limited number that wait: the fixtures of a person share one until a test ends it. */
async function waitingFor(vault: Vault, caller: Caller): Promise<Waiting> {
  const by_user = waiting_by_user.get(vault) ?? new Map<string, Waiting>();
  waiting_by_user.set(vault, by_user);
  const user = `${caller.organization}/${caller.user}`;
  const known = by_user.get(user);
  const person = { ...caller, edge: 'web', is_person: true } as const;
  const has_approval =
    known !== undefined && (await vault.approvals.get(person, known.approval_id)).state === 'pending';
  const has_handle =
    known !== undefined && (await vault.handles.status(caller, known.handle)).state === 'pending';
  const request = { service_id: 'github', name: `n${++names}` };
  const approval_id = has_approval
    ? known.approval_id
    : (await vault.approvals.access.request(caller, { ...request, reason: 'r' })).approval_id;
  const handle = has_handle ? known.handle : (await vault.handles.create(caller, request)).handle;
  by_user.set(user, { approval_id, handle });
  return { approval_id, handle };
}

let unknown = 0;

/** Well-formed ids of records that do not exist. */
export function unknownFixtures(like: Fixtures): Fixtures {
  const id = () => `0194f3a0-0000-7000-8000-${String(++unknown).padStart(12, '0')}`;
  const credential_id = id();
  return {
    ...like,
    organization: 'no-such-organization',
    user: 'no-such-user',
    user_id: id(),
    unit_id: id(),
    stack_id: `stack_${id()}`,
    credential_id,
    secret_id: credential_id,
    key_id: id(),
    approval_id: id(),
    handle: `unknown-handle-${String(unknown).padStart(7, '0')}`,
  };
}
