/**
 * Whatever comes in on standard input: standard output holds whole JSON-RPC messages and nothing else, standard error
 * holds lines of JSON that repeat nothing of it, and the server goes on answering.
 */
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../kit/temp_vault.ts';
import { RawServer, REVISIONS } from './raw_server.ts';

/** Stands in everything that is sent here, and must come back nowhere. */
const MARK = 'mark-7f3a9c51e2';
const _MIB = 1024 * 1024;

const call = (name: string, input: unknown, id: unknown = 'w') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: input },
});

/** What is no message at all, or none that has an answer; one line each. */
const NO_MESSAGES: readonly (readonly [what: string, line: string | Buffer])[] = [
  ['words', MARK],
  ['an empty line', ''],
  ['blanks and a carriage return', '  \t \r'],
  ['a null character', '\0'],
  ['half a message', `{"jsonrpc":"2.0","id":"w","method":"${MARK}`],
  ['a message cut in the middle of a string', '{"jsonrpc":"2.0","id":"w","params":{"a":"'],
  ['two messages in one line', `${JSON.stringify(call(MARK, {}))}${JSON.stringify(call(MARK, {}))}`],
  ['null', 'null'],
  ['a number', '12345678901234567890'],
  ['a string', JSON.stringify(MARK)],
  ['an empty object', '{}'],
  ['an empty array', '[]'],
  [
    'a batch',
    JSON.stringify([call('list_services', { query: MARK }), { jsonrpc: '2.0', id: 'x', method: 'ping' }]),
  ],
  ['another version of JSON-RPC', JSON.stringify({ jsonrpc: '1.0', id: 'w', method: MARK })],
  ['a request whose id is an object', JSON.stringify(call('list_services', {}, { id: MARK }))],
  ['a request whose id is null', JSON.stringify(call('list_services', {}, null))],
  ['a request without a method', JSON.stringify({ jsonrpc: '2.0', id: 'w', params: { a: MARK } })],
  ['a request whose method is a number', JSON.stringify({ jsonrpc: '2.0', id: 'w', method: 7 })],
  [
    'a request whose params are an array',
    JSON.stringify({ jsonrpc: '2.0', id: 'w', method: 'ping', params: [MARK] }),
  ],
  ['an answer to nothing', JSON.stringify({ jsonrpc: '2.0', id: 4711, result: { a: MARK } })],
  ['an error to nothing', JSON.stringify({ jsonrpc: '2.0', id: 4712, error: { code: 1, message: MARK } })],
  ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe, 0x80, 0xc3, 0x28, 0xf0, 0x9f])],
  ['UTF-16', Buffer.from(JSON.stringify(call('list_services', {})), 'utf16le')],
  ['an unknown notification', JSON.stringify({ jsonrpc: '2.0', method: `notifications/${MARK}` })],
  [
    'a cancellation of nothing',
    JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 99, reason: MARK },
    }),
  ],
  [
    'a cancellation of the wrong form',
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: { a: MARK } } }),
  ],
  [
    'progress of nothing',
    JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: MARK, progress: 1 },
    }),
  ],
  ['a hundred thousand brackets', '['.repeat(100_000)],
];

/** Requests that are messages, and wrong; each is answered with an error. */
const WRONG_REQUESTS: readonly (readonly [
  what: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
])[] = [
  ['an unknown method', `${MARK}/${MARK}`, {}],
  ['a method that is a property of every object', 'constructor', {}],
  ['a call without a tool', 'tools/call', { arguments: { a: MARK } }],
  ['a call whose tool is a number', 'tools/call', { name: 7, arguments: {} }],
  ['a call whose arguments are text', 'tools/call', { name: 'list_services', arguments: MARK }],
  ['a call whose arguments are an array', 'tools/call', { name: 'list_services', arguments: [MARK] }],
  ['a call of an unknown tool', 'tools/call', { name: 'no_such_tool', arguments: { a: MARK } }],
  ['a call of a tool that is a property of every object', 'tools/call', { name: '__proto__', arguments: {} }],
  ['a resource, which there is none of', 'resources/read', { uri: `file:///${MARK}` }],
  ['a prompt, which there is none of', 'prompts/get', { name: MARK }],
  ['a level for logging, which is not offered', 'logging/setLevel', { level: MARK }],
];

async function expectHealthy(server: RawServer): Promise<void> {
  const answer = await server.call('get_credential_status', { service_id: 'linear' });
  expect(answer.result).toMatchObject({ structuredContent: { status: 'missing' } });
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
  test('lines that are no message are passed over, each written down without what it held', async () => {
    const server = new RawServer(temporaryFolder(), revision);
    await server.open();
    const before = server.messages().length;
    for (const [, line] of NO_MESSAGES)
      await server.write(Buffer.concat([Buffer.from(line), Buffer.from('\n')]));
    await expectHealthy(server);
    // Whatever came before is dealt with by now: nothing but the answer to the call that followed.
    expect(server.messages().length).toBe(before + 1);
    expect(server.logLines().length).toBeGreaterThan(5);
    await expectClean(server);
  });

  test.each(WRONG_REQUESTS)(
    '%s is answered with an error that repeats nothing',
    async (_what, method, params) => {
      const server = new RawServer(temporaryFolder(), revision);
      await server.open();
      const answer = await server.request(method, params);
      expect(answer.result).toBeUndefined();
      expect(answer.error).toStrictEqual({ code: expect.any(Number), message: expect.any(String) });
      await expectHealthy(server);
      await expectClean(server);
    },
  );
});
