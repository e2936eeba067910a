/** Ends the process: on signals, and after a server has stopped. */
import { SHUTDOWN_FLUSH_TIMEOUT_MS } from '../contract/limits.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** npm and pnpm pass on a SIGINT that the terminal has also sent to the whole process group. */
const SAME_REQUEST_MS = 1_000;

/**
 * Resolves at the first SIGTERM, SIGINT or SIGHUP. Signals within a second of it count as the same request. A later one
 * ends the process at once, as Node.js does by default.
 */
export function waitForShutdownSignal(): Promise<void> {
  return new Promise((resolve) => {
    let requested_ms: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      requested_ms ??= performance.now();
      resolve();
      if (performance.now() - requested_ms < SAME_REQUEST_MS) return;
      for (const name of SIGNALS) process.off(name, onSignal);
      process.kill(process.pid, signal);
    };
    for (const name of SIGNALS) process.on(name, onSignal);
  });
}

/**
 * Ends the process even if nothing reads stdout or stderr, whose pending output would keep it alive. Without pending
 * output the process ends by itself, earlier.
 */
export function exitWithoutReaders(exit_code: number): void {
  setTimeout(() => process.exit(process.exitCode ?? exit_code), SHUTDOWN_FLUSH_TIMEOUT_MS).unref();
}
