/** Commands on a vault in PostgreSQL: only `keyhold init` creates one, secrets stay out of every output, and doctor's findings. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/cli/commands/doctor/finding.ts';
import { type CliOptions, type CliRun, keyhold, keyholdJson, newHome, removeHome } from '../kit/child/cli.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { NO_POSTGRESQL, type PostgresqlServer, startPostgresql } from '../kit/servers/postgresql.ts';
import { issueCertificate, selfSignedCertificate, TEST_CA_CERT } from '../kit/upstream/certificates.ts';

const PASSWORD = 'role-password-9c4e';
/** A socket would not show whether a password or TLS is used. */
const RULES = [
  'local all all trust',
  'hostssl all all 127.0.0.1/32 scram-sha-256',
  'hostnossl all all 127.0.0.1/32 scram-sha-256',
];

let server: PostgresqlServer;
let home: string;
let database = '';
let databases = 0;

beforeAll(async () => {
  if (NO_POSTGRESQL) return;
  server = await startPostgresql(RULES, issueCertificate(['localhost']));
  await server.execute(
    `CREATE ROLE keeper LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE boss LOGIN SUPERUSER PASSWORD '${PASSWORD}'`,
  );
});
afterAll(() => server?.stop());
beforeEach(async () => {
  home = newHome();
  databases += 1;
  database = `vault_${databases}`;
  await server?.execute(`CREATE DATABASE ${database} OWNER keeper`);
});
afterEach(() => removeHome(home));

const uri = (parameters = '', { user = 'keeper', host = '127.0.0.1' } = {}) =>
  `postgres://${user}@${host}:${server.port}/${database}${parameters}`;

function envOf(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { KEYHOLD_STORE: uri(), KEYHOLD_STORE_PASSWORD: PASSWORD, ...more };
}

function run(argv: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  return keyhold(home, argv, { ...options, env: envOf(options.env) });
}

async function failureOf(argv: readonly string[], env: NodeJS.ProcessEnv = {}, stdin = '') {
  const { code, stdout, stderr } = await run([...argv, '--json'], { env, stdin });
  expect(stdout + stderr).not.toContain(PASSWORD);
  const { error } = JSON.parse(stderr) as { error: { code: string; reason?: string; message: string } };
  return { exit_code: code, ...error };
}

async function schemas(): Promise<string[]> {
  const client = new pg.Client({
    ...new URL(uri()),
    host: '127.0.0.1',
    port: server.port,
    database,
    user: 'keeper',
    password: PASSWORD,
  });
  await client.connect();
  const { rows } = await client.query("SELECT nspname FROM pg_namespace WHERE nspname = 'keyhold'");
  await client.end();
  return rows.map(({ nspname }) => nspname);
}

describe.skipIf(NO_POSTGRESQL)('an empty database', () => {
  test.each([
    ['status', []],
    ['store', ['linear', '--stdin']],
    ['audit', ['list']],
    ['keys', ['list']],
  ])('gets no vault from `keyhold %s`', async (command, rest) => {
    const failure = await failureOf([command, ...rest], {}, 'a-value');
    expect(failure).toMatchObject({ exit_code: 5, code: 'NOT_FOUND', reason: 'vault_missing' });
    expect(failure.message).toContain('keyhold init');
    expect(await schemas()).toEqual([]);
    expect(fs.existsSync(path.join(home, 'keys', 'root.key'))).toBe(false);
  });

  test('gets no vault from `keyhold serve`, which ends with the next step', async () => {
    await expect(startServeProcess({ home, env: envOf() })).rejects.toThrow(/keyhold init/);
    expect(await schemas()).toEqual([]);
  });

  test('gets a vault, its root key and the API key of the operator from `keyhold init`, once', async () => {
    const first = await keyholdJson<Record<string, unknown>>(home, ['init'], { env: envOf() });
    expect(first).toMatchObject({
      created: true,
      vault: `postgres://keeper@127.0.0.1:${server.port}/${database}`,
      root_key: { source: 'file' },
      api_key_file: path.join(home, 'keys', 'admin.key'),
    });
    const second = await keyholdJson<Record<string, unknown>>(home, ['init'], { env: envOf() });
    expect(second).toEqual({ ...first, created: false, api_key_file: null });
    const { stdout } = await run(['init']);
    expect(stdout).toMatch(/already exists and was not changed: postgres:/);
    expect((await run(['store', 'linear', '--stdin'], { stdin: 'a-value' })).code).toBe(0);
    expect(
      (await keyholdJson<{ credentials: unknown[] }>(home, ['status'], { env: envOf() })).credentials,
    ).toHaveLength(1);
  });

  test('gets one vault from several `keyhold init` at the same time', async () => {
    const runs = await Promise.all(
      Array.from({ length: 4 }, () =>
        keyholdJson<{ public_key: string; api_key_file: string | null }>(home, ['init'], { env: envOf() }),
      ),
    );
    expect(new Set(runs.map(({ public_key }) => public_key)).size).toBe(1);
    expect(runs.filter(({ api_key_file }) => api_key_file !== null)).toHaveLength(1);
  });

  test('waits in other commands for a `keyhold init` that runs', async () => {
    const key = path.join(home, 'keys', 'root.key');
    const init = run(['init']);
    await expect.poll(() => fs.existsSync(key), { interval: 1, timeout: 10_000 }).toBe(true);
    const [{ code }, status] = await Promise.all([init, run(['status', '--json'])]);
    expect([code, status.code, status.stderr]).toEqual([0, 0, '']);
  });
});

describe.skipIf(NO_POSTGRESQL)('a vault in a database', () => {
  test('is not opened on a machine without its root key, and `keyhold init` there makes no other key', async () => {
    await run(['init']);
    const other = newHome();
    try {
      const { code, stderr } = await keyhold(other, ['init', '--json'], { env: envOf() });
      expect([code, JSON.parse(stderr).error.reason]).toEqual([10, 'root_key_missing']);
      expect(fs.existsSync(path.join(other, 'keys', 'root.key'))).toBe(false);
    } finally {
      await removeHome(other);
    }
  });

  test('is shared by machines that need the new root key after a rotation, which the command names', async () => {
    expect((await run(['init'])).code).toBe(0);
    const key = path.join(home, 'keys', 'root.key');
    const former = fs.readFileSync(key);
    const { stdout } = await run(['rotate', 'root']);
    expect(stdout).toContain('Other machines that use this database need the new root key');
    const rotated = await keyholdJson(home, ['rotate', 'root'], { env: envOf() });
    expect(rotated).toMatchObject({ rotated: 'root', source: 'file', not_removed: null });
    const weak = { KEYHOLD_NEW_KEY: Buffer.alloc(32).toString('base64') };
    const failure = await failureOf(['rotate', 'root', '--to', 'env:KEYHOLD_NEW_KEY'], weak);
    expect(failure).toMatchObject({ reason: 'root_key_weak' });
    expect(failure.message).toContain('nothing was changed');
    fs.writeFileSync(key, former);
    expect(await failureOf(['status'])).toMatchObject({ code: 'WRONG_KEY' });
  });

  test('is served with the API key of `keyhold init`; the server creates none', async () => {
    await run(['init']);
    const key_file = path.join(home, 'keys', 'admin.key');
    const api_key = fs.readFileSync(key_file, 'utf8').trim();
    fs.rmSync(key_file);
    const served = await startServeProcess({ home, env: envOf() });
    const response = await fetch(`${served.url}/v1/me`, {
      headers: { authorization: `Bearer ${api_key}` },
    });
    expect(response.status).toBe(200);
    await served.end();
    expect(fs.existsSync(key_file)).toBe(false);
    expect(served.stderr() + served.stdout()).not.toContain(PASSWORD);
  });

  test.each<readonly [string, NodeJS.ProcessEnv, string, string]>([
    ['the wrong password', { KEYHOLD_STORE_PASSWORD: 'wrong' }, 'UNAVAILABLE', 'database_denied'],
    ['no password', { KEYHOLD_STORE_PASSWORD: undefined }, 'UNAVAILABLE', 'database_denied'],
    [
      'a password file that is missing',
      { KEYHOLD_STORE_PASSWORD: undefined, KEYHOLD_STORE_PASSWORD_FILE: 'none' },
      'INVALID_INPUT',
      'setting_invalid',
    ],
    [
      'a port where nothing listens',
      { KEYHOLD_STORE: 'postgres://keeper@127.0.0.1:1/vault' },
      'UNAVAILABLE',
      'database_unreachable',
    ],
  ])('is not opened with %s, and the error names the settings', async (_, env, code, reason) => {
    await run(['init']);
    const failure = await failureOf(['status'], env);
    expect(failure).toMatchObject({ code, reason });
    expect(failure.message).toMatch(/KEYHOLD_STORE/);
  });

  test('is opened with the password of a file or of ~/.pgpass', async () => {
    await run(['init']);
    fs.writeFileSync(path.join(home, 'password'), `${PASSWORD}\n`);
    fs.writeFileSync(path.join(home, 'pgpass'), `127.0.0.1:*:*:keeper:${PASSWORD}\n`, { mode: 0o600 });
    for (const env of [
      { KEYHOLD_STORE_PASSWORD_FILE: 'password' },
      { PGPASSFILE: path.join(home, 'pgpass') },
    ])
      expect((await run(['status'], { env: { KEYHOLD_STORE_PASSWORD: undefined, ...env } })).code).toBe(0);
  });

  test('is opened over TLS only if the certificate is that of the host and of a trusted authority', async () => {
    await run(['init']);
    fs.writeFileSync(path.join(home, 'ca.pem'), TEST_CA_CERT);
    fs.writeFileSync(path.join(home, 'other.pem'), selfSignedCertificate(['localhost']).cert);
    const statusWith = (parameters: string, host: string) =>
      run(['status', '--json'], { env: { KEYHOLD_STORE: uri(parameters, { host }) } });
    const ca = '?sslmode=verify-full&sslrootcert=ca.pem';
    for (const [parameters, host] of [
      ['?sslmode=verify-full', 'localhost'],
      ['?sslmode=verify-full&sslrootcert=other.pem', 'localhost'],
      [ca, '127.0.0.1'],
    ] as const) {
      const { code, stderr } = await statusWith(parameters, host);
      expect([code, JSON.parse(stderr).error.reason]).toEqual([13, 'database_unreachable']);
    }
    for (const [parameters, host] of [
      [ca, 'localhost'],
      ['?sslmode=verify-ca&sslrootcert=ca.pem', '127.0.0.1'],
      ['?sslmode=require', '127.0.0.1'],
    ] as const)
      expect((await statusWith(parameters, host)).code).toBe(0);
  });

  test('is not opened once it is older than the anchor, until `keyhold audit verify --accept`', async () => {
    await run(['init']);
    const copy = `${database}_copy`;
    await server.execute(`CREATE DATABASE ${copy} TEMPLATE ${database} OWNER keeper`);
    await run(['store', 'linear', '--stdin'], { stdin: 'a-value' });
    const older = { KEYHOLD_STORE: uri().replace(database, copy) };
    const failure = await failureOf(['status'], older);
    expect(failure).toMatchObject({ exit_code: 12, code: 'CORRUPT', reason: 'store_rolled_back' });
    expect((await failureOf(['store', 'linear', '--stdin'], older, 'other')).reason).toBe(
      'store_rolled_back',
    );
    const found = await run(['audit', 'verify'], { env: older });
    expect([found.code, found.stdout]).toEqual([12, expect.stringMatching(/older than the last state/)]);
    expect((await run(['audit', 'verify', '--accept'], { env: older })).code).toBe(0);
    expect((await run(['status'], { env: older })).code).toBe(0);
  });

  test('is not opened by another machine without a folder of keys, once it is older than what that machine wrote', async () => {
    const root = { KEYHOLD_ROOT_KEY: 'env:SHARED_KEY', SHARED_KEY: randomBytes(32).toString('base64') };
    await run(['init'], { env: root });
    const copy = `${database}_standby`;
    await server.execute(`CREATE DATABASE ${copy} TEMPLATE ${database} OWNER keeper`);
    const other = newHome();
    onTestFinished(() => removeHome(other));
    const runThere = (argv: readonly string[], env: NodeJS.ProcessEnv = {}, stdin = '') =>
      keyhold(other, argv, { env: envOf({ ...root, ...env }), stdin });
    expect((await runThere(['store', 'linear', '--stdin'], {}, 'a-value')).code).toBe(0);
    expect(fs.readdirSync(path.join(other, 'keys'))).toEqual(['anchor']);
    const older = { KEYHOLD_STORE: uri().replace(database, copy) };
    const { code, stderr } = await runThere(['status', '--json'], older);
    expect([code, JSON.parse(stderr).error.reason]).toEqual([12, 'store_rolled_back']);
  });
});

describe.skipIf(NO_POSTGRESQL)('keyhold doctor', () => {
  async function doctor(env: NodeJS.ProcessEnv = {}) {
    const { code, stdout } = await run(['doctor', '--json'], { env });
    expect(stdout).not.toContain(PASSWORD);
    const { checks } = JSON.parse(stdout) as { checks: Finding[] };
    return {
      code,
      of: (name: string) =>
        checks.filter(({ check }) => check === name).map(({ state, message }) => [state, message].join(': ')),
    };
  }

  test('reports a database that cannot be reached or that refuses the user, and checks no vault', async () => {
    for (const env of [
      { KEYHOLD_STORE: 'postgres://keeper@127.0.0.1:1/vault' },
      { KEYHOLD_STORE_PASSWORD: 'wrong' },
    ]) {
      const { code, of } = await doctor(env);
      expect([code, of('vault')]).toEqual([13, []]);
      expect(of('connection')).toEqual([expect.stringMatching(/^fail: .*KEYHOLD_STORE/)]);
    }
  });

  test('reports that an empty database has no vault', async () => {
    const { of } = await doctor();
    expect(of('vault')).toEqual([expect.stringMatching(/keyhold init/)]);
  });

  test('reports a user with administrative rights, and a commit that does not wait for standbys', async () => {
    await run(['init']);
    await server.execute('ALTER ROLE boss SET synchronous_commit = local');
    const { of } = await doctor({ KEYHOLD_STORE: uri('', { user: 'boss' }) });
    expect(of('role')).toEqual([expect.stringMatching(/^warn: .*SUPERUSER/)]);
    expect(of('durability')).toEqual([expect.stringMatching(/^warn: .*synchronous_commit = local/)]);
  });

  test('reports a sound database: reachable, new enough, few rights, durable, same clock, and what it keeps', async () => {
    await run(['init']);
    const { code, of } = await doctor();
    for (const check of ['connection', 'version', 'role', 'durability', 'clock', 'erasure', 'vault', 'audit'])
      expect(of(check)).toEqual([expect.stringMatching(/^ok: /)]);
    // The server of the tests runs without fsync.
    expect(of('database')).toEqual([expect.stringMatching(/^warn: .*fsync/)]);
    expect([code, of('processes')]).toEqual([0, []]);
  });
});
