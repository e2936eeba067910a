/** `keyhold backup verify`: rehearses a restore in a temporary folder. */
import { ERROR_TABLE } from '../../../contract/errors.ts';
import type { CliContext } from '../../context.ts';
import { Exit } from '../../errors/exit.ts';
import { print, printJson } from '../../terminal/output.ts';
import { readBackupFile } from './backup_file.ts';
import { promptBackupPassphrase } from './passphrase.ts';
import { progressLine } from './progress.ts';

export async function verifyBackup(
  context: CliContext,
  path: string,
  { json }: { readonly json?: boolean },
): Promise<void> {
  const progress = progressLine(context, 'Verifying the backup');
  const backup = await context.backups
    .verify(readBackupFile(context, path), promptBackupPassphrase(context), progress.show)
    .finally(progress.clear);
  const { counts, organizations, report } = backup;
  if (json) {
    const { findings, ok } = report;
    const { id, created_at, vault } = backup;
    await printJson(context, { ok, id, created_at, vault, organizations, ...counts, findings });
  } else if (report.ok) {
    await print(
      context,
      `The backup of ${backup.created_at} is complete and its audit logs are intact: ${organizations} organizations, ${counts.records} records, ${counts.entries} audit entries.`,
    );
  } else {
    const findings = report.findings.map(({ message }) => `- ${message}`);
    await print(context, ['The backup is complete, but its audit logs have findings:', ...findings]);
  }
  if (!report.ok) throw new Exit(ERROR_TABLE.CORRUPT.exit_code);
}
