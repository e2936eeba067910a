/** `keyhold restore`: makes a backup the vault of this machine. */
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { readBackupFile } from './backup_file.ts';
import { promptBackupPassphrase } from './passphrase.ts';
import { progressLine } from './progress.ts';

interface Options {
  readonly replace?: boolean;
  readonly accept?: boolean;
  readonly json?: boolean;
}

export async function restoreVault(
  context: CliContext,
  path: string,
  { replace = false, accept = false, json }: Options,
): Promise<void> {
  assertLocal(context.env, 'restore', 'Run it on the machine of the server.');
  const progress = progressLine(context, 'Restoring');
  const bytes = readBackupFile(context, path);
  const restored = await context.backups
    .restore(bytes, promptBackupPassphrase(context), { replace, accept }, progress.show)
    .finally(progress.clear);
  const { id, created_at, vault, counts, organizations, kept, was_restored } = restored;
  if (json) {
    const facts = { id, created_at, vault, organizations, ...counts };
    return printJson(context, { ...facts, was_restored, kept: kept ?? null });
  }
  const lines = was_restored
    ? [`The backup of ${created_at} had been restored by an earlier run. Nothing else was changed.`]
    : [`Restored the backup of ${created_at}: ${counts.records} records, ${counts.entries} audit entries.`];
  if (kept !== undefined) lines.push(`The former vault was kept: ${kept}`);
  await print(context, [...lines, 'Next: `keyhold audit verify`, then start the server and MCP clients.']);
}
