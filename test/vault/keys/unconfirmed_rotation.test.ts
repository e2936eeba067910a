/** Rotations of the root key whose commit waits for a synchronous standby: the vault opens, whether the commit is made later or not. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LOCAL_ORGANIZATION, localCaller } from '../../../src/contract/caller.ts';
import { systemRandom } from '../../../src/crypto/random.ts';
import { openPostgres } from '../../../src/store/postgres/store.ts';
import { openKeys } from '../../../src/vault/backup/verify_copy.ts';
import { rotateRootKey } from '../../../src/vault/keys/rotations/root_rotation.ts';
import { errorOf } from '../../kit/outcome.ts';
import {
  createDatabase,
  NO_POSTGRESQL,
  PASSWORD_RULES,
  POSTGRESQL_OWNER,
  POSTGRESQL_OWNER_PASSWORD,
  type PostgresqlServer,
  requireStandby,
  startPostgresql,
} from '../../kit/servers/postgresql.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const OUTAGE_TIMEOUT_MS = 300;
const TIMEOUT_MS = 120_000;

async function newServer(): Promise<PostgresqlServer> {
  const server = await startPostgresql(PASSWORD_RULES);
  onTestFinished(() => server.stop());
  return server;
}

/** The parts of an open vault whose store gives up soon. */
async function openRotation({ port }: PostgresqlServer, database: string, path: string) {
  const store = openPostgres({
    hosts: [{ host: '127.0.0.1', port, tls: undefined }],
    database,
    user: POSTGRESQL_OWNER,
    readPassword: async () => POSTGRESQL_OWNER_PASSWORD,
    outage_timeout_ms: OUTAGE_TIMEOUT_MS,
  });
  onTestFinished(() => store.close());
  const root_key = Buffer.from(readFileSync(path, 'utf8'), 'base64');
  const sealing = { random: systemRandom, cipher: 'aes-256-gcm' } as const;
  const opened = await openKeys(store, root_key, sealing);
  const local = await opened.keys.organization(LOCAL_ORGANIZATION);
  if (local === undefined) throw new Error('the vault has no keys of the local organization');
  const parts = { ...opened, random: systemRandom, now: () => new Date() };
  return { parts, local };
}

// With its own server, so once is enough.
describe.skipIf(NO_POSTGRESQL || test_engine.is_remote)(
  'a rotation of the root key whose commit the standby does not confirm',
  () => {
    test('keeps both key files and names the new one, and the vault opens after the commit was made', {
      timeout: TIMEOUT_MS,
    }, async () => {
      const server = await newServer();
      const database = await createDatabase(server);
      const home = temporaryFolder();
      const path = join(home, 'keys', 'root.key');
      const env = {
        KEYHOLD_STORE: `postgres://${POSTGRESQL_OWNER}@127.0.0.1:${server.port}/${database}`,
        KEYHOLD_STORE_PASSWORD: POSTGRESQL_OWNER_PASSWORD,
      };
      await (await openTestVault(home, env, 'yes')).vault.close();
      const { parts, local } = await openRotation(server, database, path);
      await requireStandby(server, 'missing');
      const caller = localCaller('library', 'test');
      const file = { kind: 'file', path } as const;
      const rotation = rotateRootKey(parts, caller, local, { from: file, to: file }, () => undefined);
      const failure = await errorOf(rotation);
      const next = readdirSync(join(home, 'keys')).find((name) => name.startsWith('root.key.next-'));
      expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'outcome_unknown' });
      expect(failure.message).toContain(`kept in the file ${next}`);
      await requireStandby(server, '');
      // Waits for the lock of the commit.
      await server.query('SELECT 1 FROM keyhold.audit_chain FOR UPDATE', database);
      const { vault } = await openTestVault(home, env, 'no');
      expect((await vault.verifyAudit(caller)).findings).toEqual([]);
      expect(await vault.rotations.rotateRoot(caller)).toMatchObject({ not_removed: undefined });
      await vault.close();
      expect(readdirSync(join(home, 'keys')).toSorted()).toEqual(['anchor', 'root.key']);
    });
  },
);
