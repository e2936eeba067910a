/** Backups of a vault in PostgreSQL, and restores to a database: between both engines, and to a database that has a vault. */
import fs from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { keyhold, keyholdJson, keyholdOk } from '../kit/child/cli.ts';
import { useVaultProcesses } from '../kit/child/vault_process.ts';
import { NO_POSTGRESQL, POSTGRESQL_OWNER_PASSWORD } from '../kit/servers/postgresql.ts';
import { usePostgresql } from '../kit/servers/use_postgresql.ts';
import type { VaultRows } from '../kit/vault/moved_rows.ts';
import { auditedRequests, copyRootKey, databaseSite, fileSite, type Site } from '../kit/vault/sites.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const TEST_TIMEOUT_MS = 120_000;

const processes = useVaultProcesses();
const server = usePostgresql();
let file: string;
beforeEach(() => {
  file = join(temporaryFolder(), 'vault.backup');
});

const SITES = { file: async () => fileSite(), database: () => databaseSite(server) };

async function fill(site: Site): Promise<void> {
  const { home, env } = site;
  await keyholdOk(home, ['init'], { env });
  for (const service of ['linear', 'openai', 'notion'])
    await keyholdOk(home, ['store', service, '--stdin'], { env, stdin: `a-value-for-${service}-5cf1` });
  await keyholdOk(home, ['delete', 'notion', '--yes'], { env });
}

async function servicesOf({ home, env }: Site): Promise<string[]> {
  const { credentials } = await keyholdJson<{ credentials: { service_id: string }[] }>(home, ['status'], {
    env,
  });
  return credentials.map(({ service_id }) => service_id).sort();
}

/** Without the mark of the head, which the entry of the restore takes. */
function entriesOf({ entries }: VaultRows): string[] {
  return entries.map((entry) => String(entry).replace(/head_mac=[0-9a-f]+ /, ''));
}

describe.skipIf(NO_POSTGRESQL)('a backup', { timeout: TEST_TIMEOUT_MS }, () => {
  test.each([
    ['file', 'database'],
    ['database', 'file'],
    ['database', 'database'],
  ] as const)('of a vault in a %s restores to an empty %s, record by record', async (from_kind, to_kind) => {
    const from = await SITES[from_kind]();
    await fill(from);
    await keyholdOk(from.home, ['backup', file], { env: from.env });
    expect(await keyholdJson(from.home, ['backup', 'verify', file], { env: from.env })).toMatchObject({
      ok: true,
    });
    const source = await from.rows();
    const to = await SITES[to_kind]();
    copyRootKey(from, to);
    const restored = await keyholdJson(to.home, ['restore', file], { env: to.env });
    expect(restored).toMatchObject({ kept: null, was_restored: false });
    const copy = await to.rows();
    expect(copy.header).toEqual(source.header);
    expect(copy.keys).toEqual(source.keys);
    expect(copy.records).toEqual(source.records);
    expect(copy.entries.length).toBe(source.entries.length + 1);
    expect(entriesOf(copy)).toEqual(expect.arrayContaining(entriesOf(source)));
    await keyholdOk(to.home, ['audit', 'verify'], { env: to.env });
    expect(await servicesOf(to)).toEqual(['linear', 'openai']);
    await keyholdOk(to.home, ['store', 'github', '--stdin'], { env: to.env, stdin: 'one-more-value-5cf1' });
    await keyholdOk(to.home, ['audit', 'verify'], { env: to.env });
    expect(await servicesOf(to)).toEqual(['github', 'linear', 'openai']);
  });

  test('does not replace a vault in a database, also with --replace, and changes nothing there', async () => {
    const from = fileSite();
    await fill(from);
    await keyholdOk(from.home, ['backup', file]);
    const to = await databaseSite(server);
    copyRootKey(from, to);
    await fill(to);
    const before = await to.rows();
    for (const options of [[], ['--replace']]) {
      const { code, stderr } = await keyhold(to.home, ['restore', ...options, file, '--json'], {
        env: to.env,
      });
      expect([code, stderr.includes(POSTGRESQL_OWNER_PASSWORD)]).toEqual([6, false]);
      expect(JSON.parse(stderr).error).toMatchObject({ code: 'CONFLICT' });
    }
    expect(await to.rows()).toEqual(before);
    await keyholdOk(to.home, ['audit', 'verify'], { env: to.env });
  });

  test('of a database has every write that was acknowledged before it began, while another process writes', async () => {
    const from = await databaseSite(server);
    await keyholdOk(from.home, ['init'], { env: from.env });
    const task = { task: 'mix', label: 'w', credentials: 20 } as const;
    const writer = processes.startWriter(from.home, task, undefined, from.env);
    await writer.waitFor('ready');
    writer.begin();
    const acknowledgedIds = () =>
      writer.lines.flatMap((line) => (line.event === 'acknowledged' ? [line.request_id] : []));
    await expect.poll(() => acknowledgedIds().length, { timeout: 30_000 }).toBeGreaterThan(5);
    const acknowledged = acknowledgedIds();
    await keyholdOk(from.home, ['backup', file], { env: from.env });
    const written = writer.lines.length;
    writer.signal('SIGKILL');
    await writer.exited;
    expect(written).toBeGreaterThan(acknowledged.length);
    const to = await databaseSite(server);
    copyRootKey(from, to);
    await keyholdOk(to.home, ['restore', file], { env: to.env });
    await keyholdOk(to.home, ['audit', 'verify'], { env: to.env });
    const found = await auditedRequests(to.home, to.env);
    expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  });

  test('that a database has is not restored again, whatever was written since', async () => {
    const from = fileSite();
    await fill(from);
    await keyholdOk(from.home, ['backup', file]);
    const to = await databaseSite(server);
    copyRootKey(from, to);
    await keyholdOk(to.home, ['restore', file], { env: to.env });
    const restored = await to.rows();
    // As if the process was killed after the last step: the anchor was not written.
    fs.rmSync(join(to.home, 'keys', 'anchor'), { force: true });
    const again = await keyholdJson(to.home, ['restore', file], { env: to.env });
    expect(again).toMatchObject({ was_restored: true, kept: null });
    expect(await to.rows()).toEqual(restored);
    expect(fs.existsSync(join(to.home, 'keys', 'anchor'))).toBe(true);
    await keyholdOk(to.home, ['store', 'github', '--stdin'], { env: to.env, stdin: 'one-more-value-5cf1' });
    const later = await to.rows();
    expect(await keyholdOk(to.home, ['restore', '--replace', file], { env: to.env })).not.toContain(
      'Restored ',
    );
    expect(await to.rows()).toEqual(later);
    await keyholdOk(from.home, ['backup', '--force', file]);
    const { code, stderr } = await keyhold(to.home, ['restore', file, '--json'], { env: to.env });
    expect([code, JSON.parse(stderr).error.reason]).toEqual([6, 'target_not_empty']);
    expect(await to.rows()).toEqual(later);
    await keyholdOk(to.home, ['audit', 'verify'], { env: to.env });
  });

  test('that is cut off leaves a database that does not open, until the whole one is restored', async () => {
    const from = fileSite();
    await fill(from);
    await keyholdOk(from.home, ['backup', file]);
    const bytes = fs.readFileSync(file);
    const to = await databaseSite(server);
    copyRootKey(from, to);
    fs.writeFileSync(file, bytes.subarray(0, bytes.length - 100));
    expect(await keyhold(to.home, ['restore', file], { env: to.env })).toMatchObject({ code: 12 });
    for (const argv of [['status'], ['init']]) {
      const { code, stderr } = await keyhold(to.home, [...argv, '--json'], { env: to.env });
      expect(code).not.toBe(0);
      expect(JSON.parse(stderr).error).toMatchObject({ reason: 'move_incomplete' });
    }
    fs.writeFileSync(file, bytes);
    await keyholdOk(to.home, ['restore', file], { env: to.env });
    expect((await to.rows()).records).toEqual((await from.rows()).records);
    await keyholdOk(to.home, ['audit', 'verify'], { env: to.env });
  });
});
