/**
 * For any input on stdin, stdout contains only complete JSON-RPC messages, stderr contains only lines of JSON that quote
 * nothing of the input, and the server keeps responding.
 */
import { describe, expect, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { RawServer, REVISIONS } from './raw_server.ts';

/** Is in all input, and must not be in any output. */
const MARK = 'mark-7f3a9c51e2';

const call = (name: string, input: unknown, id: unknown = 'w') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: input },
});

const deep = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`);

/** Lines that must get no response. */
const SILENT: readonly (readonly [what: string, line: string])[] = [
  ['an empty line', ''],
  ['blanks and a carriage return', '  \t \r'],
  ['a response without a request', JSON.stringify({ jsonrpc: '2.0', id: 4711, result: { a: MARK } })],
  [
    'an error without a request',
    JSON.stringify({ jsonrpc: '2.0', id: 4712, error: { code: 1, message: MARK } }),
  ],
  ['an error that is not one of JSON-RPC 2.0', JSON.stringify({ error: MARK })],
  ['a batch of responses', JSON.stringify([{ jsonrpc: '2.0', id: 4713, result: {} }])],
  ['an unknown notification', JSON.stringify({ jsonrpc: '2.0', method: `notifications/${MARK}` })],
  [
    'a cancellation without a request',
    JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 99, reason: MARK },
    }),
  ],
  [
    'a malformed cancellation',
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: { a: MARK } } }),
  ],
  [
    'progress without a request',
    JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: MARK, progress: 1 },
    }),
  ],
];

const PARSE_ERROR = -32_700;
const INVALID_REQUEST = -32_600;

/** Lines that are not messages, the error code of the response, and the ids that can be read. */
const NO_MESSAGES: readonly (readonly [
  what: string,
  line: string | Buffer,
  code: number,
  ids?: readonly (string | number)[],
])[] = [
  ['words', MARK, PARSE_ERROR],
  ['a null character', '\0', PARSE_ERROR],
  ['a truncated message', `{"jsonrpc":"2.0","id":"w","method":"${MARK}`, PARSE_ERROR],
  ['a message that is truncated within a string', '{"jsonrpc":"2.0","id":"w","params":{"a":"', PARSE_ERROR],
  [
    'two messages in one line',
    `${JSON.stringify(call(MARK, {}))}${JSON.stringify(call(MARK, {}))}`,
    PARSE_ERROR,
  ],
  ['a byte order mark behind the first line', `\uFEFF${JSON.stringify(call(MARK, {}))}`, PARSE_ERROR],
  ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe, 0x80, 0xc3, 0x28, 0xf0, 0x9f]), PARSE_ERROR],
  ['a hundred thousand brackets', '['.repeat(100_000), PARSE_ERROR],
  [
    'a property that strict JSON refuses',
    JSON.stringify(call('list_services', { a: MARK }, 'q')).replace('"a"', '"__proto__"'),
    INVALID_REQUEST,
    ['q'],
  ],
  [
    'arguments that are nested a thousand levels deep',
    JSON.stringify(call('list_services', { [MARK]: deep(1_000) }, 'r')),
    INVALID_REQUEST,
    ['r'],
  ],
  ['null', 'null', INVALID_REQUEST],
  ['a number', '12345678901234567890', INVALID_REQUEST],
  ['a string', JSON.stringify(MARK), INVALID_REQUEST],
  ['an empty object', '{}', INVALID_REQUEST],
  ['an empty batch', '[]', INVALID_REQUEST],
  ['a batch without ids', `[1, {"jsonrpc":"2.0","method":"${MARK}"}]`, INVALID_REQUEST],
  [
    'a batch',
    JSON.stringify([call('list_services', { query: MARK }, 'b1'), { jsonrpc: '2.0', id: 7, method: 'ping' }]),
    INVALID_REQUEST,
    ['b1', 7],
  ],
  ['a request without a version of JSON-RPC', '{"id":5,"method":"ping"}', INVALID_REQUEST, [5]],
  [
    'another version of JSON-RPC',
    JSON.stringify({ jsonrpc: '1.0', id: 'v1', method: MARK }),
    INVALID_REQUEST,
    ['v1'],
  ],
  [
    'a request whose id is an object',
    JSON.stringify(call('list_services', {}, { id: MARK })),
    INVALID_REQUEST,
  ],
  ['a request whose id is null', JSON.stringify(call('list_services', {}, null)), INVALID_REQUEST],
  ['a request whose id is a fraction', JSON.stringify(call('list_services', {}, 1.5)), INVALID_REQUEST],
  [
    'a request without a method',
    JSON.stringify({ jsonrpc: '2.0', id: 'm', params: { a: MARK } }),
    INVALID_REQUEST,
    ['m'],
  ],
  [
    'a request whose method is a number',
    JSON.stringify({ jsonrpc: '2.0', id: 'n', method: 7 }),
    INVALID_REQUEST,
    ['n'],
  ],
  [
    'a request whose params are an array',
    JSON.stringify({ jsonrpc: '2.0', id: 'p', method: 'ping', params: [MARK] }),
    INVALID_REQUEST,
    ['p'],
  ],
];

/** Invalid requests; each gets an error. */
const WRONG_REQUESTS: readonly (readonly [
  what: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
])[] = [
  ['an unknown method', `${MARK}/${MARK}`, {}],
  ['a method that is a property of every object', 'constructor', {}],
  ['a call without a tool', 'tools/call', { arguments: { a: MARK } }],
  ['a call whose tool is a number', 'tools/call', { name: 7, arguments: {} }],
  ['a call whose arguments are a string', 'tools/call', { name: 'list_services', arguments: MARK }],
  ['a call whose arguments are an array', 'tools/call', { name: 'list_services', arguments: [MARK] }],
  ['a call of an unknown tool', 'tools/call', { name: 'no_such_tool', arguments: { a: MARK } }],
  ['a call of a tool that is a property of every object', 'tools/call', { name: '__proto__', arguments: {} }],
  ['a resource, although the server has none', 'resources/read', { uri: `file:///${MARK}` }],
  ['a prompt, although the server has none', 'prompts/get', { name: MARK }],
  ['a log level, which the server does not support', 'logging/setLevel', { level: MARK }],
];

const STORE = { service_id: 'openai', credential_type: 'bearer', credential_value: MARK } as const;

/** Invalid arguments of update_credentials. */
const WRONG_INPUTS: readonly Readonly<Record<string, unknown>>[] = [
  {},
  { service_id: MARK.length, credentials: { linear_api_key: MARK } },
  { service_id: 'linear', credentials: MARK },
  { service_id: 'linear', credentials: [MARK] },
  { service_id: 'linear', credentials: {} },
  { service_id: 'linear', credentials: { linear_api_key: { value: MARK } } },
  { service_id: 'linear', credentials: { linear_api_key: null } },
  { service_id: 'linear', credentials: { [MARK]: MARK } },
  { service_id: 'linear', credentials: { linear_api_key: `${MARK}\n${MARK}` } },
  { service_id: 'linear', credentials: { linear_api_key: MARK.repeat(10_000) } },
  { service_id: 'linear', credentials: { linear_api_key: `sealed:${MARK}` } },
  { service_id: 'linear', credentials: { linear_api_key: MARK }, [MARK]: MARK },
  { service_id: 'linear', credentials: { linear_api_key: MARK }, name: `${MARK}\u0007` },
  { service_id: 'linear', credentials: { linear_api_key: MARK }, stack_id: MARK.repeat(20) },
  { service_id: MARK.repeat(20), credentials: { linear_api_key: MARK } },
];

async function expectHealthy(server: RawServer): Promise<void> {
  const response = await server.call('get_credential_status', { service_id: 'linear' });
  expect(response.result).toMatchObject({ structuredContent: { status: 'missing' } });
  expect(server.child.exitCode).toBeNull();
}

async function expectClean(server: RawServer): Promise<void> {
  expect(await server.end()).toStrictEqual({ code: 0, signal: null });
  expect(server.messages().length).toBeGreaterThan(0);
  expect(server.logLines()).toBeDefined();
  expect(server.stdout).not.toContain(MARK);
  expect(server.stderr).not.toContain(MARK);
}

describe.each(REVISIONS)('%s', (revision) => {
  test('blank lines, responses and notifications get no response', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    const before = server.messages().length;
    for (const [, line] of SILENT) await server.write(`${line}\n`);
    await expectHealthy(server);
    // All earlier input is processed by now, and the only message is the response to the call behind it.
    expect(server.messages().length).toBe(before + 1);
    await expectClean(server);
  });

  test('a line that is not a message gets an error with the id, if it can be read, and nothing else of it', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    for (const [what, line, code, ids = [undefined]] of NO_MESSAGES) {
      const before = server.messages().length;
      await server.write(Buffer.concat([Buffer.from(line), Buffer.from('\n')]));
      await expectHealthy(server);
      const errors = ids.map((id) => ({
        jsonrpc: '2.0',
        ...(id === undefined ? {} : { id }),
        error: { code, message: expect.any(String) },
      }));
      expect(server.messages().slice(before, -1), what).toStrictEqual(errors);
    }
    await expectClean(server);
    const rejected = server.logLines().filter(({ msg }) => String(msg).includes('not a JSON-RPC message'));
    expect(rejected).toHaveLength(NO_MESSAGES.length);
  });

  test('a byte order mark before the first message is skipped', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.write(Buffer.from([0xef, 0xbb, 0xbf]));
    expect((await server.open()).result).toBeDefined();
    await expectHealthy(server);
    await expectClean(server);
  });

  test('a line that is not UTF-8 or not JSON gets an error before the first message too', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.write(Buffer.from(JSON.stringify(call('list_services', {})), 'utf16le'));
    await server.write('\n{"id":5,"method":"ping"}\n');
    expect((await server.responseTo(5)).error).toMatchObject({ code: INVALID_REQUEST });
    expect((await server.open()).result).toBeDefined();
    expect(server.messages()[0]).toMatchObject({ error: { code: PARSE_ERROR } });
    await expectClean(server);
  });

  test('each invalid request gets an error that does not quote it', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    for (const [what, method, params] of WRONG_REQUESTS) {
      const response = await server.request(method, params);
      expect(response.result, what).toBeUndefined();
      expect(response.error, what).toStrictEqual({ code: expect.any(Number), message: expect.any(String) });
    }
    await expectHealthy(server);
    await expectClean(server);
  });

  test('a call of an unknown tool gets an error without the name', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    const response = await server.call(MARK, { a: MARK });
    expect(response.error).toMatchObject({ code: -32602 });
    await expectHealthy(server);
    await expectClean(server);
  });

  test('invalid arguments of a tool get an error result that does not quote them', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    for (const input of WRONG_INPUTS) {
      const response = await server.call('update_credentials', input);
      expect(response.result, JSON.stringify(input).slice(0, 100)).toMatchObject({ isError: true });
      expect(JSON.stringify(response.result)).toContain('INVALID_INPUT: ');
    }
    await expectHealthy(server);
    await expectClean(server);
  });

  test('arguments that are nested a hundred thousand levels deep get a response', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    const input = { service_id: 'linear', credentials: '<deep>' };
    const params = server.enveloped({ name: 'update_credentials', arguments: input });
    const request = JSON.stringify({ jsonrpc: '2.0', id: 'deep', method: 'tools/call', params });
    const nested = `${`{"${MARK}":`.repeat(100_000)}1${'}'.repeat(100_000)}`;
    await server.write(`${request.replace('"<deep>"', nested)}\n`);
    expect((await server.responseTo('deep')).jsonrpc).toBe('2.0');
    await expectHealthy(server);
    await expectClean(server);
  });

  test('a message in single bytes, and two messages in one chunk, get one response each', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    const request = (id: string) =>
      JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list', params: server.enveloped({ note: 'é🔑' }) });
    for (const byte of Buffer.from(`${request('slow')}\n`)) await server.write(Buffer.from([byte]));
    await server.write(`${request('one')}\r\n${request('two')}\n`);
    for (const id of ['slow', 'one', 'two']) {
      expect((await server.responseTo(id)).result, id).toHaveProperty('tools');
    }
    await expectClean(server);
    expect(server.messages().filter(({ id }) => id === 'slow' || id === 'one')).toHaveLength(2);
  });

  test('two hundred concurrent calls get exactly one response each', async () => {
    const home = temporaryFolder();
    const server = new RawServer(home, revision);
    await server.open();
    const responses = await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        at % 2 === 0
          ? server.call('store_credential', {
              service_id: 'linear',
              credential_type: 'api_key',
              credential_value: `${MARK}-${at}`,
              name: `name ${at % 20}`,
            })
          : server.call('get_credential_status', { service_id: 'linear', name: `name ${at % 20}` }),
      ),
    );
    expect(responses.filter(({ result }) => result === undefined || result.isError === true)).toStrictEqual(
      [],
    );
    expect(new Set(responses.map(({ id }) => id)).size).toBe(200);
    await expectClean(server);
    expect(new Set(server.messages().map(({ id }) => id)).size).toBe(server.messages().length);
    const { stdout } = await runProgram(['audit', 'verify', '--json'], { env: { KEYHOLD_HOME: home } });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, entries: 101, credentials: 10 });
  });

  test('a client that disconnects during a call leaves an intact vault and no process', async () => {
    const home = temporaryFolder();
    const server = new RawServer(home, revision);
    await server.open();
    const request = (id: string) => ({ ...call('store_credential', STORE, id) });
    await server.write(
      ['a', 'b', 'c']
        .map((id) => `${JSON.stringify({ ...request(id), params: server.enveloped(request(id).params) })}\n`)
        .join(''),
    );
    expect(await server.end()).toStrictEqual({ code: 0, signal: null });
    expect(() => server.messages()).not.toThrow();
    expect(server.logLines().filter(({ level }) => Number(level) >= 50)).toStrictEqual([]);
    expect(server.stderr).not.toContain(MARK);
    const { code, stderr } = await runProgram(['status', '--json'], { env: { KEYHOLD_HOME: home } });
    // The vault may or may not have been created before the disconnect.
    expect([0, 5], stderr).toContain(code);
  });

  test('a client that closes its end of stdout causes no error', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    server.child.stdout?.destroy();
    await server.send({ ...call('list_services', {}), params: server.enveloped({ name: 'list_services' }) });
    expect(await server.exited).toStrictEqual({ code: 0, signal: null });
    expect(server.logLines().filter(({ level }) => Number(level) >= 50)).toStrictEqual([]);
  });

  test('a cancelled call gets one response at most and is atomic', async () => {
    const home = temporaryFolder();
    const server = new RawServer(home, revision);
    await server.open();
    for (const id of ['c1', 'c2', 'c3']) {
      await server.send({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: server.enveloped({ name: 'store_credential', arguments: STORE }),
      });
      await server.send({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: id, reason: MARK },
      });
    }
    const status = await server.call('get_credential_status', { service_id: 'openai' });
    expect(JSON.stringify(status.result)).toMatch(/"status":"(?:missing|active)"/);
    await expectHealthy(server);
    await expectClean(server);
    const ids = server.messages().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const { stdout } = await runProgram(['audit', 'verify', '--json'], { env: { KEYHOLD_HOME: home } });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
  });

  test('a line of eleven megabytes gets an error, and the server keeps responding', {
    timeout: 20_000,
  }, async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    const input = { ...STORE, credential_value: MARK.repeat(700_000) };
    await server.write(
      `${JSON.stringify({ ...call('store_credential', input), params: server.enveloped({ name: 'store_credential', arguments: input }) })}\n`,
    );
    await expectHealthy(server);
    expect(server.messages().at(-2)).toMatchObject({ error: { code: INVALID_REQUEST } });
    await expectClean(server);
  });

  test('notifications get no response', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    await server.send({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
    await server.send({ jsonrpc: '2.0', method: `notifications/${MARK}`, params: { a: MARK } });
    expect(await server.end()).toStrictEqual({ code: 0, signal: null });
    expect(server.stdout).toBe('');
  });
});

test('requests before the handshake get a response, and the handshake still works', async () => {
  const server = new RawServer(temporaryFolder());
  for (const method of ['ping', 'tools/list', `${MARK}/before`]) {
    const { result, error } = await server.request(method);
    expect([result, error].filter((part) => part !== undefined)).toHaveLength(1);
  }
  expect((await server.open()).result).toMatchObject({ protocolVersion: '2025-11-25' });
  expect((await server.open()).jsonrpc).toBe('2.0');
  await expectHealthy(server);
  await expectClean(server);
});

test('an unknown revision gets a supported one in the response', async () => {
  const server = new RawServer(temporaryFolder());
  const params = {
    protocolVersion: '1999-12-31',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1' },
  };
  const { result } = await server.request('initialize', params);
  expect(result?.protocolVersion).toMatch(/^20\d\d-\d\d-\d\d$/);
  await expectHealthy(server);
  await expectClean(server);
});

test('an invalid KEYHOLD_LOG does not end a server that has something to log', async () => {
  const server = new RawServer(temporaryFolder(), '2025-11-25', { KEYHOLD_LOG: MARK });
  await server.open();
  await server.write('no message\n');
  const { result } = await server.call('list_services');
  expect(JSON.stringify(result)).toContain('KEYHOLD_LOG must be one of');
  await expectClean(server);
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends the server as a disconnect does', async (signal) => {
  const server = new RawServer(temporaryFolder());
  await server.open();
  await expectHealthy(server);
  server.child.kill(signal);
  expect(await server.exited).toStrictEqual({ code: 0, signal: null });
  expect(() => server.messages()).not.toThrow();
});
