/** The interface of a log, and the description of an error without text that may quote a value. */
import { VaultError } from './errors.ts';

export interface Logger {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

const CAUSES_MAX = 5;

/**
 * Describes an error and its causes for the log: name, code and stack frames. Only a message of Keyhold is kept, since a
 * library may quote its input.
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

/** Removes the message from the stack first, since a line of it may look like a frame. */
function framesOf({ stack = '', message }: Error): string[] {
  const lines = stack.slice(stack.indexOf(message) + message.length).split('\n');
  return stack.includes(message)
    ? lines.filter((line) => /^\s+at /.test(line)).map((line) => line.trim())
    : [];
}
