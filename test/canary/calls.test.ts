/**
 * Uses a stored canary in calls and commands. The service returns it in every encoding, content coding and header, with
 * success and failure. Only the service may receive it: results, logs, files, processes, resolved names and other hosts
 * must not contain it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Canary, findCanary, findCanaryInFiles, newCanary, processesWithCanary } from '../kit/canary.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import {
  ECHO_CODINGS,
  ECHO_ENCODINGS,
  type EchoEncoding,
  echo,
  falselyEncoded,
  redirect,
  respondJson,
  truncated,
} from '../kit/upstream/handlers.ts';
import { type Handler, startUpstream, type Upstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { RawServer } from '../mcp/raw_server.ts';
import { definitionOf } from '../use/call/call_kit.ts';

const HOSTS = { header: 'header.acme.test', basic: 'basic.acme.test', query: 'query.acme.test' } as const;
const OTHER_HOST = 'other.test';
/** Keyhold's own listener resolves its address. */
const LISTEN_ADDRESS = '127.0.0.1';
const SERVICES = Object.keys(HOSTS) as readonly (keyof typeof HOSTS)[];
const TIMEOUT_MS = 180_000;

/** Responds with the status, failure or encoding in the query of the request. */
const upstreamHandler: Handler = (request, response) => {
  const query = new URL(request.path, 'https://host').searchParams;
  const encoding = (query.get('encoding') ?? 'raw') as EchoEncoding;
  const coding = query.get('coding') ?? undefined;
  const status = Number(query.get('status') ?? 200);
  if (query.get('echo') === 'json')
    return respondJson({ headers: request.headers, path: request.path })(request, response);
  switch (query.get('fail')) {
    case 'truncated':
      return truncated(JSON.stringify(request.headers))(request, response);
    case 'coding':
      return falselyEncoded('gzip', JSON.stringify(request.headers))(request, response);
    case 'closed':
      return void response.destroy();
    case 'redirect':
      return redirect(
        `https://${OTHER_HOST}/?${encodeURIComponent(request.headers.authorization ?? request.path)}`,
      )(request, response);
    default: {
      response.setHeader('etag', String(request.headers.authorization ?? request.path));
      const chunk_bytes = coding === undefined ? 7 : undefined;
      return echo({ encoding, status, ...(coding && { coding }), ...(chunk_bytes && { chunk_bytes }) })(
        request,
        response,
      );
    }
  }
};

/** The account that the response names is the credential. */
const TEST_REQUEST = {
  method: 'GET',
  path: '/a?echo=json',
  accept: [{ status: [200] }],
  reject: [{ status: [401] }],
  identity: { name: '/headers/authorization', id: '/path' },
} as const;

interface Call {
  readonly service_id: string;
  readonly path: string;
  readonly [name: string]: unknown;
}

/** The rejections come last: after a 401 the credential is not used. */
function callsOf(service_id: string): readonly Call[] {
  const queries = [
    ...ECHO_ENCODINGS.map((encoding) => `encoding=${encoding}`),
    ...ECHO_CODINGS.filter((coding) => coding !== 'zstd').map((coding) => `coding=${coding}`),
    ...[403, 404, 422, 429, 500].map((status) => `status=${status}`),
    ...['truncated', 'coding', 'closed', 'redirect'].map((fail) => `fail=${fail}`),
    'status=401',
  ];
  return queries.map((query) => ({ service_id, path: `/a?${query}` }));
}

interface Setup {
  readonly canary: Canary;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly upstream: Upstream;
  readonly other: Upstream;
  readonly key: string;
  readonly lookups: () => string;
}

/** The vault has a credential for each service; the header takes ASCII only. */
async function open(): Promise<Setup> {
  const canary = newCanary();
  const upstream = await startUpstream(Object.values(HOSTS), upstreamHandler);
  const other = await startUpstream([OTHER_HOST], echo());
  const home = temporaryFolder();
  const injections = {
    header: { in: 'header', headers: { Authorization: 'Bearer {token}' } },
    basic: { in: 'basic', username: 'ann', password: '{token}' },
    query: { in: 'query', query: { key: '{token}' } },
  } as const;
  mkdirSync(join(home, 'services'), { recursive: true });
  for (const id of SERVICES) {
    const own = {
      slug: id,
      name: `Acme by ${id}`,
      hosts: [HOSTS[id]],
      base_url: `https://${HOSTS[id]}`,
      test: TEST_REQUEST,
    };
    const definition = definitionOf(injections[id], own) as { fields: object[] };
    const fields = definition.fields.map((field) => ({ ...field, env: [`CANARY_${id.toUpperCase()}`] }));
    writeFileSync(join(home, 'services', `${id}.json`), JSON.stringify({ ...definition, fields }));
  }
  const { vault, caller } = await openTestVault(home);
  for (const service_id of SERVICES) {
    const token = service_id === 'header' ? canary.word : canary.value;
    await vault.update(caller(), { service_id, credentials: { token } });
  }
  const { key } = await vault.api_keys.create({ ...caller(), edge: 'cli' }, {});
  await vault.close();
  const folder = temporaryFolder();
  const env = { ...upstreamEnv(folder), KEYHOLD_LOG: 'debug' };
  const lookups = () => readFileSync(join(folder, 'upstream_lookups.txt'), 'utf8');
  return { canary, home, env, upstream, other, key, lookups };
}

/** The service received the value, and nothing else contains it. */
async function expectOnlyUpstream({ canary, home, upstream, other, lookups, env }: Setup): Promise<void> {
  for (const service_id of SERVICES) {
    const received = upstream.requests.filter(({ headers }) => headers.host === HOSTS[service_id]);
    expect(received.length, service_id).toBeGreaterThan(0);
    for (const { headers, path } of received) {
      const [, pair = ''] = /^Basic (.*)$/.exec(headers.authorization ?? '') ?? [];
      const sent = `${headers.authorization} ${Buffer.from(pair, 'base64')} ${path}`;
      expect(findCanary(sent, canary), service_id).not.toStrictEqual([]);
    }
  }
  expect([other.connections(), other.requests]).toStrictEqual([0, []]);
  const names = new Set(lookups().trim().split('\n'));
  const expected: readonly string[] = [...Object.values(HOSTS), LISTEN_ADDRESS];
  expect([...names].filter((name) => !expected.includes(name))).toStrictEqual([]);
  expect(findCanaryInFiles(home, canary)).toStrictEqual([]);
  expect(processesWithCanary(canary)).toStrictEqual([]);
  const args = ['audit', 'list', '--limit', '100', '--json'];
  const audit = await runProgram(args, { env: { ...env, KEYHOLD_HOME: home } });
  expect(audit.code, audit.stderr).toBe(0);
  expect(findCanary(audit.stdout + audit.stderr, canary)).toStrictEqual([]);
}

/** Searches the files in /proc that processes of the same user can read. */
function expectCleanProcess(pid: number, canary: Canary): void {
  if (process.platform !== 'linux') return;
  for (const file of ['cmdline', 'environ', 'comm'])
    expect(findCanary(readFileSync(`/proc/${pid}/${file}`), canary), file).toStrictEqual([]);
}

test(
  'call_service sends a value to its service only, whatever the service returns',
  async () => {
    const setup = await open();
    const { canary, home, env } = setup;
    const server = new RawServer(home, '2025-11-25', env);
    await server.open();
    for (const service_id of SERVICES) {
      const { result } = await server.call('test_credential', { service_id });
      expect(result?.structuredContent).toMatchObject({ result: 'valid' });
      expect(findCanary(JSON.stringify(result), canary)).toStrictEqual([]);
    }
    const tested = await runProgram(['test', '--all', '--json'], { env: { ...env, KEYHOLD_HOME: home } });
    expect(JSON.parse(tested.stdout)).toHaveLength(SERVICES.length);
    expect(findCanary(tested.stdout + tested.stderr, canary)).toStrictEqual([]);
    const results = new Map<string, number>();
    for (const call of SERVICES.flatMap(callsOf)) {
      const variants = call.path.endsWith('401') ? [{}] : [{}, { max_chars: 200 }, { dry_run: true }];
      for (const options of variants) {
        const { result } = await server.call('call_service', { ...call, ...options });
        const label = JSON.stringify([call, options, result]);
        expect(findCanary(JSON.stringify(result), canary), label).toStrictEqual([]);
        const kind = result?.isError === true ? 'error' : 'result';
        results.set(kind, (results.get(kind) ?? 0) + 1);
        await readOn(server, call, result, canary);
      }
    }
    expect(results.get('error')).toBeGreaterThan(0);
    expect(results.get('result')).toBeGreaterThan(50);
    expectCleanProcess(server.child.pid ?? 0, canary);
    await server.end();
    server.messages();
    server.logLines();
    expect(findCanary(server.stdout, canary)).toStrictEqual([]);
    expect(findCanary(server.stderr, canary)).toStrictEqual([]);
    await expectOnlyUpstream(setup);
  },
  TIMEOUT_MS,
);

/** Every part of a stored response, joined: a value must not come back in two halves. */
async function readOn(
  server: RawServer,
  { service_id }: Call,
  result: Awaited<ReturnType<RawServer['call']>>['result'],
  canary: Canary,
): Promise<void> {
  type Page = { body?: unknown; truncated?: { response_id: string; next_offset: number | null } };
  let page = result?.structuredContent as Page | undefined;
  const bodies = [String(page?.body)];
  while (page?.truncated !== undefined && page.truncated.next_offset !== null) {
    const { response_id, next_offset } = page.truncated;
    const input = { service_id, response_id, offset: next_offset, max_chars: 2_000 };
    const next = await server.call('call_service', input);
    expect(next.result?.isError, JSON.stringify(next)).toBeUndefined();
    page = next.result?.structuredContent as Page;
    bodies.push(String(page.body));
  }
  expect(findCanary(bodies.join(''), canary)).toStrictEqual([]);
}

test(
  'the routes that call a service return no value, also in headers, streams and errors',
  async () => {
    const setup = await open();
    const { canary, home, env, key } = setup;
    const server = await startServeProcess({ home, env });
    const ids = await requestTools(server, key);
    const seen = new Set<string>();
    for (const service_id of SERVICES) {
      const status = await post(server, '/v1/credentials/test', key, { service_id }, canary);
      expect(status).toBe(200);
    }
    for (const { service_id, path } of SERVICES.flatMap(callsOf)) {
      const [tool_name, tool_id, tool_input] = [`${service_id}__request`, ids.get(service_id), { path }];
      const routes: readonly (readonly [string, object])[] = [
        [`/v1/services/${service_id}/call/raw`, { path }],
        [`/v1/stacks/default/tools/${tool_name}/invoke`, { tool_input }],
        ['/s/default/call_tool', { tool_name, tool_input }],
        [`/v1/tools/call/${tool_id}`, { tool_input }],
        ['/v1/tools/call/batch', { calls: [{ tool_id, tool_input }] }],
        [`/v1/services/${service_id}/call`, { path }],
      ];
      for (const [route, body] of path.endsWith('401') ? routes.slice(-1) : routes)
        seen.add(`${route} ${await post(server, route, key, body, canary)}`);
      const expected = path.endsWith('encoding=raw') ? routes.map(([route]) => `${route} 200`) : [];
      expect([...seen]).toEqual(expect.arrayContaining(expected));
    }
    expect([...seen].some((one) => one.endsWith(' 502'))).toBe(true);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(findCanary(metrics, canary)).toStrictEqual([]);
    expectCleanProcess(server.pid, canary);
    await server.end();
    expect(findCanary(server.stdout() + server.stderr(), canary)).toStrictEqual([]);
    await expectOnlyUpstream(setup);
  },
  TIMEOUT_MS,
);

/** The ids of the tools `request` of the services. */
async function requestTools({ url }: ServeProcess, key: string): Promise<ReadonlyMap<string, string>> {
  const headers = { authorization: `Bearer ${key}` };
  const idOf = async (service: string) => {
    const response = await fetch(`${url}/v1/services/${service}/tools`, { headers });
    const { tools } = (await response.json()) as { tools: { id: string; name: string }[] };
    return [service, tools.find(({ name }) => name.endsWith('request'))?.id ?? ''] as const;
  };
  return new Map(await Promise.all(SERVICES.map(idOf)));
}

async function post(server: ServeProcess, path: string, key: string, body: object, canary: Canary) {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const label = JSON.stringify([path, body, response.status]);
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value} ${decoded(value)}`);
  expect(findCanary(headers.join('\n'), canary), label).toStrictEqual([]);
  // A stream breaks off if the response of the service does.
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk);
  } catch {}
  expect(findCanary(Buffer.concat(chunks), canary), label).toStrictEqual([]);
  return response.status;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

test(
  'keyhold call and keyhold run print no value',
  async () => {
    const setup = await open();
    const { canary, home, env } = setup;
    const script = (text: string) => ['--', process.execPath, '-e', text];
    const value = 'process.env.CANARY_BASIC';
    const runs: readonly (readonly string[])[] = [
      ...SERVICES.map((id) => ['call', id, '/a', '--json']),
      ...ECHO_ENCODINGS.map((encoding) => ['call', 'basic', `/a?encoding=${encoding}`]),
      ...['status=404', 'status=500', 'fail=truncated', 'fail=coding', 'fail=redirect'].map((query) => [
        ...['call', 'query', `/a?${query}`],
      ]),
      ['call', 'basic', '/a', '--output', join(home, 'output')],
      ['call', 'basic', '/a', '--dry-run'],
      ['run', '--service', 'basic', '--dry-run', ...script('1')],
      ['run', '--service', 'basic', ...script(`console.log(${value}); console.error(${value})`)],
      ['run', '--service', 'basic', ...script(`console.log(Buffer.from(${value}).toString('base64'))`)],
      ['run', '--service', 'basic', ...script(`throw new Error(${value})`)],
    ];
    for (const args of runs) {
      const { stdout, stderr } = await runProgram(args, { env: { ...env, KEYHOLD_HOME: home }, cwd: home });
      expect(stdout + stderr, args.join(' ')).not.toBe('');
      expect(findCanary(stdout, canary), `${args.join(' ')}\n${stdout}`).toStrictEqual([]);
      expect(findCanary(stderr, canary), `${args.join(' ')}\n${stderr}`).toStrictEqual([]);
    }
    await expectOnlyUpstream(setup);
  },
  TIMEOUT_MS,
);
