/** The first API key of `keyhold serve`, the built program: made once, never lost, and never in the way of a start. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
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

const SECOND_ID = '01a202a0-0000-7000-8000-000000000000';
const OTHER_KEY = `kh_${'0'.repeat(32)}_${'A'.repeat(43)}\n`;

const fileOf = (home: string) => join(home, 'keys', 'admin.key');
/** Names of the drafts beside the file. */
const draftsOf = (home: string) =>
  readdirSync(join(home, 'keys')).filter((name) => name.startsWith('admin.key.'));

async function keyhold(home: string, ...argv: string[]): Promise<string> {
  const run = await runProgram(argv, { env: { KEYHOLD_HOME: home } });
  expect(run.code, run.stderr).toBe(0);
  return run.stdout;
}

async function keysOf(home: string): Promise<ApiKeyList['keys']> {
  return (JSON.parse(await keyhold(home, 'keys', 'list', '--json')) as ApiKeyList).keys;
}

/** Started once and stopped again. */
async function startedOnce(): Promise<ServeProcess> {
  const server = await startServeProcess();
  await server.end();
  return server;
}

const letsIn = async ({ url }: ServeProcess, key: string) =>
  (await fetch(`${url}/v1/me`, { headers: { 'x-api-key': key } })).status === 200;

describe('where the first key was revoked', () => {
  async function revoked(): Promise<string> {
    const { home } = await startedOnce();
    await keyhold(home, 'keys', 'create', '--org', 'acme', '--user', 'ana');
    const [admin] = await keysOf(home);
    await keyhold(home, 'keys', 'revoke', admin?.id ?? '', '--yes');
    return home;
  }

  test('the server starts, makes none, and warns of the file with what to do', async () => {
    const home = await revoked();
    const file = readFileSync(fileOf(home), 'utf8');
    const server = await startServeProcess({ home });
    expect(await letsIn(server, file.trim())).toBe(false);
    await server.end();
    expect(readFileSync(fileOf(home), 'utf8')).toBe(file);
    expect(await keysOf(home)).toEqual([]);
    const [warning] = server
      .stderr()
      .split('\n')
      .filter((line) => line.includes(fileOf(home)));
    const { level, msg } = JSON.parse(warning ?? '{}') as { level: unknown; msg: string };
    expect([40, 'warn']).toContain(level);
    const [, command = ''] = /run on this machine: keyhold (.*)$/.exec(msg) ?? [];
    rmSync(fileOf(home));
    const key = (await keyhold(home, ...command.split(' '))).trim();
    const again = await startServeProcess({ home });
    expect(await letsIn(again, key)).toBe(true);
    expect((await keysOf(home))[0]?.scopes).toContain('org:admin');
    expect(again.stderr()).not.toContain('admin.key');
  });

  test('and its file moved away, none is made unasked', async () => {
    const home = await revoked();
    rmSync(fileOf(home));
    const server = await startServeProcess({ home });
    expect(existsSync(fileOf(home))).toBe(false);
    expect(draftsOf(home)).toEqual([]);
    expect(await keysOf(home)).toEqual([]);
    expect(server.stderr()).not.toContain('first API key');
  });
});

test('a first key that was rotated leaves a file that is warned of', async () => {
  const { home } = await startedOnce();
  const [admin] = await keysOf(home);
  await keyhold(home, 'keys', 'rotate', admin?.id ?? '');
  const server = await startServeProcess({ home });
  await vi.waitFor(() => expect(server.stderr()).toContain('revoked or rotated'));
});

describe('a start that is killed', () => {
  /** Kills the process in place of the named function of node:fs, when it is called with the file or a draft of it. */
  async function killedAt(call: 'linkSync' | 'rmSync' | 'fsyncSync'): Promise<string> {
    const home = temporaryFolder();
    const module = join(temporaryFolder(), 'killing.mjs');
    writeFileSync(
      module,
      `import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const open = fs.openSync;
      let draft;
      fs.openSync = (path, ...more) => {
        const file = open(path, ...more);
        if (String(path).includes('admin.key.')) draft = file;
        return file;
      };
      const call = fs.${call};
      fs.${call} = (what, ...more) => {
        if (what === draft || String(what).includes('admin.key')) process.kill(process.pid, 'SIGKILL');
        return call(what, ...more);
      };
      syncBuiltinESMExports();`,
    );
    const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0', NODE_OPTIONS: `--import=${module}` };
    expect(await runProgram(['serve'], { env })).toMatchObject({ signal: 'SIGKILL', stdout: '' });
    return home;
  }

  test.each([
    ['before the key is made', 'fsyncSync', 'made the first API key'],
    ['before the file has its name', 'linkSync', 'found the first API key'],
    ['before the draft is gone', 'rmSync', undefined],
  ] as const)('%s loses no key', async (_what, call, said) => {
    const home = await killedAt(call);
    expect(draftsOf(home)).toHaveLength(1);
    const server = await startServeProcess({ home });
    expect(draftsOf(home)).toEqual([]);
    expect(await letsIn(server, server.admin_key)).toBe(true);
    expect(statSync(fileOf(home)).mode & 0o777).toBe(0o600);
    expect(await keysOf(home)).toHaveLength(1);
    if (said === undefined) expect(server.stderr()).not.toContain('first API key');
    else await vi.waitFor(() => expect(server.stderr()).toContain(said));
    expect(server.stderr()).not.toContain(server.admin_key.slice(40));
  });

  test('is told of also where the log is silent', async () => {
    const home = await killedAt('linkSync');
    const server = await startServeProcess({ home, env: { KEYHOLD_LOG: 'silent' } });
    expect(server.stderr()).toMatch(/^Found the first API key, [^\n]*: \S+admin\.key\n$/);
  });

  test('is found by the doctor', async () => {
    const home = await killedAt('linkSync');
    expect(await keyhold(home, 'doctor')).toMatch(/warn {2}admin_key .*\n.*keyhold serve/);
    const server = await startServeProcess({ home });
    await server.end();
    expect(await keyhold(home, 'doctor')).not.toContain('admin_key');
  });
});

describe('what lies beside the file', () => {
  test('is removed only where it is surely a draft, and no good', async () => {
    const { home } = await startedOnce();
    const beside = (name: string) => join(home, 'keys', `admin.key.${name}`);
    writeFileSync(beside(SECOND_ID), OTHER_KEY, { mode: 0o600 });
    writeFileSync(beside(SECOND_ID.replace('01', '02')), '', { mode: 0o600 });
    const shown = SECOND_ID.replace('01', '03');
    writeFileSync(beside(shown), OTHER_KEY);
    chmodSync(beside(shown), 0o644);
    const folder = SECOND_ID.replace('01', '04');
    mkdirSync(beside(folder), { mode: 0o600 });
    writeFileSync(beside('old'), OTHER_KEY, { mode: 0o600 });
    await startServeProcess({ home });
    expect(draftsOf(home).sort()).toEqual([`admin.key.${shown}`, `admin.key.${folder}`, 'admin.key.old']);
  });

  test('stays where the file is of another key', async () => {
    const { home, admin_key } = await startedOnce();
    renameSync(fileOf(home), `${fileOf(home)}.${SECOND_ID}`);
    writeFileSync(fileOf(home), OTHER_KEY, { mode: 0o600 });
    const server = await startServeProcess({ home });
    expect(readFileSync(fileOf(home), 'utf8')).toBe(OTHER_KEY);
    expect(draftsOf(home)).toEqual([`admin.key.${SECOND_ID}`]);
    expect(await letsIn(server, admin_key)).toBe(true);
    await vi.waitFor(() => expect(server.stderr()).toContain('of another vault'));
    await server.end();
    rmSync(fileOf(home));
    expect((await startServeProcess({ home })).admin_key).toBe(admin_key);
  });
});

test('two servers that start at the same moment in a new vault have one key, and its file', async () => {
  for (let round = 0; round < 3; round++) {
    const home = temporaryFolder();
    const servers = await Promise.all([startServeProcess({ home }), startServeProcess({ home })]);
    const key = readFileSync(fileOf(home), 'utf8').trim();
    for (const server of servers) expect(await letsIn(server, key)).toBe(true);
    expect(draftsOf(home)).toEqual([]);
    expect(await keysOf(home)).toHaveLength(1);
    for (const server of servers) await server.end();
  }
}, 60_000);
