/** Opening a vault in PostgreSQL: roles, migrations, schemas that are not a vault, and every failure of a connection. */
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import type { PostgresOptions } from '../../../src/store/postgres/connection.ts';
import { openPostgres } from '../../../src/store/postgres/store.ts';
import { freePort } from '../../kit/servers/ports.ts';
import { createDatabase, NO_POSTGRESQL, startPostgresql } from '../../kit/servers/postgresql.ts';
import { postgresOptions, sharedPostgresql } from '../engines.ts';
import { bytesOf, entry, HEADER, put, readChain, record } from '../store_kit.ts';

const NODE_PASSWORD = 'node-password-71c2';
const EMPTY = { writes: [], audit: [] };

async function newDatabase() {
  const server = await sharedPostgresql();
  const database = await createDatabase(server);
  return { server, database, options: postgresOptions(server.port, database) };
}

function open(options: PostgresOptions) {
  const store = openPostgres(options);
  onTestFinished(() => store.close());
  return store;
}

async function errorOf(action: Promise<unknown>): Promise<VaultError> {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof VaultError)) throw new Error('no VaultError', { cause: error });
  return error;
}

describe.skipIf(NO_POSTGRESQL)('the roles of docs/postgres_roles.sql', () => {
  const script = readFileSync('docs/postgres_roles.sql', 'utf8');

  test('let the one role create the vault, and the other use it without changing tables', async () => {
    const { server, database, options } = await newDatabase();
    await server.execute(script, database);
    await server.execute(script, database);
    for (const role of ['keyhold_migrations', 'keyhold_node'])
      await server.execute(`ALTER ROLE ${role} PASSWORD '${NODE_PASSWORD}'`);
    const as = (user: string) => ({ ...options, user, readPassword: async () => NODE_PASSWORD });

    const node = open(as('keyhold_node'));
    expect(await node.header()).toBeUndefined();
    expect(await errorOf(node.create(HEADER, EMPTY))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'database_denied',
      message: expect.stringContaining('docs/postgres_roles.sql'),
    });

    const owner = open(as('keyhold_migrations'));
    expect(await owner.create(HEADER, EMPTY)).toBe(true);
    expect(await node.header()).toEqual(HEADER);
    await node.commit({ writes: [put('a', 0)], audit: [entry('o', 'a')] });
    await node.commit({ writes: [put('a', 1)], audit: [entry('o', 'b')] });
    const key = { owner: bytesOf('owner'), version: 1, wrapped: Buffer.from('key') };
    await node.commit({
      keys: [key],
      writes: [{ do: 'delete', expected_revision: 2, id: record('a', 2).id }],
      audit: [],
    });
    expect(await readChain(node, 'o')).toEqual(['a', 'b']);
    expect(await node.check()).toMatchObject({ ok: true });

    const denied = async (statement: string) =>
      server.query(`SET ROLE keyhold_node; ${statement}`, database).then(
        () => 'allowed',
        (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
      );
    for (const statement of [
      'DROP TABLE keyhold.record',
      'TRUNCATE keyhold.audit_entry',
      'ALTER TABLE keyhold.record ADD COLUMN more text',
      'CREATE TABLE keyhold.other (one integer)',
      'CREATE TABLE public.other (one integer)',
    ])
      expect([statement, await denied(statement)]).toEqual([statement, '42501']);
  });
});

describe.skipIf(NO_POSTGRESQL)('a database without a vault', () => {
  test('has no header, and gets one vault if several nodes create it at once', async () => {
    const { options } = await newDatabase();
    const stores = [1, 2, 3, 4].map(() => open(options));
    for (const store of stores) expect(await store.header()).toBeUndefined();
    const created = await Promise.all(
      stores.map((store, at) =>
        store.create(
          { ...HEADER, root_key_id: Buffer.alloc(16, at) },
          { writes: [], audit: [entry('o', `${at}`)] },
        ),
      ),
    );
    expect(created.filter((is_first) => is_first)).toHaveLength(1);
    const first = created.indexOf(true);
    for (const store of stores) {
      expect((await store.header())?.root_key_id).toEqual(Buffer.alloc(16, first));
      expect(await readChain(store, 'o')).toEqual([`${first}`]);
    }
  });
});

describe.skipIf(NO_POSTGRESQL)('a database is refused', () => {
  const refused: readonly (readonly [string, readonly string[], object])[] = [
    [
      'with a schema of another program',
      ['CREATE SCHEMA keyhold', 'CREATE TABLE keyhold.other (one integer)'],
      { code: 'CORRUPT', reason: 'not_a_vault' },
    ],
    [
      'of a newer format',
      ['UPDATE keyhold.format SET number = 999'],
      { code: 'UNAVAILABLE', reason: 'newer_format' },
    ],
    [
      'with a trigger',
      [
        `CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
        'CREATE TRIGGER act BEFORE UPDATE ON keyhold.record FOR EACH ROW EXECUTE FUNCTION act()',
      ],
      { code: 'CORRUPT', reason: 'not_a_vault' },
    ],
    [
      'with a rule',
      ['CREATE RULE act AS ON DELETE TO keyhold.record DO INSTEAD NOTHING'],
      { code: 'CORRUPT', reason: 'not_a_vault' },
    ],
    ['without a table', ['DROP TABLE keyhold.record'], { code: 'CORRUPT', reason: 'record_damaged' }],
  ];

  test.each(refused)('%s', async (_, statements, expected) => {
    const { server, database, options } = await newDatabase();
    if (!statements[0]?.startsWith('CREATE SCHEMA')) await open(options).create(HEADER, EMPTY);
    for (const statement of statements) await server.execute(statement, database);
    const store = open(options);
    const readVault = async () => {
      await store.header();
      await store.get(bytesOf('a'));
    };
    expect(await errorOf(readVault())).toMatchObject(expected);
  });
});

describe.skipIf(NO_POSTGRESQL)('a connection that fails', () => {
  const failures: readonly (readonly [
    string,
    (options: PostgresOptions) => Promise<PostgresOptions>,
    string,
  ])[] = [
    [
      'because no server listens',
      async (options) => ({
        ...options,
        hosts: [{ host: '127.0.0.1', port: await freePort(), tls: undefined }],
      }),
      'database_unreachable',
    ],
    [
      'because the host is unknown',
      async (options) => ({ ...options, hosts: [{ host: 'missing.invalid', port: 5432, tls: undefined }] }),
      'database_unreachable',
    ],
    [
      'because the password is wrong',
      async (options) => ({ ...options, readPassword: async () => 'wrong-secret-5a' }),
      'database_denied',
    ],
    [
      'because there is no password',
      async (options) => ({ ...options, readPassword: async () => undefined }),
      'database_denied',
    ],
    ['because the user is unknown', async (options) => ({ ...options, user: 'stranger' }), 'database_denied'],
    [
      'because the database is missing',
      async (options) => ({ ...options, database: 'missing' }),
      'vault_missing',
    ],
    [
      'because the server has no TLS',
      async (options) => ({ ...options, hosts: options.hosts.map((host) => ({ ...host, tls: {} })) }),
      'database_unreachable',
    ],
  ];

  test.each(failures)(
    '%s is reported at once, without host, user and password',
    async (_, change, reason) => {
      const options = await change((await newDatabase()).options);
      const began_ms = performance.now();
      const error = await errorOf(open(options).header());
      expect(performance.now() - began_ms).toBeLessThan(10_000);
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason });
      for (const secret of [
        '127.0.0.1',
        'missing.invalid',
        'stranger',
        'wrong-secret-5a',
        `${options.hosts[0]?.port}`,
      ])
        expect(error.message).not.toContain(secret);
    },
  );

  test('because the server has no connection left is reported as busy', async () => {
    const { server, options } = await newDatabase();
    await open(options).create(HEADER, EMPTY);
    await server.execute(`CREATE ROLE limited LOGIN PASSWORD '${NODE_PASSWORD}' CONNECTION LIMIT 0`);
    onTestFinished(() => server.execute('DROP ROLE limited'));
    const limited = open({ ...options, user: 'limited', readPassword: async () => NODE_PASSWORD });
    expect(await errorOf(limited.header())).toMatchObject({ code: 'UNAVAILABLE', reason: 'busy' });
  });
});

describe.skipIf(NO_POSTGRESQL)('of several hosts', () => {
  test('the one that accepts writes is used, whichever is first, and a read-only one alone is refused', async () => {
    const { options } = await newDatabase();
    await open(options).create(HEADER, EMPTY);
    const read_only = await startPostgresql([
      'local all all trust',
      'host all all 127.0.0.1/32 scram-sha-256',
    ]);
    onTestFinished(() => read_only.stop());
    await read_only.execute(`CREATE DATABASE ${options.database}`);
    await read_only.execute('ALTER SYSTEM SET default_transaction_read_only = on');
    await read_only.restart();
    const [primary] = options.hosts;
    if (primary === undefined) throw new Error('no host');
    const standby = { ...primary, port: read_only.port };
    const missing = { ...primary, port: await freePort() };
    for (const hosts of [
      [standby, missing, primary],
      [primary, missing, standby],
    ]) {
      const store = open({ ...options, hosts });
      expect(await store.header()).toEqual(HEADER);
      await store.commit({ writes: [], audit: [entry('o', 'a')] });
    }
    expect(await errorOf(open({ ...options, hosts: [missing, standby] }).header())).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'read_only',
      message: expect.stringContaining('Name all hosts'),
    });
  });
});
