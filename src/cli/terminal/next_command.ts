/**
 * The next command that the output of a command suggests. It keeps the options that select the vault, the stack and the
 * credential. Not for errors, which repeat no argument: it may be a misplaced value.
 */
import { shellQuote } from '../../io/shell_quote.ts';

/** The selecting options of the command that ran. */
export interface Selectors {
  readonly name?: string | undefined;
  readonly stack?: string | undefined;
  readonly org?: string | undefined;
  readonly url?: string | undefined;
  readonly keyFile?: string | undefined;
}

const OPTIONS: readonly (readonly [keyof Selectors, string])[] = [
  ['name', '--name'],
  ['stack', '--stack'],
  ['org', '--org'],
  ['url', '--url'],
  ['keyFile', '--key-file'],
];

/** Where an error suggests a command: the options to give it again, without their values. */
export function sameOptions(selectors: Selectors): string {
  const given = OPTIONS.filter(([key]) => selectors[key] !== undefined).map(([, option]) => option);
  return given.length === 0 ? '' : ` with the same ${given.join(' and ')}`;
}

/**
 * `keyhold WORDS`, on the same vault and with the same selectors: without them it would change another credential. Words
 * are quoted for a shell: they may be names that a server sent.
 */
export function nextCommand(words: readonly string[], selectors: Selectors): string {
  const given = OPTIONS.flatMap(([key, option]) => {
    const value = selectors[key];
    return value === undefined ? [] : [option, shellQuote(value)];
  });
  return ['keyhold', ...words.map(shellQuote), ...given].join(' ');
}
