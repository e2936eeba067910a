/** What a log takes, and how a failure is written down without what it may quote. */
import { VaultError } from './errors.ts';

export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

const CAUSES_MAX = 5;

/**
 * A failure as it may be logged: its kind, code and stack frames, and so for its causes. A message is kept only when
 * it is Keyhold's own: a library's may quote its input.
 */
export function describeFailure(thrown: unknown): Record<string, unknown>[] {
  const described: Record<string, unknown>[] = [];
  let error = thrown;
  while (error instanceof Error && described.length < CAUSES_MAX) {
    described.push({
      name: error.name,
      ...('code' in error ? { code: String(error.code) } : {}),
      ...(error instanceof VaultError ? { message: error.message } : {}),
      frames: framesOf(error),
    });
    error = error.cause;
  }
  return described.length > 0 ? described : [{ name: typeof thrown }];
}

/** The stack without the message before it, of which a line may look like a frame. */
function framesOf({ stack = '', message }: Error): string[] {
  const lines = stack.slice(stack.indexOf(message) + message.length).split('\n');
  return stack.includes(message)
    ? lines.filter((line) => /^\s+at /.test(line)).map((line) => line.trim())
    : [];
}
