/** Ends a command that waits for a person at Ctrl-C, after it has removed what it made. */
import { CANCELLED_EXIT_CODE, Exit } from '../errors/exit.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Requests in flight would keep the process alive. */
const EXIT_AFTER_MS = 500;

/** Runs `act`. Rejects with the exit code of a cancelled program at the first SIGINT or SIGTERM. */
export async function untilInterrupted<Result>(act: () => Promise<Result>): Promise<Result> {
  let interrupt = () => {};
  const interrupted = new Promise<never>((_resolve, reject) => {
    interrupt = () => {
      setTimeout(() => process.exit(CANCELLED_EXIT_CODE), EXIT_AFTER_MS).unref();
      reject(new Exit(CANCELLED_EXIT_CODE));
    };
  });
  for (const signal of SIGNALS) process.once(signal, interrupt);
  try {
    return await Promise.race([act(), interrupted]);
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}
