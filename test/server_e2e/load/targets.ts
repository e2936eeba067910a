/**
 * The targets of a load: users with their own credentials, each written through one dialect or tool with a number that
 * counts up.
 */
import { type Caller, SCOPES } from '../../../src/contract/caller.ts';
import { newRequestId } from '../../../src/crypto/request_id.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import type { TestRequest } from '../../kit/http/in_process_server.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';
import { toolCall } from '../operations/operations.ts';

/** A record that is written repeatedly, each time with the next number. */
interface Target {
  readonly channel: string;
  readonly write: (number: number) => TestRequest;
  /** The stored number. */
  readonly stored: (vault: Vault) => Promise<number>;
  sent: number;
  acknowledged: number;
}

export interface Writer {
  readonly key: string;
  readonly user: string;
  readonly targets: readonly Target[];
  readonly reads: readonly TestRequest[];
  /** Ids of credentials that were created and still exist, and of those that were deleted. */
  readonly made: Set<string>;
  readonly deleted: Set<string>;
}

/** Opens the vault at `home` in this process, and closes it. */
export async function inVault<Result>(
  home: string,
  act: (tenants: Tenants) => Promise<Result>,
): Promise<Result> {
  const tenants = await openTenants(home);
  try {
    return await act(tenants);
  } finally {
    await tenants.vault.close();
  }
}

export function callerOf(user: string): Caller {
  return {
    organization: 'local',
    user,
    scopes: new Set(SCOPES),
    edge: 'library',
    request_id: newRequestId(),
  };
}

/** Creates `count` users, each with a key and targets. */
export function prepareWriters(home: string, count: number): Promise<Writer[]> {
  return inVault(home, async (tenants) => {
    const writers: Writer[] = [];
    for (let at = 0; at < count; at++) writers.push(await prepareWriter(tenants, `writer-${at}`));
    return writers;
  });
}

export const POSTGRES = { host: 'db', username: 'app', database: 'app' };

async function prepareWriter(tenants: Tenants, user: string): Promise<Writer> {
  const { vault } = tenants;
  const { key, user_id, unit_id } = await tenants.newKey({ user, scopes: SCOPES.slice(0, 4) });
  const caller = callerOf(user);
  await vault.stacks.addService(caller, 'default', 'linear', null);
  const credential = async (name: string) => {
    const values = { ...POSTGRES, password: 'v0' };
    const input = {
      service_id: 'postgresql',
      credential_type: 'user_password' as const,
      credentials: values,
    };
    return (await vault.credentials.create(caller, { ...input, name })).id;
  };
  const replaced = await credential('replaced');
  const renamed = await credential('n0');
  for (const service_id of ['linear', 'openai', 'github', 'anthropic'])
    await vault.store(caller, { service_id, credential_type: 'api_key', credential_value: 'v0' });
  const facts = {
    userId: user_id,
    unityId: unit_id,
    integrationId: vault.services.get('postgresql').id,
    status: true,
  };
  const ids: Ids = { key, user, replaced, renamed, facts };
  return { key, user, targets: targetsOf(ids), reads: readsOf(ids), made: new Set(), deleted: new Set() };
}

interface Ids {
  readonly key: string;
  readonly user: string;
  readonly replaced: string;
  readonly renamed: string;
  readonly facts: object;
}

function targetsOf({ key, user, replaced, renamed, facts }: Ids): Target[] {
  const put = (path: string, body: object): TestRequest => ({ method: 'PUT', path, key, body });
  const one = (service_id: string, number: number) => ({
    service_id,
    credential_type: 'api_key',
    credential_value: `v${number}`,
  });
  const values = (number: number) => ({
    credential_type: 'user_password',
    credentials: { ...POSTGRES, password: `v${number}` },
  });
  const revealed = async (vault: Vault, id: string, field: string) =>
    numberIn((await vault.credentials.reveal(callerOf(user), id)).get(field)?.reveal());
  const ofOneField = (service_id: string, field: string) => async (vault: Vault) => {
    const { credential_id } = await vault.status(callerOf(user), { service_id });
    return revealed(vault, credential_id ?? '', field);
  };
  const linear = (n: number) => ({ credentials: { linear_api_key: `v${n}` } });
  return [
    {
      ...target('ToolRouter', (n) => put('/v1/stacks/default/servers/linear/credentials', linear(n))),
      stored: ofOneField('linear', 'linear_api_key'),
    },
    {
      ...target('Danube', (n) => ({
        method: 'POST',
        path: '/v1/credentials/store',
        key,
        body: one('openai', n),
      })),
      stored: ofOneField('openai', 'openai_api_key'),
    },
    {
      ...target('SuperAI', (n) => put(`/integrations/credentials/${replaced}`, values(n))),
      stored: (vault) => revealed(vault, replaced, 'password'),
    },
    {
      ...target('Toolzz', (n) => put(`/api/v1/credential/${renamed}`, { ...facts, name: `n${n}` })),
      stored: async (vault) => numberIn((await vault.credentials.get(callerOf(user), renamed)).name ?? ''),
    },
    {
      ...target('tool', (n) => toolCall('store_credential', one('github', n), key)),
      stored: ofOneField('github', 'github_token'),
    },
    {
      ...target('Keyhold', (n) => put('/v1/credentials', one('anthropic', n))),
      stored: ofOneField('anthropic', 'anthropic_api_key'),
    },
  ];
}

function target(channel: string, write: Target['write']): Omit<Target, 'stored'> {
  return { channel, write, sent: 0, acknowledged: 0 };
}

function readsOf({ key, replaced, renamed }: Ids): TestRequest[] {
  const get = (path: string): TestRequest => ({ method: 'GET', path, key });
  return [
    get('/v1/stacks/default/servers/linear/credentials'),
    get('/v1/credentials?service_id=openai'),
    get(`/integrations/credentials/${replaced}`),
    get(`/api/v1/credential/${renamed}`),
    get('/v1/me'),
    get('/v1/services?query=linear'),
    get('/healthz'),
    toolCall('get_credential_status', { service_id: 'github' }, key),
    toolCall('list_services', { query: 'github' }, key),
  ];
}

function numberIn(text: string | undefined): number {
  return Number(/^[vn](\d+)$/.exec(text ?? '')?.[1] ?? Number.NaN);
}
