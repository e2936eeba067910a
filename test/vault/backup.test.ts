/** Who may back up the vault, and that a backup has every write that was acknowledged before it began. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/crypto/random.ts';
import { openSqlite } from '../../src/store/sqlite/store.ts';
import { SqliteTarget } from '../../src/store/sqlite/transfer/target.ts';
import { BackupReader } from '../../src/vault/backup/backup_reader.ts';
import { restoreBackup } from '../../src/vault/backup/restore.ts';
import { unlockBackup } from '../../src/vault/backup/unlock.ts';
import { useVaultProcesses } from '../kit/child/vault_process.ts';
import { createOperationFixtures } from '../kit/vault/operations.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const processes = useVaultProcesses();

/** Collects a backup in memory. */
function collector() {
  const chunks: Buffer[] = [];
  const write = async (bytes: Buffer) => void chunks.push(Buffer.from(bytes));
  return { chunks, write };
}

describe('a backup of the vault', () => {
  test('is refused to everyone but the operator, and the refusal is in the audit log', async () => {
    const { tenants, ann, admin } = await createOperationFixtures();
    const { chunks, write } = collector();
    for (const caller of [ann, admin]) {
      const backup = tenants.vault.backups.create(caller, write);
      await expect(backup).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
    expect(chunks).toEqual([]);
    const { entries } = await tenants.vault.listAudit(admin, { action: 'backup', outcome: 'denied' });
    expect(entries.length).toBeGreaterThan(0);
  });

  test('has every write that was acknowledged before it began, while another process writes', async () => {
    const { home, vault, caller } = await openTestVault();
    const writer = processes.startWriter(home, { task: 'mix', label: 'w', credentials: 20 });
    await writer.waitFor('ready');
    writer.begin();
    await writer.waitFor('acknowledged');
    await new Promise((resolve) => setTimeout(resolve, 500));
    const acknowledged = writer.lines.flatMap((line) =>
      line.event === 'acknowledged' ? [line.request_id] : [],
    );
    const { chunks, write } = collector();
    const operator = { ...caller(), edge: 'cli' as const };
    await vault.backups.create(operator, write);
    const during = writer.lines.length;
    writer.signal('SIGKILL');
    await writer.exited;
    expect(during).toBeGreaterThan(0);
    const to = temporaryFolder();
    mkdirSync(join(to, 'keys'));
    const backup = await BackupReader.open(iterate(chunks));
    const root_key = { kind: 'file', path: join(home, 'keys', 'root.key') } as const;
    const keys = await unlockBackup(backup.header, root_key, async () => undefined);
    const path = join(to, 'data', 'vault.db');
    const restored = await restoreBackup({
      backup,
      keys,
      target: new SqliteTarget(path),
      openPresent: async () => openSqlite(path),
      random: systemRandom,
      cipher: 'aes-256-gcm',
      caller: operator,
      now: () => new Date(),
      anchor_path: undefined,
      writeKeyFile: () => undefined,
      replace: false,
      accept: false,
    });
    expect(restored.report).toMatchObject({ ok: true, findings: [] });
    const copy = await openTestVault(to, { KEYHOLD_ROOT_KEY: `file:${root_key.path}` }, 'no');
    const found = new Set<string>();
    for (let before: number | undefined; ; ) {
      const page = await copy.vault.listAudit(copy.caller(), {}, 100, before);
      for (const { request_id } of page.entries) found.add(request_id);
      if (page.next === null) break;
      before = page.next;
    }
    expect(acknowledged.length).toBeGreaterThan(5);
    expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
    expect(await copy.vault.verifyAudit(copy.caller())).toMatchObject({ ok: true });
  });
});

async function* iterate(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  yield* chunks;
}
