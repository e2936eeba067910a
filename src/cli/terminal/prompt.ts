/**
 * Questions to the person at the terminal: on stderr, so that stdout stays the data. A secret is never shown while it
 * is typed. Ctrl-C, Ctrl-D and a terminal that goes away end the run with exit code 130.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CommonOptions } from '@clack/prompts';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { CANCELLED_EXIT_CODE, Exit } from '../errors/exit.ts';

export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WriteStream;
}

export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly hint: string;
}

/** A paste may come in parts; what follows the first line is waited for this long. */
const PASTE_REST_MS = 40;
const CHOICES_SHOWN_MAX = 8;
const ASSUMED_COLUMNS = 80;
const ASSUMED_ROWS = 24;

/** Can somebody be asked? */
export function isTerminal({ stdin, stderr }: Terminal): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Asks for a secret. `undefined` where there is no terminal, and for an empty answer. Throws INVALID_INPUT when
 * several lines were pasted, since only the first of them would be taken.
 */
export async function promptSecret(question: string, terminal: Terminal): Promise<Secret | undefined> {
  if (!isTerminal(terminal)) return undefined;
  const { password } = await import('@clack/prompts');
  const answer = await prompt(terminal, (common) => password({ ...common, message: question }));
  return answer === '' ? undefined : new Secret(answer);
}

/** Asks for something that may be seen. `undefined` as for `askSecret`. */
export async function promptText(question: string, terminal: Terminal): Promise<string | undefined> {
  if (!isTerminal(terminal)) return undefined;
  const { text } = await import('@clack/prompts');
  return (await prompt(terminal, (common) => text({ ...common, message: question }))) || undefined;
}

/** Asks yes or no; no is what Enter says. False where there is no terminal. */
export async function promptConfirm(question: string, terminal: Terminal): Promise<boolean> {
  if (!isTerminal(terminal)) return false;
  const { confirm } = await import('@clack/prompts');
  return prompt<boolean>(
    terminal,
    (common) => confirm({ ...common, message: question, initialValue: false }),
    false,
  );
}

/** Lets one of many be found by typing a part of it. */
export async function promptChoice(
  question: string,
  choices: readonly Choice[],
  terminal: Terminal,
): Promise<string> {
  const { autocomplete } = await import('@clack/prompts');
  const options = [...choices];
  return prompt(terminal, (common) =>
    autocomplete({ ...common, message: question, options, maxItems: CHOICES_SHOWN_MAX }),
  );
}

type Answering<Answer> = (common: CommonOptions) => Promise<Answer | symbol | undefined>;

async function prompt(terminal: Terminal, ask: Answering<string>): Promise<string>;
async function prompt<Answer>(terminal: Terminal, ask: Answering<Answer>, empty: Answer): Promise<Answer>;
async function prompt(terminal: Terminal, ask: Answering<unknown>, empty: unknown = ''): Promise<unknown> {
  const { stdin, stderr } = terminal;
  // A terminal that does not know its size says 0, and a question that is drawn for no columns cannot be read.
  stderr.columns ||= ASSUMED_COLUMNS;
  stderr.rows ||= ASSUMED_ROWS;
  const gone = new AbortController();
  const onGone = () => gone.abort();
  const onKey = (_text: unknown, key: { ctrl?: boolean; name?: string } | undefined) => {
    if (key?.ctrl === true && key.name === 'd') onGone();
  };
  const paste = new MultiLinePasteDetector();
  stdin.on('keypress', onKey).on('data', paste.take).once('end', onGone).once('close', onGone);
  try {
    const answer = await ask({ input: stdin, output: stderr, signal: gone.signal, withGuide: false });
    if (typeof answer === 'symbol') throw new Exit(CANCELLED_EXIT_CODE);
    await discardPasteRemainder(stdin);
    if (paste.several_lines) {
      throw new VaultError(
        'INVALID_INPUT',
        'Several lines came at once, and a prompt takes only one. Nothing was changed. Give a value of several lines on standard input: --stdin < FILE',
      );
    }
    return answer ?? empty;
  } finally {
    stdin.off('keypress', onKey).off('data', paste.take).off('end', onGone).off('close', onGone);
    stdin.pause();
  }
}

/** Takes in what is left of a paste. Without this it would reach the shell, which runs line after line of it. */
async function discardPasteRemainder(stdin: NodeJS.ReadStream): Promise<void> {
  stdin.setRawMode?.(true);
  stdin.resume();
  await delay(PASTE_REST_MS);
  stdin.setRawMode?.(false);
}

/** Notices when more than one line is typed into one prompt. */
class MultiLinePasteDetector {
  several_lines = false;
  #line_ended = false;

  readonly take = (chunk: Buffer | string): void => {
    for (const character of String(chunk)) {
      const ends = character === '\r' || character === '\n';
      if (this.#line_ended && !ends) this.several_lines = true;
      if (ends) this.#line_ended = true;
    }
  };
}
