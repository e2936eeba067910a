/** Quotes arguments in commands that a person copies into a shell. */

/** For a POSIX shell (POSIX.1-2017, Shell Command Language, section 2.2.2). */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_.,:@%/+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
