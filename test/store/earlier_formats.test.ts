/**
 * Vault files of earlier formats. Format 1 has no `record.organization`, format 2 no root keys of key services. Each fixture was
 * written by the last version before the next format: three organizations with four users, each with three credentials, a
 * deleted one, and two stacks.
 */
import { chmodSync, cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Driver, { type Database } from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { STORE_FORMAT } from '../../src/store/sqlite/schema.ts';
import { openSqlite } from '../../src/store/sqlite/store.ts';
import { NO_USER, ordinaryUser } from '../kit/child/ordinary_user.ts';
import { openTestDatabase } from '../kit/vault/database.ts';
import { sqlitePath } from '../kit/vault/sqlite_database.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

interface Fixture {
  readonly format: number;
  readonly records: number;
  /** Records that name no organization. */
  readonly unassigned: number;
}

const FIXTURES: readonly Fixture[] = [
  { format: 1, records: 38, unassigned: 38 },
  { format: 2, records: 44, unassigned: 0 },
];

const folderOf = ({ format }: Fixture) => join(import.meta.dirname, 'fixtures', `format_${format}`);

interface ApiKeys {
  readonly api_keys: Readonly<Record<string, { readonly key: string; readonly stack_id: string }>>;
}

function apiKeysOf(fixture: Fixture): ApiKeys['api_keys'] {
  return (JSON.parse(readFileSync(join(folderOf(fixture), 'api_keys.json'), 'utf8')) as ApiKeys).api_keys;
}

function copyFixture(fixture: Fixture, home: string = temporaryFolder()): string {
  for (const folder of ['data', 'keys'])
    cpSync(join(folderOf(fixture), folder), join(home, folder), { recursive: true });
  // Git does not keep these modes.
  for (const folder of ['data', 'keys']) chmodSync(join(home, folder), 0o700);
  for (const file of ['data/vault.db', 'keys/root.key']) chmodSync(join(home, file), 0o600);
  return home;
}

function withDatabase<Result>(home: string, act: (database: Database) => Result): Result {
  const database = new Driver(sqlitePath(home));
  try {
    return act(database);
  } finally {
    database.close();
  }
}

/** The columns of all tables. */
function columnsOf(home: string) {
  const sql =
    'SELECT t.name AS "table", c.name, c.type, c.pk FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = \'table\' ORDER BY 1, 2';
  return withDatabase(home, (database) => database.prepare(sql).all());
}

/** The format, and how many records name no organization. */
function stateOf(home: string) {
  return withDatabase(home, (database) => ({
    format: database.pragma('user_version', { simple: true }),
    unassigned: database
      .prepare<[], number>("SELECT count(*) FROM record WHERE organization = x''")
      .pluck()
      .get(),
  }));
}

describe.each(FIXTURES)('a vault file of format $format', (fixture) => {
  test('is upgraded when it is opened; its records are unchanged, and new ones name their organization', async () => {
    const home = copyFixture(fixture);
    const recordsOf = () =>
      withDatabase(home, (database) =>
        database.prepare('SELECT id, revision, sealed_meta, sealed_values FROM record ORDER BY place').all(),
      );
    const before = recordsOf();
    const { vault, caller } = await openTestVault(home);
    expect(stateOf(home)).toEqual({ format: STORE_FORMAT, unassigned: fixture.unassigned });
    expect(recordsOf()).toEqual(before);
    const value = { credential_type: 'api_key' as const, credential_value: 'lin_api_0123456789' };
    await vault.store(caller(), { service_id: 'linear', name: 'new', ...value });
    await vault.close();
    expect(stateOf(home).unassigned).toBe(fixture.unassigned);
    expect(recordsOf()).toHaveLength(fixture.records + 1);
  });

  test('shows all users their credentials, takes writes, and passes the audit verification', async () => {
    const { vault, caller } = await openTestVault(copyFixture(fixture));
    const linear = { service_id: 'linear' };
    for (const [name, { key, stack_id }] of Object.entries(apiKeysOf(fixture))) {
      const user = await vault.api_keys.authenticate(key, 'rest', 'request');
      expect(`${user.organization}/${user.user}`).toBe(name);
      for (const where of [linear, { ...linear, name: 'work' }, { ...linear, stack_id }])
        expect(await vault.status(user, where)).toMatchObject({ status: 'active' });
      expect(await vault.status(user, { service_id: 'github' })).toMatchObject({ status: 'missing' });
      const value = { linear_api_key: `lin_api_0123456789` };
      await vault.update(user, { ...linear, credentials: value });
      const added = {
        ...linear,
        credential_type: 'api_key' as const,
        credential_value: 'lin_api_9876543210',
      };
      await vault.store(user, { ...added, name: 'added', stack_id });
      await vault.delete(user, { ...linear, name: 'work' });
      const [credential] = await vault.credentials.list(user, linear);
      expect(credential).toMatchObject({ service_id: 'linear', user: user.user });
      const auditor = { ...user, scopes: new Set(SCOPES) };
      expect((await vault.verifyAudit(auditor)).findings).toEqual([]);
    }
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });

  test('keeps its values', async () => {
    const { vault } = await openTestVault(copyFixture(fixture));
    const { key = '' } = apiKeysOf(fixture)['acme/bob'] ?? {};
    const caller = await vault.api_keys.authenticate(key, 'rest', 'request');
    const user = { ...caller, scopes: new Set(SCOPES) };
    for (const { id, name, stack_id } of await vault.credentials.list(user)) {
      const values = await vault.credentials.reveal(user, id);
      const what = name ?? (stack_id === 'default' ? 'linear' : 'stack');
      const expected = `lin_api_fixture_acme_bob_${what === 'work' ? 'named' : what}`;
      expect([...values].map(([field, value]) => [field, value.reveal()])).toEqual([
        ['linear_api_key', expected],
      ]);
    }
  });

  test('has the tables of a new vault after the upgrade, and a header without a key service', async () => {
    const home = copyFixture(fixture);
    const { vault } = await openTestVault(home);
    await vault.close();
    const other = await openTestVault();
    await other.vault.close();
    expect(columnsOf(home)).toEqual(columnsOf(other.home));
    expect(await openTestDatabase(home).header()).toMatchObject({
      root_key_source: 'file',
      root_key_ref: null,
      root_key_sealed: null,
    });
  });

  test('is upgraded once if several stores open it at once', async () => {
    const home = copyFixture(fixture);
    const opened = await Promise.all(Array.from({ length: 4 }, () => openTestVault(home)));
    for (const { vault, caller } of opened) {
      const value = { credential_type: 'api_key' as const, credential_value: 'lin_api_0123456789' };
      await vault.store(caller(), { service_id: 'linear', ...value });
    }
    const [first] = opened;
    expect((await first?.vault.verifyAudit(first.caller()))?.findings).toEqual([]);
    expect(stateOf(home).format).toBe(STORE_FORMAT);
  });

  test('that is locked while it is opened can be read, and is upgraded by the first write', async () => {
    const home = copyFixture(fixture);
    const lock = new Driver(sqlitePath(home));
    lock.exec('BEGIN IMMEDIATE');
    const store = openSqlite(sqlitePath(home));
    onTestFinished(() => store.close());
    const owner = lock.prepare<[], Buffer>("SELECT scope FROM record WHERE kind = 'user'").pluck().get();
    expect((await store.list(owner ?? Buffer.alloc(16), 10)).records.length).toBeGreaterThan(0);
    lock.exec('COMMIT');
    lock.close();
    expect(withDatabase(home, (database) => database.pragma('user_version', { simple: true }))).toBe(
      fixture.format,
    );
    await store.commit({ writes: [], audit: [] });
    expect(stateOf(home)).toMatchObject({ format: STORE_FORMAT, unassigned: fixture.unassigned });
  });

  test('that the user may not write is shown and not changed', async ({ skip }) => {
    const user = ordinaryUser() ?? skip(NO_USER);
    const home = copyFixture(fixture, user.newFolder());
    for (const path of ['data', 'keys', 'data/vault.db', 'keys/root.key']) user.give(join(home, path));
    chmodSync(sqlitePath(home), 0o400);
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    const { code, stdout } = await user.run(['status', '--json'], env);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).credentials).toHaveLength(2);
    expect(readFileSync(sqlitePath(home))).toEqual(readFileSync(join(folderOf(fixture), 'data', 'vault.db')));
  });
});
