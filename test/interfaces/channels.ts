/**
 * Every interface to one credential, used as its users do: processes, sockets and four REST dialects. All of them reach
 * the default stack of the same user in one vault.
 */
import { expect } from 'vitest';
import { KeyholdClient } from '../../src/client/index.ts';
import { openVault } from '../../src/index.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { connectClient } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';

export const SERVICE = 'openai';
export const FIELD = 'openai_api_key';

export interface Seen {
  readonly there: boolean;
  /** Changes with every write; `undefined` if the interface does not show it. */
  readonly updated_at?: string | undefined;
}

/** Storing creates or replaces the credential; updating changes an existing one. */
export interface Channel {
  readonly name: string;
  store(value: string): Promise<void>;
  see(): Promise<Seen>;
  update(value: string): Promise<void>;
  remove(): Promise<void>;
}

export interface Channels {
  readonly home: string;
  readonly channels: readonly Channel[];
  close(): Promise<void>;
}

type Json = Readonly<Record<string, unknown>>;

/** `in_this_process` false: without the library, so that a test may open the file itself. */
export async function openChannels({ in_this_process = true } = {}): Promise<Channels> {
  const server = await startServeProcess();
  const { home } = server;
  const rest = requester(server, server.admin_key);
  const me = await rest('GET', '/v1/api-keys');
  const [{ user_id = '', unit_id = '' } = {}] = me.body as readonly { user_id?: string; unit_id?: string }[];
  const stdio = await connectClient('client 2.x, 2026-07-28', home);
  const http = await connectHttpClient('sdk 1.x, 2025-11-25', `${server.url}/mcp`, {
    'X-API-Key': server.admin_key,
  });
  const library = in_this_process ? await openVault({ home }) : undefined;
  const client = new KeyholdClient({ url: server.url, key: server.admin_key });
  return {
    home,
    channels: [
      toolChannel('tool over stdio', (name, input) => stdio.call(name, input)),
      toolChannel('tool over HTTP', (name, input) => http.call(name, input)),
      toolRouterChannel(rest),
      danubeChannel(rest),
      superAiChannel(rest),
      toolzzChannel(rest, user_id, unit_id),
      commandChannel('command line', { KEYHOLD_HOME: home }, []),
      commandChannel('command line with --url', { KEYHOLD_API_KEY: server.admin_key }, ['--url', server.url]),
      ...(library === undefined ? [] : [clientChannel('library', library)]),
      clientChannel('client', client),
    ],
    close: async () => {
      await stdio.close();
      await http.close();
      await library?.close();
      expect((await server.end('SIGTERM')).code).toBe(0);
    },
  };
}

export interface UnitChannels {
  readonly channels: readonly Channel[];
  /** The unit of the user, and the first one of the organization. */
  readonly unit_id: string;
  readonly first_unit_id: string;
  /** Ids and units of the credentials that Toolzz lists in a unit. */
  list(unit_id: string): Promise<readonly (readonly [unknown, unknown])[]>;
}

/** The channels of a user in another unit than the organization's first: those that use an API key. */
export async function openUnitChannels(): Promise<UnitChannels> {
  const server = await startServeProcess();
  const admin = requester(server, server.admin_key);
  await ok(admin('POST', '/v1/units', { name: 'sales' }));
  const { units } = (await ok(admin('GET', '/v1/units'))) as {
    units: readonly { id: string; name: string }[];
  };
  const user = {
    user: 'ana',
    unit: 'sales',
    scopes: ['credentials:read', 'credentials:write', 'stacks:write'],
  };
  const made = (await ok(admin('POST', '/v1/api-keys', user))) as {
    readonly [Fact in 'key' | 'user_id' | 'unit_id']: string;
  };
  const { key, user_id, unit_id } = made;
  const rest = requester(server, key);
  const tools = await connectHttpClient('client 2.x, 2026-07-28', `${server.url}/mcp`, { 'X-API-Key': key });
  return {
    unit_id,
    first_unit_id: units.find(({ name }) => name === 'default')?.id ?? '',
    channels: [
      toolChannel('tool over HTTP', (name, input) => tools.call(name, input)),
      toolRouterChannel(rest),
      danubeChannel(rest),
      superAiChannel(rest),
      toolzzChannel(rest, user_id, unit_id),
      commandChannel('command line with --url', { KEYHOLD_API_KEY: key }, ['--url', server.url]),
      clientChannel('client', new KeyholdClient({ url: server.url, key })),
    ],
    list: async (unit) => {
      const { items } = (await ok(rest('GET', `/api/v1/credential/unity/${unit}`))) as {
        items: readonly Json[];
      };
      return items.map(({ id, unityId }) => [id, unityId]);
    },
  };
}

type Request = (
  method: string,
  path: string,
  body?: unknown,
) => Promise<{ readonly status: number; readonly body: unknown }>;

function requester({ url }: ServeProcess, key: string): Request {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
}

async function ok(response: ReturnType<Request>, status = 200): Promise<unknown> {
  const { status: got, body } = await response;
  expect([got, body]).toEqual([status, body]);
  return body;
}

function seen(status: Json): Seen {
  return { there: status.credential_id !== null, updated_at: status.updated_at as string };
}

function toolChannel(
  name: string,
  call: (
    name: string,
    input: Json,
  ) => Promise<{ readonly structured: Json | undefined; readonly is_error: boolean; readonly text: string }>,
): Channel {
  const done = async (tool: string, input: Json) => {
    const { structured, is_error, text } = await call(tool, { service_id: SERVICE, ...input });
    expect([is_error, text]).toEqual([false, text]);
    return structured ?? {};
  };
  return {
    name,
    store: async (credential_value) =>
      void (await done('store_credential', { credential_type: 'api_key', credential_value })),
    see: async () => seen(await done('get_credential_status', {})),
    update: async (value) => void (await done('update_credentials', { credentials: { [FIELD]: value } })),
    remove: async () => void (await done('delete_credential', {})),
  };
}

function toolRouterChannel(rest: Request): Channel {
  const server = `/v1/stacks/default/servers/${SERVICE}`;
  const put = (value: string) =>
    ok(rest('PUT', `${server}/credentials`, { credentials: { [FIELD]: value } }));
  return {
    name: 'ToolRouter',
    store: async (value) => {
      await rest('POST', '/v1/stacks/default/servers', { server_id: SERVICE, enable_all_tools: true });
      await put(value);
    },
    see: async () => {
      const { status, body } = await rest('GET', `${server}/credentials`);
      if (status === 404) return { there: false };
      return { there: (body as { required_credentials: Json }).required_credentials[FIELD] === 'added' };
    },
    update: async (value) => void (await put(value)),
    remove: async () => void (await ok(rest('DELETE', server))),
  };
}

function danubeChannel(rest: Request): Channel {
  const store = async (credential_value: string) => {
    const body = { service_id: SERVICE, credential_type: 'bearer', credential_value };
    await ok(rest('POST', '/v1/credentials/store', body));
  };
  return {
    name: 'Danube',
    store,
    see: async () => seen((await ok(rest('GET', `/v1/credentials?service_id=${SERVICE}`))) as Json),
    update: store,
    remove: async () => void (await ok(rest('POST', '/v1/credentials/delete', { service_id: SERVICE }))),
  };
}

function superAiChannel(rest: Request): Channel {
  const all = '/integrations/credentials';
  const find = async () => {
    const found = (await ok(rest('GET', `${all}/provider/${SERVICE}`))) as readonly Json[];
    return found.find(({ name }) => name === 'OpenAI');
  };
  const values = (value: string) => ({ credential_type: 'api_key', credentials: { [FIELD]: value } });
  const replace = async (id: unknown, value: string) =>
    void (await ok(rest('PUT', `${all}/${id}`, values(value))));
  return {
    name: 'SuperAI',
    store: async (value) => {
      const there = await find();
      if (there !== undefined) return replace(there.id, value);
      await ok(rest('POST', all, { name: 'OpenAI', provider: SERVICE, ...values(value) }), 201);
    },
    see: async () => {
      const there = await find();
      return { there: there !== undefined, updated_at: there?.updated_at as string | undefined };
    },
    update: async (value) => replace((await find())?.id, value),
    remove: async () => void (await ok(rest('DELETE', `${all}/${(await find())?.id}`), 204)),
  };
}

/** An update of Toolzz carries no value: it renames, moves and switches a credential on and off. */
function toolzzChannel(rest: Request, userId: string, unityId: string): Channel {
  const one = '/api/v1/credential';
  const integration = async () => {
    const services = (await ok(rest('GET', `/v1/services?query=${SERVICE}`))) as {
      services: readonly { service_id: string; id: string }[];
    };
    return services.services.find(({ service_id }) => service_id === SERVICE)?.id;
  };
  const find = async () => {
    const id = await integration();
    const list = (await ok(rest('GET', `${one}/unity/${unityId}`))) as { items: readonly Json[] };
    return list.items.find((item) => item.integrationId === id && item.name === 'OpenAI');
  };
  const remove = async () => void (await ok(rest('DELETE', `${one}/${(await find())?.id}`)));
  return {
    name: 'Toolzz',
    store: async (value) => {
      if ((await find()) !== undefined) await remove();
      const integrationId = await integration();
      const body = { name: 'OpenAI', userId, unityId, integrationId, status: true };
      const made = await rest('POST', one, { ...body, credentials: [{ api_key: value }] });
      expect([made.status < 300, made.body]).toEqual([true, made.body]);
    },
    see: async () => {
      const there = await find();
      return { there: there !== undefined, updated_at: there?.updatedAt as string | undefined };
    },
    update: async () => {
      const there = await find();
      const body = { name: 'OpenAI', userId, unityId, integrationId: await integration(), status: true };
      await ok(rest('PUT', `${one}/${there?.id}`, body));
    },
    remove,
  };
}

function commandChannel(name: string, env: NodeJS.ProcessEnv, options: readonly string[]): Channel {
  const run = async (words: readonly string[], input = '') => {
    const { code, stdout, stderr } = await runProgram([...words, ...options], { env, input });
    expect([code, stderr]).toEqual([0, stderr]);
    return stdout;
  };
  return {
    name,
    store: async (value) => void (await run(['store', SERVICE, '--stdin'], value)),
    see: async () => seen(JSON.parse(await run(['status', SERVICE, '--json'])) as Json),
    update: async (value) => void (await run(['update', SERVICE, FIELD, '--create', '--stdin'], value)),
    remove: async () => void (await run(['delete', SERVICE, '--yes'])),
  };
}

type ClientMethods = Pick<
  KeyholdClient,
  'storeCredential' | 'updateCredentials' | 'getCredentialStatus' | 'deleteCredential'
>;

function clientChannel(name: string, client: ClientMethods): Channel {
  const service_id = SERVICE;
  return {
    name,
    store: async (credential_value) =>
      void (await client.storeCredential({ service_id, credential_type: 'api_key', credential_value })),
    see: async () => {
      const { credential_id, updated_at } = await client.getCredentialStatus({ service_id });
      return { there: credential_id !== null, updated_at: updated_at ?? undefined };
    },
    update: async (value) =>
      void (await client.updateCredentials({ service_id, credentials: { [FIELD]: value } })),
    remove: async () => void (await client.deleteCredential({ service_id })),
  };
}
