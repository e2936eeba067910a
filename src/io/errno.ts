/** Reads the code of a caught error. Never its message, which may quote a path or a value. */

/** The code that the system, SQLite or a library put on the error, such as `ENOENT`; undefined if it has none. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
