/** A database whose vault was moved away: what it refuses, and the move back to it. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { keyhold, keyholdOk } from '../kit/child/cli.ts';
import { errorOf } from '../kit/outcome.ts';
import { NO_POSTGRESQL, POSTGRESQL_OWNER_PASSWORD } from '../kit/servers/postgresql.ts';
import { usePostgresql } from '../kit/servers/use_postgresql.ts';
import { databaseSite } from '../kit/vault/sites.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

const TEST_TIMEOUT_MS = 120_000;
const PASSWORD = { KEYHOLD_STORE_PASSWORD: POSTGRESQL_OWNER_PASSWORD };
const CREDENTIAL = { service_id: 'linear', credential_type: 'api_key' as const, credential_value: 'v' };

const server = usePostgresql();

/** A vault that was moved from a database to a file, and a process that has had the database open since before. */
async function movedAway() {
  const site = await databaseSite(server);
  const { home, env } = site;
  const { vault, caller } = await openTestVault(home, env, 'yes');
  await vault.store(caller(), CREDENTIAL);
  const backup = join(home, 'vault.backup');
  await keyholdOk(home, ['backup', backup], { env });
  const store = `sqlite:${join(home, 'data', 'vault.db')}`;
  await keyholdOk(home, ['move', store], { env });
  const there = { ...PASSWORD, KEYHOLD_STORE: store };
  const failureOf = async (args: readonly string[], used = env) => {
    const { code, stderr } = await keyhold(home, [...args, '--json'], { env: used, stdin: 'a-value' });
    expect(code).not.toBe(0);
    return (JSON.parse(stderr) as { error: object }).error;
  };
  return { ...site, vault, caller, backup, there, uri: env.KEYHOLD_STORE ?? '', failureOf };
}

describe.skipIf(NO_POSTGRESQL)('a former database', { timeout: TEST_TIMEOUT_MS }, () => {
  test('names the new store, although the anchor is newer than its vault', async () => {
    const { home, there, uri, failureOf, vault, env } = await movedAway();
    await vault.close();
    await keyholdOk(home, ['store', 'github', '--stdin'], { stdin: 'a-new-value', env: there });
    for (const args of [['status'], ['store', 'github', '--stdin']])
      expect(await failureOf(args)).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'vault_moved',
        message: expect.stringContaining(join(home, 'data', 'vault.db')),
      });
    await keyholdOk(home, ['move', uri], { env: there });
    await keyholdOk(home, ['audit', 'verify'], { env });
  });

  test('is replaced neither by a restore nor by the cancellation of a move', async () => {
    const { home, there, uri, failureOf, vault, backup, rows } = await movedAway();
    await vault.close();
    const before = await rows();
    for (const options of [[], ['--replace']])
      expect(await failureOf(['restore', backup, ...options])).toMatchObject({ reason: 'target_not_empty' });
    expect(await failureOf(['move', uri, '--cancel'], there)).toMatchObject({ reason: 'target_not_empty' });
    expect(await rows()).toEqual(before);
    await keyholdOk(home, ['store', 'github', '--stdin'], { stdin: 'a-new-value', env: there });
  });

  test('receives its vault again only after every process has closed it', async () => {
    const { home, there, uri, failureOf, vault, caller, env } = await movedAway();
    expect(await errorOf(vault.store(caller(), CREDENTIAL))).toMatchObject({ reason: 'vault_moved' });
    expect(await failureOf(['move', uri], there)).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'busy',
      message: expect.stringContaining('open'),
    });
    await keyholdOk(home, ['store', 'github', '--stdin'], { stdin: 'a-new-value', env: there });
    await vault.close();
    await keyholdOk(home, ['move', uri], { env: there });
    await keyholdOk(home, ['audit', 'verify'], { env });
  });
});
