/**
 * Passes the canary to every tool of `keyhold mcp`, as a value and in every wrong argument. It must not appear in results,
 * logs, files or the arguments of a process.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SealingKey } from '../../src/contract/sealed_value.ts';
import {
  type Canary,
  filesUnder,
  findCanary,
  findCanaryInFiles,
  findText,
  newCanary,
  processesWithCanary,
} from '../kit/canary.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { sealFor } from '../kit/vault/sealed.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { RawServer, REVISIONS } from '../mcp/raw_server.ts';

type Input = Readonly<Record<string, unknown>>;

/** Fails if the output, the log or the files contain the canary. */
function expectNoLeak(server: RawServer, home: string, canary: Canary, when: string): void {
  expect(findCanary(server.stdout, canary), `results, ${when}`).toStrictEqual([]);
  expect(findCanary(server.stderr, canary), `log, ${when}`).toStrictEqual([]);
  expect(findCanaryInFiles(home, canary), `files, ${when}`).toStrictEqual([]);
}

/** Returns the output of the commands that read the audit log, and the entries. Fails if the log is not intact. */
async function readAuditLog(home: string) {
  const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug' };
  const read = async (...args: string[]) => {
    const { code, stdout, stderr } = await runProgram(['audit', ...args], { env });
    expect(code, stderr).toBe(0);
    return stdout + stderr;
  };
  const [list = '', json = '', verify = ''] = await Promise.all([
    read('list', '--limit', '100'),
    read('list', '--limit', '100', '--json'),
    read('verify'),
  ]);
  const { entries }: { entries: { name: string | null }[] } = JSON.parse(json);
  return { text: [list, json, verify].join('\n'), entries };
}

/** Calls that contain the canary and succeed in this order. */
function validCalls(
  { value }: Canary,
  sealed: Readonly<Record<'token' | 'secret', string>>,
): readonly (readonly [tool: string, input: Input])[] {
  return [
    ['store_credential', { service_id: 'linear', credential_type: 'api_key', credential_value: value }],
    ['store_credential', { service_id: 'linear', credential_type: 'bearer', credential_value: `${value}2` }],
    ['store_credential', { service_id: 'openai', credential_type: 'bearer', credential_value: sealed.token }],
    [
      'store_credential',
      { service_id: 'github', credential_type: 'bearer', credential_value: value.repeat(100) },
    ],
    [
      'update_credentials',
      {
        service_id: 'gmail',
        credentials: {
          gmail_oauth_token: value,
          gmail_client_id: value,
          gmail_client_secret: sealed.secret,
          gmail_signature: `Best regards,\n${value}`,
        },
        name: 'work',
        stack_id: 'team',
      },
    ],
    [
      'update_credentials',
      {
        service_id: 'gmail',
        credentials: { gmail_oauth_token: `${value}3` },
        name: 'work',
        stack_id: 'team',
      },
    ],
    ['get_credential_status', { service_id: 'linear' }],
    ['get_credential_status', {}],
    ['get_credential_status', { stack_id: 'team' }],
    ['list_services', {}],
    ['list_services', { query: 'mail', stack_id: 'team' }],
    ['delete_credential', { service_id: 'linear' }],
    ['delete_credential', { service_id: 'gmail', name: 'work', stack_id: 'team' }],
  ];
}

/** Calls that are rejected, with the canary in every argument where a client may put it by mistake. */
function invalidCalls(
  { value, word }: Canary,
  sealed: Readonly<Record<'for_other_vault' | 'twice', string>>,
) {
  const store = { service_id: 'linear', credential_type: 'api_key', credential_value: value };
  const update = { service_id: 'linear', credentials: { linear_api_key: value } };
  const invalid_services = [
    value,
    word,
    `linear ${value}`,
    `${word}\u0007`,
    word.repeat(10),
    [value],
    { [word]: value },
  ];
  const invalid_names = [
    `${word}\u0000`,
    `${word}\n`,
    `\u001b[31m${word}`,
    word.repeat(11),
    { [word]: value },
    ['', value],
  ];
  const calls: (readonly [tool: string, input: Input])[] = [
    ['store_credential', { service_id: 'linear', credential_type: value, credential_value: value }],
    ['store_credential', { service_id: 'linear', credential_type: [word], credential_value: value }],
    ['store_credential', { ...store, credential_type: 'key_file' }],
    ['store_credential', { ...store, credential_value: '' }],
    ['store_credential', { ...store, credential_value: [value] }],
    ['store_credential', { ...store, credential_value: { [word]: value } }],
    ['store_credential', { ...store, credential_value: `${value}\n${value}` }],
    ['store_credential', { ...store, credential_value: value.repeat(500) }],
    ['store_credential', { ...store, credential_value: value.repeat(5_000) }],
    ['store_credential', { ...store, credential_value: `${value}\ud800` }],
    ['store_credential', { ...store, credential_value: `sealed:${value}` }],
    ['store_credential', { ...store, credential_value: `sealed:${Buffer.from(value).toString('base64')}` }],
    ['store_credential', { ...store, credential_value: sealed.for_other_vault }],
    ['store_credential', { ...store, credential_value: sealed.twice }],
    ['store_credential', { ...store, [value]: value }],
    ['store_credential', { ...store, [word]: 1 }],
    ['update_credentials', { ...update, credentials: value }],
    ['update_credentials', { ...update, credentials: [value] }],
    ['update_credentials', { ...update, credentials: { [value]: value } }],
    ['update_credentials', { ...update, credentials: { linear_api_key: value, [word]: value } }],
    ['update_credentials', { ...update, credentials: { linear_api_key: { [word]: value } } }],
    ['update_credentials', { ...update, credentials: { gmail_oauth_token: value } }],
    ['update_credentials', { ...update, credentials: { linear_api_key: `${value} ${value}` } }],
    ['update_credentials', { ...update, credentials: { linear_api_key: sealed.for_other_vault } }],
    ['update_credentials', { ...update, [word]: value }],
    ['list_services', { query: [value] }],
    ['list_services', { query: word.repeat(11) }],
    ['list_services', { [word]: value }],
    ['get_credential_status', { [word]: value }],
    ['delete_credential', { service_id: 'linear', [value]: value }],
    ['delete_credential', { service_id: 'linear', name: word }],
    ['delete_credential', { [word]: value }],
  ];
  for (const service_id of invalid_services) {
    calls.push(
      ['store_credential', { ...store, service_id }],
      ['update_credentials', { ...update, service_id }],
      ['get_credential_status', { service_id }],
      ['delete_credential', { service_id }],
    );
  }
  for (const name of invalid_names) {
    calls.push(
      ['store_credential', { ...store, name }],
      ['update_credentials', { ...update, stack_id: name }],
      ['get_credential_status', { service_id: 'linear', name }],
      ['list_services', { stack_id: name }],
      ['delete_credential', { service_id: 'linear', stack_id: name }],
    );
  }
  return calls;
}

async function getSealingKey(server: RawServer): Promise<SealingKey> {
  const response = await server.call('list_services', { query: 'linear' });
  return response.result?.structuredContent as unknown as SealingKey;
}

describe.each(REVISIONS)('MCP revision %s', (revision) => {
  test('a value that any tool accepts appears in no output, log or file, also after it is replaced or deleted', async () => {
    const [home, canary] = [temporaryFolder(), newCanary()];
    const server = new RawServer(home, revision);
    await server.open();
    const key = await getSealingKey(server);
    const sealed = {
      token: await sealFor(key, canary.value, { service: 'openai', field: 'openai_api_key' }),
      secret: await sealFor(key, canary.value, { service: 'gmail', field: 'gmail_client_secret' }),
    };
    expect(findCanary(JSON.stringify(sealed), canary)).toStrictEqual([]);
    for (const [tool, input] of validCalls(canary, sealed)) {
      const { result } = await server.call(tool, input);
      expect(result?.isError, JSON.stringify(result)).toBeUndefined();
      expectNoLeak(server, home, canary, `after ${tool}`);
    }
    expect(processesWithCanary(canary)).toStrictEqual([]);
    expect(findCanary((await readAuditLog(home)).text, canary)).toStrictEqual([]);
    await server.end();
    server.messages();
    server.logLines();
    expectNoLeak(server, home, canary, 'at the end');
  });

  test('a value that is rejected or in the wrong argument appears in no error, log or file', async () => {
    const [home, canary] = [temporaryFolder(), newCanary()];
    const server = new RawServer(home, revision);
    await server.open();
    const key = await getSealingKey(server);
    const other = await openTestVault();
    const sealed = {
      for_other_vault: await sealFor(await other.vault.sealingKey(other.caller()), canary.value),
      twice: await sealFor(key, await sealFor(key, canary.value)),
    };
    for (const [tool, input] of invalidCalls(canary, sealed)) {
      const { result } = await server.call(tool, input);
      const label = `${tool} ${JSON.stringify(input).slice(0, 200)}`;
      expect(result?.isError, label).toBe(true);
      expect(findCanary(JSON.stringify(result), canary), label).toStrictEqual([]);
    }
    expectNoLeak(server, home, canary, 'after every rejected call');
    // Neither the name nor the stack of a request is logged, unless such a record exists.
    const { text, entries } = await readAuditLog(home);
    expect(findCanary(JSON.stringify(entries), canary)).toStrictEqual([]);
    expect(text).not.toContain(canary.value.slice(0, 6));
    await server.end();
    server.messages();
    server.logLines();
    expectNoLeak(server, home, canary, 'at the end');
  });

  test('an invalid message or an unknown method, tool or resource is not repeated in the output or the log', async () => {
    const [home, canary] = [temporaryFolder(), newCanary()];
    const { value, word } = canary;
    const server = new RawServer(home, revision);
    await server.open();
    for (const line of [value, `{"jsonrpc":"2.0","id":1,"method":"${word}`, `["${word}"]`, `"${word}"`]) {
      await server.write(`${line}\n`);
    }
    await server.send({ jsonrpc: '2.0', method: `notifications/${word}`, params: { value } });
    await server.send({ jsonrpc: '2.0', id: { value }, method: 'tools/list' });
    for (const [method, params] of [
      [word, { value }],
      ['tools/call', { name: word, arguments: { value } }],
      ['tools/call', { name: { value }, arguments: { value } }],
      ['tools/call', { name: 'list_services', arguments: value }],
      ['tools/list', { cursor: { value } }],
      ['resources/read', { uri: `file:///${value}` }],
    ] as const) {
      await server.request(method, params);
    }
    await server.end();
    server.messages();
    server.logLines();
    expectNoLeak(server, home, canary, 'at the end');
  });
});

test('a server with an invalid setting or a vault that does not open repeats no value of a call', async () => {
  const canary = newCanary();
  const call = { service_id: 'linear', credential_type: 'api_key', credential_value: canary.value };
  const settings: NodeJS.ProcessEnv[] = [
    { KEYHOLD_CIPHER: canary.value },
    { KEYHOLD_LOG: canary.value },
    { KEYHOLD_STORE: canary.value },
    { KEYHOLD_ROOT_KEY: canary.value },
    { KEYHOLD_ROOT_KEY: `env:${canary.value}` },
    { KEYHOLD_ROOT_KEY: `env:${canary.word}` },
    { KEYHOLD_ROOT_KEY: 'env:KEY', KEY: canary.value },
    { KEYHOLD_ROOT_KEY: `file:/dev/null/${canary.word}` },
    { KEYHOLD_STORE: `sqlite:/dev/null/${canary.word}` },
  ];
  for (const env of settings) {
    const home = temporaryFolder();
    const server = new RawServer(home, '2025-11-25', env);
    await server.open();
    await server.write(`${canary.value}\n`);
    const { result } = await server.call('store_credential', call);
    expect(result?.isError, JSON.stringify(result)).toBe(true);
    await server.end();
    server.messages();
    server.logLines();
    expectNoLeak(server, home, canary, Object.keys(env).join());
  }
});

test('the files of a vault contain no plaintext name of a service, field, stack or credential', async () => {
  const home = temporaryFolder();
  const names = ['a stack that nobody else has', 'a credential that nobody else has'] as const;
  const [stack_id, name] = names;
  const server = new RawServer(home);
  await server.open();
  const gmail = { gmail_oauth_token: 'ya29.token', gmail_client_id: '123.apps.googleusercontent.com' };
  const expectNoNames = (when: string) => {
    const files = filesUnder(join(home, 'data'));
    expect(files.some((path) => path.endsWith('.db'))).toBe(true);
    for (const path of files) {
      const bytes = readFileSync(path);
      for (const long of [...names, ...Object.keys(gmail), ...Object.values(gmail)]) {
        expect(findText(bytes, long), `${path}, ${when}`).toStrictEqual([]);
      }
      for (const short of [
        'linear',
        'Linear',
        'gmail',
        'Gmail',
        'default',
        'local',
        'api_key',
        'google_oauth',
      ]) {
        expect(bytes.includes(short), `${short} in ${path}, ${when}`).toBe(false);
      }
    }
  };
  await server.call('store_credential', {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'lin_api_value',
    stack_id,
    name,
  });
  await server.call('update_credentials', { service_id: 'gmail', credentials: gmail });
  expectNoNames('while the server runs');
  await server.call('delete_credential', { service_id: 'linear', stack_id, name });
  expectNoNames('after a deletion');
  const status = await server.call('get_credential_status', { service_id: 'gmail' });
  expect(status.result).toMatchObject({ structuredContent: { status: 'active' } });
  await server.end();
  expectNoNames('after the server ended');
});

test('the root key is only in its own file', async () => {
  const home = temporaryFolder();
  const server = new RawServer(home);
  await server.open();
  await server.call('store_credential', {
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'lin_api_value',
  });
  const text = readFileSync(join(home, 'keys', 'root.key'), 'utf8').trim();
  const key = Buffer.from(text, 'base64');
  const encodings = [key, text.replace(/=+$/, ''), key.toString('base64url'), key.toString('hex')];
  const outputs: (readonly [string, Buffer])[] = [
    ['stdout', Buffer.from(server.stdout)],
    ['stderr', Buffer.from(server.stderr)],
    ...filesUnder(join(home, 'data')).map((path) => [path, readFileSync(path)] as const),
  ];
  for (const [name, bytes] of outputs) {
    for (const encoding of encodings) expect(bytes.includes(encoding), name).toBe(false);
  }
  await server.end();
});
