/**
 * The one place where a failure becomes words on stderr and an exit code. It shows Keyhold's own messages only; what
 * led to an unknown failure goes into the log, without what it may quote.
 */
import { ERROR_TABLE, type PublicError, toPublicError, VaultError } from '../../contract/errors.ts';
import { describeFailure } from '../../contract/logger.ts';
import type { CliContext } from '../context.ts';
import { write } from '../terminal/output.ts';
import { Exit } from './exit.ts';

/**
 * Says what went wrong and returns the exit code. `json`: as one line, `{"error":{code, reason?, message}}`, with
 * `request_id` where the log has more.
 */
export async function reportFailure(context: CliContext, thrown: unknown, json: boolean): Promise<number> {
  if (thrown instanceof Exit) return thrown.code;
  const request_id = thrown instanceof VaultError ? idOf(thrown) : context.caller().request_id;
  const error = toPublicError(thrown, request_id);
  await logCause(context, thrown, error);
  const text = json ? JSON.stringify({ error }) : `error: ${error.message}`;
  await write(context.stderr, `${text}\n`);
  return ERROR_TABLE[error.code].exit_code;
}

/** The id that a server's log has the request under. */
function idOf(error: VaultError): string | undefined {
  return 'request_id' in error && typeof error.request_id === 'string' ? error.request_id : undefined;
}

async function logCause(
  context: CliContext,
  thrown: unknown,
  { code, request_id }: PublicError,
): Promise<void> {
  try {
    const log = await context.log();
    const fields = { code, request_id, failure: describeFailure(thrown) };
    // A person at a terminal needs the message only; the causes of a known failure are for whoever looks for them.
    if (code === 'INTERNAL') log.error(fields, 'command failed');
    else log.debug(fields, 'command failed');
  } catch {
    // With a wrong setting there is no log; the message above everything else says which setting.
  }
}
