/** `keyhold move`: from a file to PostgreSQL and back while other processes write, refusals, and moves that do not end. */
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openPostgres } from '../../src/store/postgres/store.ts';
import { PostgresTarget } from '../../src/store/postgres/transfer/target.ts';
import { openSqlite } from '../../src/store/sqlite/store.ts';
import { type CliRun, keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { useVaultProcesses, type WriterProcess } from '../kit/child/vault_process.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
} from '../kit/servers/postgresql.ts';
import { usePostgresql } from '../kit/servers/use_postgresql.ts';
import { rowsOfDatabase, rowsOfFile } from '../kit/vault/moved_rows.ts';
import { auditedRequests } from '../kit/vault/sites.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

const TEST_TIMEOUT_MS = 120_000;
const PASSWORD = { KEYHOLD_STORE_PASSWORD: POSTGRESQL_OWNER_PASSWORD };
const ID = 'ab'.repeat(16);

const processes = useVaultProcesses();
const server = usePostgresql();

interface Database {
  readonly name: string;
  readonly uri: string;
  readonly env: NodeJS.ProcessEnv;
}

async function newDatabase(): Promise<Database> {
  const name = await createDatabase(server);
  const uri = `postgres://${POSTGRESQL_OWNER}@127.0.0.1:${server.port}/${name}`;
  return { name, uri, env: { ...PASSWORD, KEYHOLD_STORE: uri } };
}

async function filledHome(credentials = 20): Promise<string> {
  const home = newHome();
  onTestFinished(() => removeHome(home));
  const { vault, caller } = await openTestVault(home);
  for (let at = 0; at < credentials; at++)
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'v'.repeat(100 * at + 1),
      name: `n${at}`,
    });
  await vault.close();
  return home;
}

const fileOf = (home: string) => join(home, 'data', 'vault.db');

function optionsOf(database: string) {
  return {
    hosts: [{ host: '127.0.0.1', port: server.port, tls: undefined }],
    database,
    user: POSTGRESQL_OWNER,
    readPassword: async () => POSTGRESQL_OWNER_PASSWORD,
  };
}

function failureOf({ code, stdout, stderr }: CliRun) {
  expect(stdout + stderr).not.toContain(POSTGRESQL_OWNER_PASSWORD);
  const { error } = JSON.parse(stderr) as { error: { code: string; reason?: string; message: string } };
  return { exit_code: code, ...error };
}

async function failedMove(home: string, args: readonly string[], env: NodeJS.ProcessEnv = PASSWORD) {
  return failureOf(await keyhold(home, ['move', ...args, '--json'], { env }));
}

/** The vault is as before: it accepts writes, and no move is marked. */
async function assertUsable(home: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  await keyholdOk(home, ['store', 'github', '--stdin'], { stdin: 'a-new-value', env });
  await keyholdOk(home, ['audit', 'verify'], { env });
}

async function startWriters(home: string, env: NodeJS.ProcessEnv = {}): Promise<WriterProcess[]> {
  const writers = [1, 2].map((pid) =>
    processes.startWriter(home, { task: 'mix', label: `w${pid}`, credentials: 10 }, undefined, env),
  );
  await Promise.all(writers.map((writer) => writer.waitFor('ready')));
  for (const writer of writers) writer.begin();
  await Promise.all(writers.map((writer) => writer.waitFor('acknowledged')));
  return writers;
}

/** Waits until the writers were refused. Returns the request ids of their acknowledged writes. */
async function refusedWriters(writers: readonly WriterProcess[], location: string): Promise<string[]> {
  const acknowledged: string[] = [];
  for (const writer of writers) {
    const failed = await writer.waitFor('failed');
    expect(failed).toMatchObject({ code: 'UNAVAILABLE', reason: 'vault_moved' });
    expect(failed.message).toContain(location);
    writer.signal('SIGKILL');
    await writer.exited;
    for (const line of writer.lines) if (line.event === 'acknowledged') acknowledged.push(line.request_id);
  }
  return acknowledged;
}

describe.skipIf(NO_POSTGRESQL)('keyhold move', () => {
  test.each([
    ['an unknown scheme', 'mysql://me@127.0.0.1/vault'],
    ['no scheme', 'somewhere'],
    ['a password in the URI', 'postgres://me:secret-4c1d@127.0.0.1/vault'],
    ['no database', 'postgres://me@127.0.0.1'],
  ])('refuses a destination with %s', async (_, text) => {
    const home = await filledHome(1);
    const failure = await failedMove(home, [text]);
    expect(failure).toMatchObject({ code: 'INVALID_INPUT', reason: 'setting_invalid' });
    expect(failure.message).not.toContain('secret-4c1d');
    await assertUsable(home);
  });

  test('refuses the present store', async () => {
    const home = await filledHome(1);
    expect(await failedMove(home, [`sqlite:${fileOf(home)}`])).toMatchObject({ code: 'INVALID_INPUT' });
    await assertUsable(home);
  });

  test('changes nothing if the database cannot be reached', async () => {
    const home = await filledHome(1);
    expect(await failedMove(home, ['postgres://me@127.0.0.1:1/vault'])).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'database_unreachable',
    });
    await assertUsable(home);
  });

  test('refuses a database and a file that contain a vault, and changes neither', async () => {
    const home = await filledHome(1);
    const other = newHome();
    onTestFinished(() => removeHome(other));
    const database = await newDatabase();
    await keyholdOk(other, ['init'], { env: database.env });
    const before = await rowsOfDatabase(server.port, database.name);
    const refusal = { code: 'CONFLICT', reason: 'target_not_empty' };
    expect(await failedMove(home, [database.uri])).toMatchObject(refusal);
    expect(await failedMove(home, [database.uri, '--cancel'])).toMatchObject(refusal);
    expect(await rowsOfDatabase(server.port, database.name)).toEqual(before);
    const second = await filledHome(2);
    expect(await failedMove(home, [`sqlite:${fileOf(second)}`])).toMatchObject(refusal);
    await assertUsable(second);
    await assertUsable(home);
  });

  test('refuses a database of a newer version', async () => {
    const home = await filledHome(1);
    const database = await newDatabase();
    await keyholdOk(home, ['init'], { env: database.env });
    await server.execute('UPDATE keyhold.format SET number = 99', database.name);
    expect(await failedMove(home, [database.uri])).toMatchObject({ reason: 'newer_format' });
    await assertUsable(home);
  });

  test('a database that has received a part of a vault is refused by every command', async () => {
    const home = await filledHome(1);
    const database = await newDatabase();
    const store = openSqlite(fileOf(home));
    const snapshot = await store.snapshot();
    const receiver = await new PostgresTarget(optionsOf(database.name)).receive(ID, snapshot.header);
    await receiver.write({ records: await snapshot.records(0) });
    expect(await failedMove(home, [database.uri])).toMatchObject({ reason: 'busy' });
    await receiver.close();
    await snapshot.close();
    await store.close();
    for (const argv of [['status'], ['init'], ['audit', 'verify']])
      expect(failureOf(await keyhold(home, [...argv, '--json'], { env: database.env }))).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'move_incomplete',
      });
    await assertUsable(home);
    await keyholdOk(home, ['move', database.uri], { env: PASSWORD });
    await keyholdOk(home, ['audit', 'verify'], { env: database.env });
  });

  test('a moved vault can be read, and refuses writes with the name of the new store', async () => {
    const home = await filledHome(3);
    const database = await newDatabase();
    const serving = await startServeProcess({ home });
    const text = await keyholdOk(home, ['move', database.uri], { env: PASSWORD });
    expect(text).toContain('Both stores were equal.');
    expect(text).toContain(`set KEYHOLD_STORE=${database.uri}`);
    await keyholdOk(home, ['status']);
    await keyholdOk(home, ['audit', 'verify']);
    const failure = failureOf(
      await keyhold(home, ['store', 'github', '--stdin', '--json'], { stdin: 'a-value' }),
    );
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'vault_moved' });
    expect(failure.message).toContain(database.uri);
    const ready = await fetch(`${serving.url}/readyz`);
    expect(ready.status).toBe(503);
    const again = await keyholdJson<{ was_moved: boolean }>(home, ['move', database.uri], { env: PASSWORD });
    expect(again.was_moved).toBe(true);
    const other = await newDatabase();
    expect(await failedMove(home, [other.uri])).toMatchObject({ reason: 'vault_moved' });
    expect(await failedMove(home, [database.uri, '--cancel'])).toMatchObject({ reason: 'vault_moved' });
    await assertUsable(home, database.env);
  });

  test('of two moves at once one succeeds, and its store is the only one that accepts writes', async () => {
    const home = await filledHome(30);
    const databases = [await newDatabase(), await newDatabase()];
    const runs = await Promise.all(
      databases.map(({ uri }) => keyhold(home, ['move', uri, '--json'], { env: PASSWORD })),
    );
    const moved = databases.filter((_, at) => runs[at]?.code === 0);
    expect(moved).toHaveLength(1);
    for (const run of runs.filter(({ code }) => code !== 0))
      expect(['CONFLICT', 'UNAVAILABLE']).toContain(failureOf(run).code);
    for (const { env } of moved) await assertUsable(home, env);
    for (const { env } of databases.filter((one) => !moved.includes(one)))
      expect((await keyhold(home, ['status'], { env })).code).not.toBe(0);
  });

  test(
    'moves a vault to PostgreSQL and back while other processes write, without a lost write',
    async () => {
      const home = await filledHome();
      const database = await newDatabase();
      const writers = await startWriters(home);
      const there = await keyholdJson<{ refused_ms: number; location: string }>(
        home,
        ['move', database.uri],
        {
          env: PASSWORD,
        },
      );
      const acknowledged = await refusedWriters(writers, there.location);
      const moved = await rowsOfDatabase(server.port, database.name);
      expect(moved).toEqual(rowsOfFile(fileOf(home)));
      await keyholdOk(home, ['audit', 'verify'], { env: database.env });
      await keyholdOk(home, ['audit', 'verify']);
      const found = await auditedRequests(home, database.env);
      expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
      const later = await startWriters(home, database.env);
      const back = await keyholdJson<{ refused_ms: number; kept: string; location: string }>(
        home,
        ['move', `sqlite:${fileOf(home)}`],
        { env: database.env },
      );
      acknowledged.push(...(await refusedWriters(later, back.location)));
      expect(fs.existsSync(back.kept)).toBe(true);
      expect(rowsOfFile(fileOf(home))).toEqual(await rowsOfDatabase(server.port, database.name));
      await keyholdOk(home, ['audit', 'verify']);
      await keyholdOk(home, ['audit', 'verify'], { env: database.env });
      const all = await auditedRequests(home, {});
      expect(acknowledged.filter((id) => !all.has(id))).toEqual([]);
      process.stdout.write(
        `${acknowledged.length} acknowledged writes; refused for ${there.refused_ms} and ${back.refused_ms} ms\n`,
      );
      await assertUsable(home);
      await keyholdOk(home, ['move', database.uri], { env: PASSWORD });
      await assertUsable(home, database.env);
    },
    TEST_TIMEOUT_MS,
  );
});

test.skipIf(NO_POSTGRESQL)(
  'a moved database refuses insertions, updates and deletions of open stores',
  async () => {
    const home = await filledHome(3);
    const database = await newDatabase();
    await keyholdOk(home, ['move', database.uri], { env: PASSWORD });
    const store = openPostgres(optionsOf(database.name));
    onTestFinished(() => store.close());
    const snapshot = await store.snapshot();
    const [record] = await snapshot.records(0);
    await snapshot.close();
    if (record === undefined) throw new Error('no record');
    const move = { id: ID, location: 'elsewhere', is_done: false };
    await store.setMove(undefined, move);
    const writes = [{ do: 'delete' as const, id: record.id, expected_revision: record.revision }];
    await expect(store.commit({ writes, audit: [] })).rejects.toMatchObject({ reason: 'vault_moved' });
    expect(await store.isReady()).toBe(false);
    await store.setMove(move, undefined);
    expect(await store.isReady()).toBe(true);
    await store.commit({ writes, audit: [] });
  },
);
