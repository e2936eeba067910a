/** The commands against a server: the same output as with a local vault, and the key never leaks. */
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NewApiKey } from '../../src/contract/api_key.ts';
import { SCOPES } from '../../src/contract/caller.ts';
import type { CredentialStatus } from '../../src/contract/credential.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { httpServer } from '../client/misbehaving_server.ts';
import { findText } from '../kit/canary.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { type CliOptions, type CliRun, keyhold, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { startHttpServer, startServeProcess } from '../kit/http/http_server.ts';

const VALUE = 'lin_api_abc123def456789';
const ALL = SCOPES.filter((scope) => scope !== 'values:reveal');

/** The folder where the command line would create a local vault; it must not. */
let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

async function startServer() {
  const server = await startHttpServer({ dialects: DIALECTS });
  const key = await server.key({ scopes: ALL });
  const env = { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: key };
  const remote = (argv: readonly string[], options: CliOptions = {}): Promise<CliRun> =>
    keyhold(home, argv, { ...options, env: { ...env, ...options.env } });
  const local = (argv: readonly string[], options?: CliOptions) => keyhold(server.home, argv, options);
  const json = async <Json>(argv: readonly string[], options?: CliOptions): Promise<Json> => {
    const run = await remote([...argv, '--json'], options);
    expect(run.code, run.stderr).toBe(0);
    return JSON.parse(run.stdout) as Json;
  };
  return { server, key, env, remote, local, json };
}

function keyFile(text: string): string {
  const file = path.join(path.dirname(home), 'api.key');
  fs.writeFileSync(file, text);
  return file;
}

describe('invalid server options', () => {
  test.each([
    ['uses plain http to another machine', 'http://keyhold.example.com', /over plain http/],
    ['contains a key', 'https://kh_secret@keyhold.example.com', /without a user/],
    ['is not a URL', 'kh_secret', /must be the URL of a server/],
    ['is the MCP endpoint', 'http://127.0.0.1:9/mcp', /without \/mcp at its end/],
  ])(
    'status exits with 2 for a server URL that %s, without a prompt for a key',
    async (_what, url, expected) => {
      for (const run of [
        await keyhold(home, ['status', '--url', url], { terminal: true }),
        await keyhold(home, ['status'], { env: { KEYHOLD_URL: url }, terminal: true }),
      ]) {
        expect(run.code).toBe(2);
        expect(run.stderr).toMatch(expected);
        expect(run.stderr).toMatch(/^error: (?:--url|The setting KEYHOLD_URL) must/);
        expect(run.stderr).not.toContain('kh_secret');
      }
    },
  );

  test('status exits with 13 if the server is unreachable, and prints a hint', async () => {
    const { server, env } = await startServer();
    await server.close();
    const run = await keyhold(home, ['status'], { env });
    expect(run).toMatchObject({ code: 13, stdout: '' });
    expect(run.stderr).toContain('Is it running');
  });

  test.each([
    ['init', ['init'], /A server creates its own vault/],
    ['services add', ['services', 'add', 'x.json'], /on the machine of the server/],
    ['mcp', ['mcp'], /to \/mcp below its URL/],
    ['serve', ['serve'], /would serve the local vault/],
    ['install', ['install', 'cursor'], /the address \/mcp below the URL/],
  ])(
    '%s exits with 2 if a server is set, because it works on this machine only',
    async (_what, argv, expected) => {
      const { remote } = await startServer();
      const run = await remote(argv);
      expect(run.code).toBe(2);
      expect(run.stderr).toMatch(expected);
      expect(fs.existsSync(home)).toBe(false);
      expect((await keyhold(home, [...argv, '--url', 'https://keyhold.example.com'])).stderr).toMatch(
        /works on this machine only/,
      );
    },
  );

  test.each([
    ['--url', 'https://keyhold.example.com', 'status'],
    ['keys', '--key-file', 'x', 'list'],
  ])('a server option before the command exits with 2: keyhold %s %s %s', async (...argv) => {
    const run = await keyhold(home, argv);
    expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining('after the command') });
  });

  test('status exits with 2 for --key-file without --url', async () => {
    const run = await keyhold(home, ['status', '--key-file', keyFile('kh_x')]);
    expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining('Name the server: --url') });
  });
});

describe('the API key', () => {
  test('status without an API key exits with 3 and suggests KEYHOLD_API_KEY and --key-file', async () => {
    const { server } = await startServer();
    const run = await keyhold(home, ['status', '--url', server.url]);
    expect(run).toMatchObject({ code: 3, stdout: '' });
    expect(run.stderr).toMatch(/KEYHOLD_API_KEY.*--key-file/);
  });

  test('status --key-file reads the API key with or without a line ending', async () => {
    const { server, key } = await startServer();
    for (const text of [key, `${key}\n`, `${key}\r\n`]) {
      const run = await keyhold(home, ['status', '--url', server.url, '--key-file', keyFile(text)]);
      expect(run.code, run.stderr).toBe(0);
    }
  });

  test('status --key-file takes precedence over KEYHOLD_API_KEY', async () => {
    const { server, key } = await startServer();
    const argv = ['status', '--url', server.url, '--key-file', keyFile(key)];
    expect((await keyhold(home, argv, { env: { KEYHOLD_API_KEY: 'kh_wrong' } })).code).toBe(0);
  });

  test('delete without an API key prompts for it in a terminal and does not echo it', async () => {
    const { server, key } = await startServer();
    const typed: CliOptions['typed'] = [
      [/API key for 127\.0\.0\.1:\d+/, `${key}\r`],
      [/Delete the credential of Linear/, 'y'],
    ];
    await server.vault.store(server.caller(), {
      ...{ service_id: 'linear', credential_type: 'api_key', credential_value: VALUE },
    } as const);
    const run = await keyhold(home, ['delete', 'linear', '--url', server.url], { terminal: true, typed });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toBe('Deleted the credential of Linear.\n');
    expect(run.stderr).not.toContain(key);
    expect(run.stderr.match(/API key for/g)).not.toBeNull();
  });

  test.each([
    ['is empty', '', /contains no API key/],
    ['has two lines', 'kh_a\nkh_b', /must be one line/],
    ['has control characters', '\u0000\u0001', /must be one line/],
    ['is too long', 'x'.repeat(2_000), /too long/],
  ])('status exits with 2 if the key file %s', async (_what, text, expected) => {
    const argv = ['status', '--url', 'http://127.0.0.1:9', '--key-file', keyFile(text)];
    const run = await keyhold(home, argv);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(expected);
  });

  test('status exits with 2 for an API key as the argument of --key-file, and does not repeat it', async () => {
    const { server, key } = await startServer();
    const run = await keyhold(home, ['status', '--url', server.url, '--key-file', key]);
    expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining('never an argument') });
    expect(run.stderr).not.toContain(key);
  });

  test('status exits with 3 for an unknown API key and suggests keys create', async () => {
    const { remote } = await startServer();
    const run = await remote(['status', '--json'], { env: { KEYHOLD_API_KEY: 'kh_wrong' } });
    expect(run.code).toBe(3);
    const { error } = JSON.parse(run.stderr) as { error: { code: string; request_id: string } };
    expect(error).toMatchObject({ code: 'UNAUTHENTICATED', message: expect.stringContaining('keys create') });
    expect(error.request_id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  });
});

describe('commands against a server', () => {
  test('the commands print the same output for a server as for its vault, with the same exit code', async () => {
    const { server, remote, local } = await startServer();
    await server.vault.store(server.caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: VALUE,
    });
    await server.vault.update(server.caller(), {
      service_id: 'gmail',
      credentials: { gmail_client_id: 'abc' },
      name: 'work',
    });
    await server.key({ organization: 'acme', user: 'ana', name: 'ci', allowed_services: ['linear'] });
    for (const argv of [
      ['status'],
      ['status', '--json'],
      ['status', 'lin', '--json'],
      ['status', 'linear'],
      ['status', 'gmail'],
      ['status', 'gmail', '--name', 'work'],
      ['status', 'no_such'],
      ['services', 'list', 'google', 'mail'],
      ['services', 'list', '--json'],
      ['services', 'show', 'gmail'],
      ['services', 'show', 'xyzzy'],
      ['audit', 'list'],
      ['audit', 'list', '--json', '--limit', '2', '--service', 'linear'],
      ['audit', 'list', '--action', 'update', '--since', '1d'],
      ['audit', 'list', '--org', 'acme'],
      ['audit', 'list', '--org', 'no_such'],
      ['audit', 'verify'],
      ['audit', 'verify', '--json', '--org', 'acme'],
      ['keys', 'list', '--org', 'acme'],
      ['units', 'list', '--org', 'acme'],
      ['units', 'list', '--json'],
      ['delete', 'xyzzy', '--yes'],
      ['delete', 'openai', '--yes'],
      ['keys', 'rotate', '01a202a0-0000-7000-8000-000000000000'],
      ['keys', 'create', '--services', 'no_such'],
      ['store', 'linear', '--name', 'a\u0007b'],
    ]) {
      const [from_server, from_vault] = [
        await remote(argv, { stdin: VALUE }),
        await local(argv, { stdin: VALUE }),
      ];
      // Relative times may differ between the two runs.
      const withoutTimes = (text: string) => text.replace(/\d+ seconds? ago|just now/g, 'now');
      expect(withoutTimes(from_server.stdout), argv.join(' ')).toBe(withoutTimes(from_vault.stdout));
      expect([argv.join(' '), from_server.code, from_server.stderr]).toEqual([
        argv.join(' '),
        from_vault.code,
        from_vault.stderr,
      ]);
    }
    expect(fs.existsSync(home)).toBe(false);
  });

  test('store, update, seal and delete use the vault of the server and create no local vault', async () => {
    const { remote, json, server } = await startServer();
    expect((await remote(['store', 'linear'], { stdin: VALUE })).stdout).toBe(
      'Stored Linear.\nNext: keyhold status linear\n',
    );
    const updated = await json<{ updated_fields: string[] }>(
      ['update', 'datadog', 'datadog_site', '--create'],
      {
        stdin: 'datadoghq.eu',
      },
    );
    expect(updated.updated_fields).toEqual(['datadog_site']);
    expect((await json<CredentialStatus>(['status', 'linear'])).status).toBe('active');
    const sealed = (await remote(['seal', 'openai'], { stdin: VALUE })).stdout;
    expect((await remote(['store', 'openai'], { stdin: sealed })).code).toBe(0);
    const openai = await server.vault.status(server.caller(), { service_id: 'openai' });
    expect(openai.status).toBe('active');
    expect((await remote(['delete', 'linear', '--yes'])).code).toBe(0);
    expect((await json<CredentialStatus>(['status', 'linear'])).status).toBe('missing');
    expect(fs.existsSync(home)).toBe(false);
  });

  test('store prompts for the fields of a service that only the server has', async () => {
    const server_home = newHome();
    fs.mkdirSync(path.join(server_home, 'services'), { recursive: true });
    const definition = {
      ...{ slug: 'intranet', name: 'Intranet', description: 'Ours.', category: 'other', hosts: [] },
      ...{ value_field: {}, credential_types: ['custom'], injection: { in: 'none' } },
      fields: [
        { field_id: 'user', name: 'User', description: 'Who.', required: true, secret: false, max_length: 9 },
        { field_id: 'pin', name: 'Pin', description: 'Pin.', required: true, secret: true, max_length: 9 },
      ],
    };
    fs.writeFileSync(path.join(server_home, 'services', 'intranet.json'), JSON.stringify(definition));
    try {
      await keyholdOk(server_home, ['services', 'approve', 'intranet', '--yes']);
      const { url, admin_key } = await startServeProcess({ home: server_home });
      const env = { KEYHOLD_URL: url, KEYHOLD_API_KEY: admin_key };
      const typed: CliOptions['typed'] = [
        [/Intranet: User/, 'ana\r'],
        [/Intranet: Pin/, '1234\r'],
      ];
      const run = await keyhold(home, ['store', 'intranet'], { env, terminal: true, typed });
      expect(run.code, run.stderr).toBe(0);
      expect(run.stderr).not.toContain('1234');
      const status = await keyhold(home, ['status', 'intranet', '--json'], { env });
      expect(JSON.parse(status.stdout)).toMatchObject({ status: 'active' });
    } finally {
      await removeHome(server_home);
    }
  });

  test('keys create, rotate and revoke change the API keys of the server', async () => {
    const { json, remote, server } = await startServer();
    const made = await json<NewApiKey>([
      'keys',
      'create',
      '--org',
      'acme',
      '--user',
      'ana',
      '--expires',
      '1d',
    ]);
    const ana = { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: made.key };
    expect((await keyhold(home, ['status'], { env: ana })).code).toBe(0);
    const forbidden = await keyhold(home, ['audit', 'list'], { env: ana });
    expect(forbidden).toMatchObject({ code: 4, stdout: '' });
    const rotated = (await remote(['keys', 'rotate', made.id])).stdout.trim();
    expect((await keyhold(home, ['status'], { env: ana })).code).toBe(3);
    const again = { ...ana, KEYHOLD_API_KEY: rotated };
    expect((await keyhold(home, ['status'], { env: again })).code).toBe(0);
    expect((await remote(['keys', 'revoke', made.id, '--yes'])).code).toBe(0);
    expect((await keyhold(home, ['status'], { env: again })).code).toBe(3);
  });

  test('no command sends an unknown service id or its value to the server', async () => {
    const sent: string[] = [];
    const { url } = await httpServer((request, response) => {
      sent.push(`${request.method} ${request.url}`);
      request.setEncoding('utf8').on('data', (text: string) => sent.push(text));
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"services":[],"credentials":[]}');
    });
    const secret = 'sk-proj-5Fq9XyZ8wVuT';
    const env = { KEYHOLD_URL: url, KEYHOLD_API_KEY: 'kh_x' };
    for (const argv of [
      ['store', secret],
      ['update', secret],
      ['status', secret],
      ['delete', secret, '--yes'],
      ['services', 'list', secret],
      ['services', 'show', secret],
    ]) {
      await keyhold(home, argv, { env, stdin: VALUE });
    }
    expect(sent.filter((line) => line.startsWith('GET /v1/service-definitions'))).toHaveLength(6);
    expect(sent.join('\n')).not.toMatch(/sk-proj|lin_api/);
  });
});

describe('doctor against a server', () => {
  interface Report {
    readonly ok: boolean;
    readonly url: string | null;
    readonly checks: readonly { readonly check: string; readonly state: string; readonly message: string }[];
  }

  test('doctor reports that the server is healthy, and the user of the key', async () => {
    const { remote, json } = await startServer();
    const report = await json<Report>(['doctor']);
    expect(report.ok).toBe(true);
    expect(report.checks.map(({ check }) => check)).toEqual([
      ...['node', 'server', 'key', 'version', 'vault', 'audit'],
    ]);
    expect(report.checks.find(({ check }) => check === 'key')?.message).toContain('me in local');
    const text = (await remote(['doctor'])).stdout;
    expect(text).toMatch(/^Server: http:\/\/127\.0\.0\.1:\d+\/\n\n/);
    expect(text).toMatch(/ok {4}server +Healthy/);
    expect(fs.existsSync(home)).toBe(false);
  });

  test.each<[string, NodeJS.ProcessEnv, number, string]>([
    ['an invalid URL', { KEYHOLD_URL: 'keyhold' }, 2, 'server'],
    ['an unreachable server', { KEYHOLD_URL: 'http://127.0.0.1:9' }, 13, 'server'],
    ['an unknown API key', { KEYHOLD_API_KEY: 'kh_wrong' }, 3, 'key'],
    ['a missing API key', { KEYHOLD_API_KEY: '' }, 3, 'key'],
  ])('doctor reports %s and exits with the code of the error', async (_what, env, code, check) => {
    const { remote } = await startServer();
    const run = await remote(['doctor', '--json'], { env });
    expect(run.code).toBe(code);
    const report = JSON.parse(run.stdout) as Report;
    expect(report.ok).toBe(false);
    expect(report.checks.find(({ state }) => state === 'fail')).toMatchObject({ check });
  });

  test('doctor runs only the checks that the scopes of the key allow', async () => {
    const { server, json } = await startServer();
    const env = { KEYHOLD_API_KEY: await server.key({ scopes: ['credentials:write'] }) };
    const { checks } = await json<Report>(['doctor'], { env });
    expect(checks.map(({ check }) => check)).toEqual(['node', 'server', 'key', 'version']);
  });

  test('doctor warns if the server has another version', async () => {
    const { json } = await startServer();
    const change: CliOptions['change'] = (app) => ({ ...app, version: '9.9.9' });
    const { checks } = await json<Report>(['doctor'], { change });
    expect(checks.find(({ check }) => check === 'version')).toMatchObject({ state: 'warn' });
  });
});

describe('completion against a server', () => {
  const complete = async (folder: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const run = await keyhold(folder, ['__complete', '--', ...words], { env });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    return run.stdout.split('\n').filter((line) => line !== '');
  };

  test('completion offers key ids and unit names of the local vault and of a server', async () => {
    const { server, env } = await startServer();
    const { id } = await server.vault.api_keys.create(server.caller(), { user: 'ana' });
    await server.vault.organizations.createUnit(server.caller(), 'sales');
    for (const [folder, more] of [
      [server.home, {}],
      [home, env],
    ] as const) {
      expect(await complete(folder, ['keys', 'revoke', ''], more)).toContain(id);
      expect(await complete(folder, ['keys', 'rotate', '--json', id.slice(0, -1)], more)).toEqual([id]);
      expect(await complete(folder, ['keys', 'create', '--unit', 's'], more)).toEqual(['sales']);
    }
    const at = ['keys', 'rotate', '--url', server.url, '--key-file', keyFile(env.KEYHOLD_API_KEY), id];
    expect(await complete(home, at)).toEqual([id]);
  });

  test('completion offers nothing and creates nothing without a vault, a key or a server', async () => {
    expect(await complete(home, ['keys', 'revoke', ''])).toEqual([]);
    expect(await complete(home, ['keys', 'revoke', ''], { KEYHOLD_ROOT_KEY: 'passphrase' })).toEqual([]);
    expect(await complete(home, ['keys', 'revoke', ''], { KEYHOLD_URL: 'http://127.0.0.1:9' })).toEqual([]);
    expect(
      await complete(home, ['keys', 'revoke', ''], {
        KEYHOLD_URL: 'http://127.0.0.1:9',
        KEYHOLD_API_KEY: 'kh_x',
      }),
    ).toEqual([]);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('completion offers scopes and services within comma-separated lists, also if bash splits them at colons', async () => {
    const scopes = (...words: string[]) => complete(home, ['keys', 'create', '--scopes', ...words]);
    expect(await scopes('cred')).toEqual(['credentials:read', 'credentials:write', 'credentials:use']);
    expect(await scopes('credentials:read,cred')).toEqual([
      'credentials:read,credentials:write',
      'credentials:read,credentials:use',
    ]);
    expect(await scopes('credentials', ':', 'w')).toEqual(['write']);
    expect(await scopes('credentials', ':')).toEqual(['read', 'write', 'use']);
    expect(await scopes('credentials', ':', 'read,audit', ':', 'r')).toEqual(['read']);
    expect(await scopes('credentials', ':', 'read,aud')).toEqual(['read,audit:read']);
    expect(await complete(home, ['keys', 'create', '--services', 'linear,datad'])).toEqual([
      'linear,datadog',
      ...(await complete(home, ['services', 'show', 'datad'])).slice(1).map((id) => `linear,${id}`),
    ]);
    expect(await complete(home, ['audit', 'list', '--action', 'rotate_k'])).toEqual(['rotate_key']);
  });
});

test('the built program works with a built server, whose log contains neither key nor value', async () => {
  const { url, admin_key, end, stderr } = await startServeProcess();
  const env = { KEYHOLD_HOME: home, KEYHOLD_URL: url, KEYHOLD_API_KEY: admin_key };
  const run = async (args: readonly string[], input?: string) => {
    const finished = await runProgram(args, { env, ...(input === undefined ? {} : { input }) });
    expect(finished.code, finished.stderr).toBe(0);
    return finished.stdout;
  };
  const mcp = await runProgram(['mcp'], { env });
  expect(mcp).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('/mcp below its URL') });
  const serve = await runProgram(['serve', '--port', '0'], { env });
  expect(serve).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('unset KEYHOLD_URL') });
  await run(['store', 'linear'], VALUE);
  expect(await run(['status', 'linear'])).toMatch(/^Linear: active\n/);
  expect(await run(['keys', 'create', '--org', 'acme', '--user', 'ana'])).toMatch(/^kh_\S{76}\n$/);
  expect(await run(['audit', 'verify', '--org', 'acme'])).toContain('intact');
  expect(JSON.parse(await run(['doctor', '--json']))).toMatchObject({ ok: true });
  expect(fs.existsSync(home)).toBe(false);
  expect(await end()).toMatchObject({ code: 0 });
  expect(findText(Buffer.from(stderr()), admin_key)).toEqual([]);
  expect(findText(Buffer.from(stderr()), VALUE)).toEqual([]);
});
