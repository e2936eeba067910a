/**
 * Opens the log: JSON lines on stderr, by pino. Lines of one event-loop iteration are written together; a warning or an
 * error is written at once, with all lines before it.
 */
import type { Logger } from '../contract/logger.ts';
import type { LogLevel } from '../settings/settings.ts';

const LOG_BUFFER_BYTES = 4_096;

export async function openLogger(level: LogLevel): Promise<Logger> {
  const { default: pino } = await import('pino');
  const stderr = pino.destination({ dest: 2, sync: true, minLength: LOG_BUFFER_BYTES });
  const lines = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stderr);
  let is_waiting = false;
  const flush = () => {
    is_waiting = false;
    stderr.flush();
  };
  process.once('exit', () => {
    if (is_waiting) flush();
  });
  const buffered = (level: 'debug' | 'info'): Logger['info'] => {
    if (!lines.isLevelEnabled(level)) return () => undefined;
    return (fields, message) => {
      lines[level](fields, message);
      if (!is_waiting) setImmediate(flush);
      is_waiting = true;
    };
  };
  const immediate = (level: 'warn' | 'error'): Logger['info'] => {
    if (!lines.isLevelEnabled(level)) return () => undefined;
    return (fields, message) => {
      lines[level](fields, message);
      flush();
    };
  };
  return {
    debug: buffered('debug'),
    info: buffered('info'),
    warn: immediate('warn'),
    error: immediate('error'),
  };
}
