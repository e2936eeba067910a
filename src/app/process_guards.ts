/**
 * Guards of a server process: keeps the text of libraries and of uncaught exceptions out of stdout, stderr and the log,
 * since it may quote a value.
 */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { ERROR_TABLE } from '../contract/errors.ts';
import { describeFailure, type Logger } from '../contract/logger.ts';

/** `openLogger` may reject, for example because of an invalid setting; then nothing is logged. */
export function guardProcess(openLogger: () => Promise<Logger>): void {
  const write = async (level: 'warn' | 'error', fields: Record<string, unknown>, message: string) => {
    const log = await openLogger().catch(() => undefined);
    log?.[level](fields, message);
  };
  // After an uncaught exception the state of the process is unknown, so it exits.
  process.on('uncaughtException', (error) => {
    const is_written = write('error', { failure: describeFailure(error) }, 'uncaught exception');
    void is_written.finally(() => process.exit(ERROR_TABLE.INTERNAL.exit_code));
  });
  const sink = new Writable({
    write(_text, _encoding, done) {
      void write('warn', {}, 'a library wrote to the console').finally(done);
    },
  });
  globalThis.console = new Console(sink, sink);
}
