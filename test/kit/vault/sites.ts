/** Vaults in a file and in a database, with the same methods: for tests of backups and moves between both. */
import fs from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { newHome, removeHome } from '../child/cli.ts';
import {
  createDatabase,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
  type PostgresqlServer,
} from '../servers/postgresql.ts';
import { rowsOfDatabase, rowsOfFile, type VaultRows } from './moved_rows.ts';
import { openTestVault } from './temp_vault.ts';

/** A vault, or where one is restored to. */
export interface Site {
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  rows(): Promise<VaultRows>;
  /** Deletes the vault. */
  clear(): Promise<void>;
}

function siteHome(): string {
  const home = newHome();
  onTestFinished(() => removeHome(home));
  return home;
}

export function fileSite(): Site {
  const home = siteHome();
  return {
    home,
    env: {},
    rows: async () => rowsOfFile(join(home, 'data', 'vault.db')),
    clear: async () => fs.rmSync(join(home, 'data'), { recursive: true, force: true }),
  };
}

export async function databaseSite(server: PostgresqlServer): Promise<Site> {
  const database = await createDatabase(server);
  const uri = `postgres://${POSTGRESQL_OWNER}@127.0.0.1:${server.port}/${database}`;
  return {
    home: siteHome(),
    env: { KEYHOLD_STORE: uri, KEYHOLD_STORE_PASSWORD: POSTGRESQL_OWNER_PASSWORD },
    rows: () => rowsOfDatabase(server.port, database),
    clear: () => server.execute('DROP SCHEMA IF EXISTS keyhold CASCADE', database),
  };
}

export function copyRootKey(from: Site, to: Site): void {
  fs.mkdirSync(join(to.home, 'keys'), { recursive: true, mode: 0o700 });
  fs.copyFileSync(join(from.home, 'keys', 'root.key'), join(to.home, 'keys', 'root.key'));
}

/** The request ids of all entries of the audit log. */
export async function auditedRequests(home: string, env: NodeJS.ProcessEnv): Promise<Set<string>> {
  const { vault, caller } = await openTestVault(home, env, 'no');
  const ids = new Set<string>();
  let before: number | undefined;
  do {
    const page = await vault.listAudit(caller(), {}, 100, before);
    for (const { request_id } of page.entries) ids.add(request_id);
    before = page.next ?? undefined;
  } while (before !== undefined);
  await vault.close();
  return ids;
}
