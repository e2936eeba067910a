/** The bootstrap API key of `keyhold serve`, with the built program: created once and never lost to a killed process. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { ApiKeyList } from '../../src/contract/api_key.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const OTHER_KEY = `kh_${'0'.repeat(32)}_${'A'.repeat(43)}`;

const fileOf = (home: string) => join(home, 'keys', 'admin.key');
/** Names of the temporary files beside the file. */
const tempFilesOf = (home: string) =>
  readdirSync(join(home, 'keys')).filter((name) => name.startsWith('admin.key.'));

async function keyhold(home: string, ...argv: string[]): Promise<string> {
  const run = await runProgram(argv, { env: { KEYHOLD_HOME: home } });
  expect(run.code, run.stderr).toBe(0);
  return run.stdout;
}

async function keysOf(home: string): Promise<ApiKeyList['keys']> {
  return (JSON.parse(await keyhold(home, 'keys', 'list', '--json')) as ApiKeyList).keys;
}

const isAccepted = async ({ url }: ServeProcess, key: string) =>
  (await fetch(`${url}/v1/me`, { headers: { 'x-api-key': key } })).status === 200;

test.each([
  ['is kept', false],
  ['is removed', true],
])(
  'serve creates no second key after the bootstrap key was revoked and its file %s',
  async (_what, is_removed) => {
    const first = await startServeProcess();
    await first.end();
    const { home } = first;
    await keyhold(home, 'keys', 'create', '--org', 'acme', '--user', 'ana');
    const [admin] = await keysOf(home);
    await keyhold(home, 'keys', 'revoke', admin?.id ?? '', '--yes');
    if (is_removed) rmSync(fileOf(home));
    const server = await startServeProcess({ home });
    expect(await isAccepted(server, first.admin_key)).toBe(false);
    expect(await keysOf(home)).toEqual([]);
    if (is_removed) expect(existsSync(fileOf(home))).toBe(false);
    else expect(readFileSync(fileOf(home), 'utf8').trim()).toBe(first.admin_key);
    expect(tempFilesOf(home)).toEqual([]);
    expect(server.stderr()).not.toContain('bootstrap API key');
  },
);

test('keyhold keys create replaces a bootstrap key that was revoked', async () => {
  const { home, end } = await startServeProcess();
  await end();
  const [admin] = await keysOf(home);
  await keyhold(home, 'keys', 'revoke', admin?.id ?? '', '--yes');
  const scopes = admin?.scopes.join(',') ?? '';
  const key = (await keyhold(home, 'keys', 'create', '--name', 'admin', '--scopes', scopes)).trim();
  expect(await isAccepted(await startServeProcess({ home }), key)).toBe(true);
  expect((await keysOf(home))[0]?.scopes).toContain('org:admin');
});

describe('the first start of serve', () => {
  /** Kills the process instead of a call of this function of node:fs with the key file, its temporary file or its folder. */
  async function killedAt(call: 'linkSync' | 'rmSync' | 'fsyncSync', times = 1): Promise<string> {
    const home = temporaryFolder();
    const module = join(temporaryFolder(), 'killing.mjs');
    writeFileSync(
      module,
      `import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const open = fs.openSync;
      let opened;
      let calls = 0;
      fs.openSync = (path, ...more) => {
        const file = open(path, ...more);
        if (String(path).includes('admin.key') || (calls > 0 && String(path).endsWith('keys'))) opened = file;
        return file;
      };
      const call = fs.${call};
      fs.${call} = (what, ...more) => {
        if ((what === opened || String(what).includes('admin.key')) && ++calls === ${times})
          process.kill(process.pid, 'SIGKILL');
        return call(what, ...more);
      };
      syncBuiltinESMExports();`,
    );
    const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0', NODE_OPTIONS: `--import=${module}` };
    expect(await runProgram(['serve'], { env })).toMatchObject({ signal: 'SIGKILL', stdout: '' });
    return home;
  }

  test.each([
    ['before the file has its name', 'linkSync', 1],
    ['before the temporary file is synced', 'fsyncSync', 1],
    ['before the folder is synced', 'fsyncSync', 2],
    ['before the temporary file is removed', 'rmSync', 1],
  ] as const)(
    'serve creates the bootstrap key at the next start after it was killed %s',
    async (_what, call, times) => {
      const home = await killedAt(call, times);
      expect(tempFilesOf(home)).toHaveLength(1);
      const saved = existsSync(fileOf(home)) ? readFileSync(fileOf(home), 'utf8').trim() : undefined;
      const server = await startServeProcess({ home });
      expect(tempFilesOf(home)).toEqual([]);
      if (saved !== undefined) expect(server.admin_key).toBe(saved);
      expect(await isAccepted(server, server.admin_key)).toBe(true);
      expect(statSync(fileOf(home)).mode & 0o777).toBe(0o600);
      expect(await keysOf(home)).toHaveLength(1);
      await vi.waitFor(() => expect(server.stderr()).toContain('created the bootstrap API key'), {
        timeout: 20_000,
      });
      expect(server.stderr()).not.toContain(server.admin_key.slice(40));
    },
  );
});

test.each([
  ['is truncated', OTHER_KEY.slice(0, -1), 0o600],
  ['is empty', '', 0o600],
  ['contains the key of another vault', `${OTHER_KEY}\n`, 0o600],
  ['can be read by other users', OTHER_KEY, 0o644],
])(
  'serve refuses to start in a new vault if the key file %s, and creates no key',
  async (_what, text, mode) => {
    const home = temporaryFolder();
    mkdirSync(join(home, 'keys'), { mode: 0o700 });
    writeFileSync(fileOf(home), text);
    chmodSync(fileOf(home), mode);
    const { code, stderr } = await runProgram(['serve'], { env: { KEYHOLD_HOME: home, KEYHOLD_PORT: '0' } });
    expect([code, readFileSync(fileOf(home), 'utf8')]).toEqual([6, text]);
    expect(stderr).toContain('Move the file away, then start again');
    expect(await keysOf(home)).toEqual([]);
    rmSync(fileOf(home));
    const server = await startServeProcess({ home });
    expect(await isAccepted(server, server.admin_key)).toBe(true);
  },
);

test('serve removes only regular files that are named like its temporary files', async () => {
  const home = temporaryFolder();
  const id = '01a202a0-0000-7000-8000-000000000000';
  mkdirSync(join(home, 'keys'), { mode: 0o700 });
  writeFileSync(`${fileOf(home)}.${id}`, OTHER_KEY, { mode: 0o600 });
  mkdirSync(`${fileOf(home)}.${id.replace('01', '04')}`, { mode: 0o600 });
  writeFileSync(`${fileOf(home)}.old`, OTHER_KEY, { mode: 0o600 });
  await startServeProcess({ home });
  expect(tempFilesOf(home).sort()).toEqual([`admin.key.${id.replace('01', '04')}`, 'admin.key.old']);
});

test('two servers that start at the same time in a new vault share one key and its file', async () => {
  for (let round = 0; round < 3; round++) {
    const home = temporaryFolder();
    const servers = await Promise.all([startServeProcess({ home }), startServeProcess({ home })]);
    const key = readFileSync(fileOf(home), 'utf8').trim();
    for (const server of servers) expect(await isAccepted(server, key)).toBe(true);
    expect(tempFilesOf(home)).toEqual([]);
    expect(await keysOf(home)).toHaveLength(1);
    for (const server of servers) await server.end();
  }
}, 60_000);
