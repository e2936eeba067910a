/**
 * Converts a failure to a message on stderr and an exit code. Prints Keyhold's own messages only; the cause of an unknown
 * failure goes to the log, redacted.
 */
import { ERROR_TABLE, type PublicError, toPublicError, VaultError } from '../../contract/errors.ts';
import { describeFailure } from '../../contract/logger.ts';
import type { CliContext } from '../context.ts';
import { write } from '../terminal/output.ts';
import { escapeUnprintable, renderLines } from '../terminal/terminal_text.ts';
import { Exit } from './exit.ts';

/**
 * Prints the error and returns the exit code. `json`: one line, `{"error":{code, reason?, message}}`, with `request_id` if
 * the log has more.
 */
export async function reportFailure(context: CliContext, thrown: unknown, json: boolean): Promise<number> {
  if (thrown instanceof Exit) return thrown.code;
  const request_id = thrown instanceof VaultError ? requestIdOf(thrown) : context.caller().request_id;
  const error = toPublicError(thrown, request_id);
  await logCause(context, thrown, error);
  // A message of a server, or with the name of one of its services, must not control the terminal.
  const text = json ? escapeUnprintable(JSON.stringify({ error })) : `error: ${renderLines(linesOf(error))}`;
  try {
    await write(context.stderr, `${text}\n`);
  } catch {
    // Only the exit code can report the failure.
  }
  return ERROR_TABLE[error.code].exit_code;
}

/** The message, and the next step unless the message has it. */
function linesOf({ message, next }: PublicError): string[] {
  const lines = message.split('\n');
  return next === undefined || message.includes(next) ? lines : [...lines, next];
}

/** The request id in the log of the server. */
function requestIdOf(error: VaultError): string | undefined {
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
    // The message explains a known failure, so its cause is logged at debug level only.
    if (code === 'INTERNAL') log.error(fields, 'command failed');
    else log.debug(fields, 'command failed');
  } catch {
    // An invalid setting prevents logging; the printed message names the setting.
  }
}
