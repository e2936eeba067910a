/**
 * `npx tsx test/bench/size_bench.ts [CREDENTIALS]`, after `npm run build`: the bytes on disk of a credential with its first
 * audit entry, and of a change, in SQLite and in PostgreSQL (Debian's, on loopback). One value of 44 characters each.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Driver from 'better-sqlite3';
import pg from 'pg';
import type * as Keyhold from '../../src/index.ts';
import { startPostgresql } from '../kit/servers/postgresql.ts';

const CREDENTIALS = Number(process.argv[2] ?? 20_000);
const CALLERS = 64;
const VALUE = 'lin_api_0123456789abcdefghijklmnopqrstuvwxyz';
const PASSWORD = 'size-bench-password';
const QUOTA = { credentials: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const print = (text: string) => process.stdout.write(`${text}\n`);
const { openVault }: typeof Keyhold = await import(at('../../dist/index.js'));

/** Stores all credentials, or a new value in each of them. */
async function storeAll(vault: Keyhold.OpenedVault): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < CREDENTIALS) {
      const name = `key ${next++}`;
      await vault.storeCredential({
        service_id: 'linear',
        credential_type: 'api_key',
        credential_value: VALUE,
        name,
      });
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

const each = (bytes: number) => Math.round(bytes / CREDENTIALS);

async function measureSqlite(folder: string): Promise<void> {
  const home = join(folder, 'sqlite');
  const file = join(home, 'data', 'vault.db');
  const vault = await openVault({ home, quota: QUOTA });
  await storeAll(vault);
  await vault.close();
  const created = statSync(file).size;
  const database = new Driver(file, { readonly: true });
  const parts = database
    .prepare('SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name ORDER BY bytes DESC LIMIT 8')
    .all() as { name: string; bytes: number }[];
  database.close();
  print(`SQLite, ${CREDENTIALS} credentials: ${each(created)} bytes each`);
  for (const { name, bytes } of parts) print(`  ${name}: ${each(bytes)}`);
  const again = await openVault({ home, quota: QUOTA });
  await storeAll(again);
  await again.close();
  print(`  a change adds ${each(statSync(file).size - created)}`);
}

async function measurePostgresql(folder: string): Promise<void> {
  const server = await startPostgresql([
    'host all all 127.0.0.1/32 scram-sha-256',
    'local all all scram-sha-256',
  ]);
  try {
    await server.execute(`CREATE ROLE keyhold LOGIN PASSWORD '${PASSWORD}'`);
    await server.execute('CREATE DATABASE keyhold OWNER keyhold');
    const home = join(folder, 'postgresql');
    const store = `postgres://keyhold@127.0.0.1:${server.port}/keyhold`;
    process.env.KEYHOLD_STORE_PASSWORD = PASSWORD;
    const env = { ...process.env, KEYHOLD_HOME: home, KEYHOLD_STORE: store };
    execFileSync(process.execPath, [at('../../dist/keyhold.js'), 'init'], { env, stdio: 'ignore' });
    const client = new pg.Client({
      host: '127.0.0.1',
      port: server.port,
      database: 'keyhold',
      user: 'keyhold',
      password: PASSWORD,
    });
    await client.connect();
    const number = async (query: string) => Number((await client.query(query)).rows[0]?.bytes);
    const log = () => number("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes");
    const size = () =>
      number(
        "SELECT sum(pg_total_relation_size(c.oid)) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'keyhold' AND c.relkind = 'r'",
      );
    const vault = await openVault({ home, store, quota: QUOTA });
    const log_before = await log();
    await storeAll(vault);
    const log_created = await log();
    const created = await size();
    print(
      `PostgreSQL, ${CREDENTIALS} credentials: ${each(created)} bytes each, ${each(log_created - log_before)} of log`,
    );
    const parts = await client.query(
      "SELECT c.relname AS name, pg_relation_size(c.oid) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'keyhold' AND c.relkind IN ('r', 'i') ORDER BY 2 DESC LIMIT 9",
    );
    for (const { name, bytes } of parts.rows) print(`  ${name}: ${each(Number(bytes))}`);
    await storeAll(vault);
    print(
      `  a change adds ${each((await size()) - created)}, and ${each((await log()) - log_created)} of log`,
    );
    await vault.close();
    await client.end();
  } finally {
    await server.stop();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'keyhold-size-'));
try {
  await measureSqlite(folder);
  await measurePostgresql(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
