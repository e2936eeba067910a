/** `keyhold move` on full disks, with roles that have few permissions, during key rotations, and its cancellation. */
import { chownSync, cpSync, mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openSqlite } from '../../src/store/sqlite/store.ts';
import { startProgram } from '../kit/child/built_program.ts';
import { keyhold, keyholdJson, keyholdOk } from '../kit/child/cli.ts';
import { NO_DISKS, smallDisk } from '../kit/file_system.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
  POSTGRESQL_USER_ID,
} from '../kit/servers/postgresql.ts';
import { startTcpProxy } from '../kit/servers/tcp_proxy.ts';
import { usePostgresql } from '../kit/servers/use_postgresql.ts';
import { isFileMoved } from '../kit/vault/moved_rows.ts';
import { databaseSite, fileSite, type Site } from '../kit/vault/sites.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const TEST_TIMEOUT_MS = 120_000;
const DISK_KIB = 24 * 1024;
/** Enough for the tables, but not for the rows. */
const LEFT_KIB = 1_500;
const PASSWORD = { KEYHOLD_STORE_PASSWORD: POSTGRESQL_OWNER_PASSWORD };
const MOVE = { id: 'ab'.repeat(16), location: 'elsewhere', is_done: false };

const server = usePostgresql();

const uriOf = (database: string, user = POSTGRESQL_OWNER, port = server.port) =>
  `postgres://${user}@127.0.0.1:${port}/${database}`;
const fileOf = ({ home }: Site) => join(home, 'data', 'vault.db');

async function filled(credentials: number, value_length = 100, site = fileSite()): Promise<Site> {
  const { vault, caller } = await openTestVault(site.home, site.env, 'yes');
  for (let at = 0; at < credentials; at++)
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'v'.repeat(value_length),
      name: `n${at}`,
    });
  await vault.close();
  return site;
}

async function failureOf({ home }: Site, args: readonly string[], env: NodeJS.ProcessEnv) {
  const { code, stdout, stderr } = await keyhold(home, [...args, '--json'], { env, stdin: 'a-value' });
  expect(code).not.toBe(0);
  expect(stdout + stderr).not.toContain(POSTGRESQL_OWNER_PASSWORD);
  return (JSON.parse(stderr) as { error: { code: string; reason?: string; message: string } }).error;
}

/** The vault accepts writes, and its audit log is intact. */
async function assertUsable({ home }: Site, env: NodeJS.ProcessEnv = {}): Promise<void> {
  await keyholdOk(home, ['store', 'github', '--stdin'], { stdin: 'a-new-value', env });
  await keyholdOk(home, ['audit', 'verify'], { env });
}

/** Kills moves to `uri` until one leaves the mark that refuses writes. Returns a copy of the home in that state. */
async function killedAtMark(site: Site, uri: string, clear: () => Promise<void>): Promise<Site> {
  for (;;) {
    const copy = fileSite();
    cpSync(site.home, copy.home, { recursive: true });
    const child = startProgram(['move', uri], { env: { ...PASSWORD, KEYHOLD_HOME: copy.home } });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    while (child.exitCode === null && !isFileMoved(fileOf(copy))) await new Promise(setImmediate);
    child.kill('SIGKILL');
    await exited;
    const store = openSqlite(fileOf(copy));
    const move = await store.move();
    await store.close();
    if (move?.is_done === false) return copy;
    await clear();
  }
}

describe.skipIf(NO_POSTGRESQL)('a move to a full disk', { timeout: TEST_TIMEOUT_MS }, () => {
  test('of a database leaves the vault usable, is cancelled, and succeeds once there is space', async ({
    skip,
  }) => {
    const disk = smallDisk(DISK_KIB) ?? skip(NO_DISKS);
    const folder = join(disk.path, 'tablespace');
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, POSTGRESQL_USER_ID, POSTGRESQL_USER_ID);
    await server.execute(`CREATE TABLESPACE small LOCATION '${folder}'`);
    await server.execute('CREATE DATABASE small TABLESPACE small');
    const from = await filled(300, 8_000);
    const env = { ...PASSWORD, KEYHOLD_STORE: uriOf('small') };
    const { bavail, bsize } = statfsSync(disk.path);
    disk.take(Math.floor((bavail * bsize) / 1024) - LEFT_KIB);
    expect(await failureOf(from, ['move', uriOf('small')], PASSWORD)).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'disk_full',
      message: expect.stringContaining('Free some space on its server'),
    });
    await assertUsable(from);
    disk.free();
    await keyholdOk(from.home, ['move', uriOf('small'), '--cancel'], { env: PASSWORD });
    await keyholdOk(from.home, ['move', uriOf('small')], { env: PASSWORD });
    await assertUsable(from, env);
    await server.execute('DROP DATABASE small WITH (FORCE)');
  });

  test('of a file leaves the vault usable, and succeeds once there is space', async ({ skip }) => {
    const from = await filled(300, 8_000, await databaseSite(server));
    const disk = smallDisk(DISK_KIB) ?? skip(NO_DISKS);
    const store = `sqlite:${join(disk.path, 'vault.db')}`;
    disk.fill();
    const failure = await failureOf(from, ['move', store], from.env);
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'disk_full' });
    await assertUsable(from, from.env);
    disk.free();
    await keyholdOk(from.home, ['move', store], { env: from.env });
    await assertUsable(from, { KEYHOLD_STORE: store });
  });
});

describe.skipIf(NO_POSTGRESQL)('keyhold move --cancel', { timeout: TEST_TIMEOUT_MS }, () => {
  test('ends the refusal of writes also while the new store cannot be reached, and deletes its copy later', async () => {
    const from = await filled(20);
    const proxy = await startTcpProxy(server.port);
    onTestFinished(() => proxy.close());
    const database = await createDatabase(server);
    const uri = uriOf(database, POSTGRESQL_OWNER, proxy.port);
    const moving = await killedAtMark(from, uri, () =>
      server.execute('DROP SCHEMA keyhold CASCADE', database),
    );
    expect(await failureOf(moving, ['store', 'github', '--stdin'], {})).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'vault_moved',
      message: expect.stringContaining('keyhold move --cancel'),
    });
    proxy.refuse(true);
    proxy.cut();
    const args = ['move', uri, '--cancel'];
    const cancelled = await keyholdJson(moving.home, args, { env: PASSWORD });
    expect(cancelled).toEqual({ cancelled: true, copy_failure: expect.stringContaining('database') });
    await assertUsable(moving);
    expect(await failureOf(moving, args, PASSWORD)).toMatchObject({ reason: 'database_unreachable' });
    proxy.refuse(false);
    expect(await keyholdOk(moving.home, args, { env: PASSWORD })).toContain('partial copy');
    expect(await server.query(`SELECT to_regclass('keyhold.vault') IS NULL AS deleted`, database)).toEqual([
      { deleted: true },
    ]);
    await keyholdOk(moving.home, ['move', uri], { env: PASSWORD });
  });

  test('ends a move that was killed before its last step, and deletes the copy', async () => {
    const database = await createDatabase(server);
    const uri = uriOf(database);
    const clear = () => server.execute('DROP SCHEMA keyhold CASCADE', database);
    const moving = await killedAtMark(await filled(20), uri, clear);
    const store = openSqlite(fileOf(moving));
    const begun = await store.move();
    if (begun === undefined) throw new Error('no move');
    await store.setMove(begun, { ...begun, is_done: true });
    await store.close();
    await keyholdOk(moving.home, ['move', uri, '--cancel'], { env: PASSWORD });
    await assertUsable(moving);
    await keyholdOk(moving.home, ['move', uri], { env: PASSWORD });
    await assertUsable(moving, { ...PASSWORD, KEYHOLD_STORE: uri });
  });

  test('is refused after a complete move, and changes nothing', async () => {
    const from = await filled(3);
    const to = await databaseSite(server);
    const { KEYHOLD_STORE: uri = '' } = to.env;
    await keyholdOk(from.home, ['move', uri], { env: PASSWORD });
    const moved = await to.rows();
    expect(await failureOf(from, ['move', uri, '--cancel'], PASSWORD)).toMatchObject({
      code: 'CONFLICT',
      reason: 'vault_moved',
      message: expect.stringContaining('is complete'),
    });
    expect(await to.rows()).toEqual(moved);
    await assertUsable(from, to.env);
  });
});

test(
  'a REST request that writes gets 503 with Retry-After while the vault is moved, and succeeds after a cancellation',
  async () => {
    const from = await filled(1);
    const serving = await startServeProcess({ home: from.home });
    const store = openSqlite(fileOf(from));
    onTestFinished(() => store.close());
    const write = () =>
      fetch(`${serving.url}/v1/credentials`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${serving.admin_key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ service_id: 'github', credential_type: 'api_key', credential_value: 'ghp_x' }),
      });
    await store.setMove(undefined, MOVE);
    const refused = await write();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '10']);
    expect(await refused.json()).toMatchObject({ code: 'UNAVAILABLE', reason: 'vault_moved' });
    expect((await fetch(`${serving.url}/readyz`)).status).toBe(503);
    await store.setMove(MOVE, undefined);
    expect((await write()).status).toBeLessThan(300);
    expect((await fetch(`${serving.url}/readyz`)).status).toBe(200);
  },
  TEST_TIMEOUT_MS,
);

test('of writes in one transaction with the mark of a move, those before it succeed and those after it are refused', async () => {
  const from = await filled(1);
  const store = openSqlite(fileOf(from));
  onTestFinished(() => store.close());
  const nothing = { writes: [], audit: [] };
  const begun = await Promise.allSettled([
    store.commit(nothing),
    store.setMove(undefined, MOVE),
    store.commit(nothing),
  ]);
  expect(begun.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  await expect(store.commit(nothing)).rejects.toMatchObject({ reason: 'vault_moved' });
  const cancelled = await Promise.allSettled([
    store.commit(nothing),
    store.setMove(MOVE, undefined),
    store.commit(nothing),
  ]);
  expect(cancelled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
});

describe.skipIf(NO_POSTGRESQL)('a move during a rotation', { timeout: TEST_TIMEOUT_MS }, () => {
  test.each(['root', 'data'])(
    'of the %s key leaves a vault that opens, and the rotation completes',
    async (key) => {
      const from = await filled(200);
      const to = await databaseSite(server);
      const [moved, rotated] = await Promise.all([
        keyhold(from.home, ['move', to.env.KEYHOLD_STORE ?? '', '--json'], { env: PASSWORD }),
        keyhold(from.home, ['rotate', key, '--json']),
      ]);
      // Whichever is later may be refused, and leaves a vault that is complete.
      if (rotated.code !== 0) expect(JSON.parse(rotated.stderr).error.reason).toBe('vault_moved');
      if (moved.code !== 0) await assertUsable(from);
      if (moved.code !== 0)
        await keyholdOk(from.home, ['move', to.env.KEYHOLD_STORE ?? ''], { env: PASSWORD });
      await assertUsable(from, to.env);
      await keyholdOk(from.home, ['rotate', key], { env: to.env });
      await assertUsable(from, to.env);
      const { vault, caller } = await openTestVault(from.home, to.env, 'no');
      expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true, credentials: 201 });
      await vault.close();
    },
  );
});

test.skipIf(NO_POSTGRESQL)(
  'roles that may not create or change tables are refused with the role to use, and the vault stays usable',
  async () => {
    const from = await filled(3);
    const database = await createDatabase(server);
    const script = readFileSync('docs/postgres_roles.sql', 'utf8');
    await server.execute(script, database);
    for (const role of ['keyhold_migrations', 'keyhold_node'])
      await server.execute(`ALTER ROLE ${role} PASSWORD '${POSTGRESQL_OWNER_PASSWORD}'`);
    const [node, owner] = [uriOf(database, 'keyhold_node'), uriOf(database, 'keyhold_migrations')];
    const denied = {
      code: 'UNAVAILABLE',
      reason: 'database_denied',
      message: expect.stringContaining('keyhold_migrations'),
    };
    expect(await failureOf(from, ['move', node], PASSWORD)).toMatchObject(denied);
    await assertUsable(from);
    const moving = await killedAtMark(from, owner, () =>
      keyholdOk(from.home, ['move', owner, '--cancel'], { env: PASSWORD }).then(() => undefined),
    );
    await keyholdOk(moving.home, ['move', owner, '--cancel'], { env: PASSWORD });
    await keyholdOk(from.home, ['move', owner], { env: PASSWORD });
    const as = (store: string) => ({ ...PASSWORD, KEYHOLD_STORE: store });
    await assertUsable(from, as(node));
    const other = `sqlite:${join(temporaryFolder(), 'vault.db')}`;
    expect(await failureOf(from, ['move', other], as(node))).toMatchObject(denied);
    await assertUsable(from, as(node));
    await keyholdOk(from.home, ['move', other], { env: as(owner) });
    await assertUsable(from, { KEYHOLD_STORE: other });
    const back = await failureOf(from, ['move', owner], as(other));
    expect(back).toMatchObject({ code: 'UNAVAILABLE', reason: 'database_denied' });
    const [rename = ''] = /ALTER SCHEMA keyhold RENAME TO \w+/.exec(back.message) ?? [];
    await server.execute(rename, database);
    await server.execute(script, database);
    await keyholdOk(from.home, ['move', owner], { env: as(other) });
    await assertUsable(from, as(node));
  },
  TEST_TIMEOUT_MS,
);
