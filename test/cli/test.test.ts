/** `keyhold test`: services that accept and refuse credentials, and credentials that cannot be tested. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { testEach } from '../../src/cli/commands/test/test_each.ts';
import { VaultError } from '../../src/contract/errors.ts';
import type { TestOutput } from '../../src/contract/use/test.ts';
import { type CliRun, keyhold, keyholdOk } from '../kit/child/cli.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { FULL_SERVER_OPTIONS } from '../kit/http/in_process_server.ts';
import { type Handler, startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { BEARER, definitionOf } from '../use/call/call_kit.ts';

const TEST = {
  method: 'GET',
  path: '/me',
  accept: [{ status: [200] }],
  reject: [{ status: [401] }],
  identity: { name: '/login' },
};
const TOKEN = 'tok_0123456789abcdef';

/** The status is the last part of the host's first label; the account contains the token. */
const byHost: Handler = ({ headers }, response) => {
  const [, status = '200'] = /^[a-z]+(\d+)\./.exec(String(headers.host)) ?? [];
  response
    .writeHead(Number(status), { 'content-type': 'application/json' })
    .end(JSON.stringify({ login: 'ann' }));
};

let home: string;
let env: NodeJS.ProcessEnv;
beforeEach(() => {
  home = join(temporaryFolder(), 'home');
});

/** Services whose tests get these statuses, each with a credential. */
async function open(statuses: readonly number[]): Promise<void> {
  const slugs = statuses.map((status) => `acme${status}`);
  await startUpstream(
    slugs.map((slug) => `${slug}.test`),
    byHost,
  );
  env = upstreamEnv(temporaryFolder());
  mkdirSync(join(home, 'services'), { recursive: true });
  for (const slug of [...slugs, 'plain']) {
    const host = `${slug}.test`;
    const more = { slug, name: `The ${slug}`, hosts: [host], base_url: `https://${host}` };
    const definition = definitionOf(BEARER, { ...more, ...(slug === 'plain' ? {} : { test: TEST }) });
    writeFileSync(join(home, 'services', `${slug}.json`), JSON.stringify(definition));
  }
  const { vault, caller } = await openTestVault(home);
  for (const slug of slugs) await vault.update(caller(), { service_id: slug, credentials: { token: TOKEN } });
}

const run = (...argv: readonly string[]): Promise<CliRun> => keyhold(home, ['test', ...argv], { env });
const store = (slug: string, ...argv: readonly string[]) =>
  keyholdOk(home, ['store', slug, ...argv], { stdin: TOKEN, env });
const rowsOf = async (...argv: readonly string[]) =>
  JSON.parse((await run(...argv, '--json')).stdout) as (TestOutput & { error?: { code: string } })[];

describe('keyhold test', () => {
  test('keyhold test exits with 2 without a service, and with a service and --all', async () => {
    await open([]);
    for (const argv of [[], ['linear', '--all']]) {
      const { code, stderr } = await run(...argv);
      expect([code, stderr]).toEqual([2, 'error: Name one or more services, or give --all.\n']);
    }
  });

  test('keyhold test --all without a vault suggests store, and creates nothing', async () => {
    expect(await keyholdOk(home, ['test', '--all'])).toMatch(/no credentials to test.\nNext: keyhold store/);
    expect(await keyholdOk(home, ['test', '--all', '--json'])).toBe('[]\n');
  });

  test('keyhold test exits with 5 for a service without a credential, and names the next step', async () => {
    await open([]);
    await store('linear', '--stack', 'other');
    const { code, stdout } = await run('linear');
    expect(code).toBe(5);
    expect(stdout).toMatch(/^linear +not tested/m);
    expect(stdout).toContain('1 not tested');
    expect(await rowsOf('linear')).toMatchObject([
      { service_id: 'linear', credential_id: null, error: { code: 'NOT_FOUND' } },
    ]);
  });

  test('keyhold test exits with 3 if a service refuses one of several credentials', async () => {
    await open([200, 401, 503]);
    const { code, stdout, stderr } = await run('acme200', 'acme401', 'acme503');
    expect([code, stderr]).toEqual([3, '']);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^SERVICE +NAME +RESULT +ACCOUNT +TIME +REASON$/);
    expect(lines[1]).toMatch(/^acme200 +valid +ann +\d+ ms +The service accepts the credential.$/);
    expect(lines[2]).toMatch(/^acme401 +invalid +\d+ ms +The service refuses the credential.$/);
    expect(lines[3]).toMatch(/^acme503 +unknown +\d+ ms +The service failed.$/);
    expect(lines[5]).toBe('1 valid, 1 invalid, 1 unknown');
    expect(stdout).toMatch(/Next for acme401: Store new values with `keyhold store acme401`/);
    expect(stdout).toMatch(/Next for acme503: Test again later./);
    expect(stdout).not.toContain('Next for acme200');
    expect(stdout).not.toContain(TOKEN);
  });

  test.each([
    [200, 0, 'valid'],
    [401, 3, 'invalid'],
    [429, 14, 'unknown'],
  ])('keyhold test of a service with the status %i exits with %i', async (status, exit_code, result) => {
    await open([status]);
    const { code, stdout } = await run(`acme${status}`, '--json');
    expect(code).toBe(exit_code);
    expect(JSON.parse(stdout)).toMatchObject([{ service_id: `acme${status}`, name: null, result }]);
  });

  test('keyhold test exits with 14 for a credential that has no test', async () => {
    await open([]);
    await store('plain');
    const { code, stdout } = await run('plain');
    expect([code, stdout]).toEqual([14, expect.stringMatching(/unknown .*This credential has no test/)]);
  });

  test('keyhold test --all tests the named credentials of all stacks, and --stack those of one', async () => {
    await open([200]);
    await store('acme200', '--name', 'work');
    await store('acme200', '--stack', 'team');
    const { code, stdout } = await run('--all');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^SERVICE +NAME +STACK +RESULT/);
    const found = (await rowsOf('--all')).map(({ name, stack_id }) => `${stack_id}/${name}`);
    expect(found.sort()).toEqual(['default/null', 'default/work', 'team/null']);
    expect((await rowsOf('--all', '--stack', 'team')).length).toBe(1);
    expect((await rowsOf('acme200')).map(({ name }) => name).sort()).toEqual([null, 'work']);
    expect((await rowsOf('acme200', '--name', 'work')).map(({ name }) => name)).toEqual(['work']);
  });

  test('a stack with more than 100 credentials is not tested as a whole, and --name tests one of the others', async () => {
    await open([200]);
    await store('acme200', '--name', 'old');
    const { vault, caller } = await openTestVault(home);
    for (let at = 0; at < 100; at++)
      await vault.update(caller(), {
        service_id: 'linear',
        name: `${at}`,
        credentials: { linear_api_key: 'v' },
      });
    const { code, stderr } = await run('acme200');
    expect([code, stderr]).toEqual([14, expect.stringContaining('For another: keyhold test SERVICE --name')]);
    const named = await run('acme200', '--name', 'old');
    expect([named.code, named.stderr]).toEqual([0, '']);
    const missing = await run('acme200', '--name', 'never-stored');
    expect([missing.code, missing.stdout]).toEqual([5, expect.not.stringContaining('never-stored')]);
  });

  test('an incomplete and a switched off credential are rows, and the others are tested', async () => {
    await open([200]);
    await keyholdOk(home, ['store', 'datadog', '--type', 'api_key'], { stdin: 'abc', env });
    await store('acme200', '--name', 'off');
    const { vault, caller } = await openTestVault(home);
    const off = (await vault.credentials.list(caller())).find(({ name }) => name === 'off');
    await vault.credentials.change(caller(), off?.id ?? '', { inactive: true });
    const { code, stdout } = await run('--all', '--json');
    const rows = (JSON.parse(stdout) as (TestOutput & { error?: { code: string } })[]).map(
      ({ service_id, name, result, error }) => [service_id, name, result ?? error?.code],
    );
    expect(rows.sort()).toEqual([
      ['acme200', null, 'valid'],
      ['acme200', 'off', 'INACTIVE'],
      ['datadog', null, 'INVALID_INPUT'],
    ]);
    expect([2, 8]).toContain(code);
  });

  test('the table is coloured and the progress is shown in a terminal only', async () => {
    await open([200, 401]);
    const { stdout, stderr } = await keyhold(home, ['test', '--all'], { env, terminal: true });
    expect(stdout).toContain('\u001b[32mvalid');
    expect(stdout).toContain('\u001b[31minvalid');
    expect(stderr).toContain('Tested 2 of 2');
    expect(stderr.endsWith('\r\u001b[K')).toBe(true);
    expect((await run('--all')).stderr).toBe('');
  });

  test('keyhold test tests the credentials of a server with its API key', async () => {
    await open([200, 401]);
    const server = await startHttpServer({ ...FULL_SERVER_OPTIONS, home, env });
    const remote = { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: await server.key() };
    const { code, stdout } = await keyhold(home, ['test', '--all', '--json'], { env: remote });
    const rows = (JSON.parse(stdout) as TestOutput[]).map(({ service_id, result }) => [service_id, result]);
    expect([code, rows.sort()]).toEqual([
      3,
      [
        ['acme200', 'valid'],
        ['acme401', 'invalid'],
      ],
    ]);
    const user = await server.key({ scopes: ['credentials:use'] });
    const use_only = { ...remote, KEYHOLD_API_KEY: user };
    expect((await keyhold(home, ['test', 'acme200'], { env: use_only })).code).toBe(0);
  });

  test('audit list shows a test with the server that it was made at', async () => {
    await open([200]);
    await run('--all');
    const list = await keyholdOk(home, ['audit', 'list'], { env });
    expect(list).toMatch(
      / use_outcome +acme200 +default +test GET https:\/\/acme200.test\/me \(status 200\)/,
    );
    expect(list).not.toContain('child process');
  });

  test('status shows the result of the last test', async () => {
    await open([401]);
    expect(await keyholdOk(home, ['status'], { env })).not.toContain('TEST');
    await run('--all');
    expect(await keyholdOk(home, ['status'], { env })).toMatch(/BY +TEST\nacme401 .*me +invalid \S+/);
    expect(await keyholdOk(home, ['status', 'acme401'], { env })).toMatch(
      /^Tested .+: invalid. The service refuses the credential.$/m,
    );
  });

  test('completion of test offers the services with a credential that are not on the line', async () => {
    await open([200, 401]);
    const complete = async (...words: string[]) =>
      (await keyholdOk(home, ['__complete', '--', 'test', ...words])).split('\n').filter(Boolean).sort();
    expect(await complete('')).toEqual(['acme200', 'acme401']);
    expect(await complete('acme200', '')).toEqual(['acme401']);
    expect(await complete('acme4')).toEqual(['acme401']);
    expect(await complete('--a')).toEqual(['--all']);
  });
});

describe('testing several credentials', () => {
  const credential = (name: string) => ({
    service_id: 'linear',
    service_name: 'Linear',
    name,
    stack_id: 'default',
    credential_id: null,
  });
  const credentials = Array.from({ length: 30 }, (_, at) => credential(`${at}`));
  const stderr = { isTTY: false } as NodeJS.WriteStream;
  const output = { result: 'valid' } as TestOutput;

  test('at most 8 are tested at the same time, and the results keep the order', async () => {
    let [running, most] = [0, 0];
    const results = await testEach(
      { stderr },
      {
        testCredential: async ({ name = '' }) => {
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setTimeout(resolve, Number(name) % 3));
          running -= 1;
          return { ...output, name };
        },
      },
      credentials,
    );
    expect(most).toBe(8);
    expect(results.map(({ name }) => name)).toEqual(credentials.map(({ name }) => name));
  });

  test('a test beyond the limit of the vault is made once the limit allows it', async () => {
    let calls = 0;
    const testCredential = async () => {
      calls += 1;
      if (calls > 20 && calls < 25) throw new VaultError('RATE_LIMITED', 'Too many.', { retry_after: 0.02 });
      return output;
    };
    const results = await testEach({ stderr }, { testCredential }, credentials);
    expect(results).toEqual(credentials.map(() => output));
    expect(calls).toBe(34);
  });

  test('no further credential is tested once the vault as a whole fails', async () => {
    let calls = 0;
    const testCredential = async (): Promise<TestOutput> => {
      calls += 1;
      throw new VaultError('UNAUTHENTICATED', 'No such key.');
    };
    await expect(testEach({ stderr }, { testCredential }, credentials)).rejects.toThrow('No such key.');
    expect(calls).toBeLessThanOrEqual(8);
  });
});
