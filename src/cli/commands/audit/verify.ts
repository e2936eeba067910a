/** `keyhold audit verify`: prints the report of the vault's check. Exits with the code of CORRUPT if it has findings. */
import type { AuditReport } from '../../../contract/audit.ts';
import { ERROR_TABLE, VaultError } from '../../../contract/errors.ts';
import type { VerifyProgress } from '../../../contract/vault_client.ts';
import { type ConnectionOptions, serverOption } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { Exit } from '../../errors/exit.ts';
import { print, printJson } from '../../terminal/output.ts';
import { line, type Part, paintFor } from '../../terminal/terminal_text.ts';

/** A shorter log is checked too fast for a progress line. */
const LONG_LOG_ENTRIES = 5_000;
/** Back to the first column, then erase to the end of the line (ECMA-48, EL). */
const CLEAR_LINE = '\r\u001b[K';

interface Options extends ConnectionOptions {
  readonly org?: string;
  readonly accept?: boolean;
  readonly json?: boolean;
}

export async function verifyAudit(context: CliContext, options: Options): Promise<void> {
  if (options.accept && serverOption(context.env, options.url, options.keyFile) !== undefined) {
    const message =
      'A restored backup is accepted on the machine of its vault. Run the command there, without a server.';
    throw new VaultError('INVALID_INPUT', message);
  }
  const connection = await connectVault(context, options);
  const progress = progressOn(context);
  let report: AuditReport;
  try {
    report = await connection.withVault('existing_or_older', (vault) =>
      vault.verifyAudit({
        organization: options.org,
        ...(options.accept === undefined ? {} : { accept: options.accept }),
        ...(progress === undefined ? {} : { progress: progress.show }),
      }),
    );
  } finally {
    progress?.clear();
  }
  if (options.json === true) await printJson(context, report);
  else await print(context, draw(context, report));
  if (!report.ok) throw new Exit(ERROR_TABLE.CORRUPT.exit_code);
}

function draw(context: CliContext, { ok, entries, credentials, findings }: AuditReport): Part[] {
  const paint = paintFor(context);
  const counted = `${count(entries, 'entry', 'entries')}, ${count(credentials, 'credential', 'credentials')}`;
  if (ok) return [line`${paint('green', 'The audit log is intact')}: ${counted}.`];
  return [
    line`${paint('red', 'The audit log or the vault was tampered with or damaged')} (${counted}):`,
    ...findings.map(
      ({ message, credential_id }) =>
        `- ${message}${credential_id === null ? '' : ` (credential ${credential_id})`}`,
    ),
    'Restore the vault from a backup that you trust, and find out who could write to its file.',
  ];
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

/**
 * A progress line on stderr for a long log; `undefined` without a terminal. Not a spinner of the prompt library, which reads
 * standard input and intercepts Ctrl-C.
 */
export function progressOn({
  stderr,
}: Pick<CliContext, 'stderr'>): { show: VerifyProgress; clear: () => void } | undefined {
  if (stderr.isTTY !== true) return undefined;
  let is_shown = false;
  return {
    show: (done, total) => {
      if (total < LONG_LOG_ENTRIES) return;
      is_shown = true;
      stderr.write(
        `${CLEAR_LINE}Checking the audit log: ${Math.floor((done / total) * 100)} % of ${total} entries`,
      );
    },
    clear: () => {
      if (is_shown) stderr.write(CLEAR_LINE);
    },
  };
}
