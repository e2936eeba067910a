/**
 * Prompts in the terminal, on stderr, because stdout carries the data. Never echoes a secret. Ctrl-C, Ctrl-D and a closed
 * terminal end the run with exit code 130. After Ctrl-Z and `fg` the prompt is shown again.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { CommonOptions } from '@clack/prompts';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { CANCELLED_EXIT_CODE, Exit } from '../errors/exit.ts';
import { PromptInput } from './prompt_input.ts';
import { printable } from './terminal_text.ts';

export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WriteStream;
}

export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly hint: string;
}

/** How long to wait for the remainder of a paste, which can arrive in parts. */
const PASTE_REST_MS = 40;
/** From the signal that stops the process to the return of `kill`. */
const SUSPEND_GRACE_MS = 200;
const SUSPENDED = Symbol('suspended');
const CHOICES_SHOWN_MAX = 8;
const ASSUMED_COLUMNS = 80;
const ASSUMED_ROWS = 24;

export function isTerminal({ stdin, stderr }: Terminal): boolean {
  return stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Prompts for a secret. Returns `undefined` without a terminal and for an empty input. Throws INVALID_INPUT for a paste of
 * several lines, because only the first would be read.
 */
export async function promptSecret(question: string, terminal: Terminal): Promise<Secret | undefined> {
  if (!isTerminal(terminal)) return undefined;
  const { password } = await import('@clack/prompts');
  const input = await prompt(terminal, (common) => password({ ...common, message: printable(question) }));
  return input === '' ? undefined : new Secret(input);
}

/** Prompts with echo. Returns `undefined` as `promptSecret` does. */
export async function promptText(question: string, terminal: Terminal): Promise<string | undefined> {
  if (!isTerminal(terminal)) return undefined;
  const { text } = await import('@clack/prompts');
  return (await prompt(terminal, (common) => text({ ...common, message: printable(question) }))) || undefined;
}

/** Prompts for confirmation; Enter means no. Returns false without a terminal. */
export async function promptConfirm(question: string, terminal: Terminal): Promise<boolean> {
  if (!isTerminal(terminal)) return false;
  const { confirm } = await import('@clack/prompts');
  return prompt<boolean>(
    terminal,
    (common) => confirm({ ...common, message: printable(question), initialValue: false }),
    false,
  );
}

/** Prompts for one of many choices, filtered by typing. */
export async function promptChoice(
  question: string,
  choices: readonly Choice[],
  terminal: Terminal,
): Promise<string> {
  const { autocomplete } = await import('@clack/prompts');
  const options = choices.map(({ value, label, hint }) => ({
    value,
    label: printable(label),
    hint: printable(hint),
  }));
  return prompt(terminal, (common) =>
    autocomplete({ ...common, message: printable(question), options, maxItems: CHOICES_SHOWN_MAX }),
  );
}

type ShowPrompt<Input> = (common: CommonOptions) => Promise<Input | symbol | undefined>;

async function prompt(terminal: Terminal, show: ShowPrompt<string>): Promise<string>;
async function prompt<Input>(terminal: Terminal, show: ShowPrompt<Input>, empty: Input): Promise<Input>;
async function prompt(terminal: Terminal, show: ShowPrompt<unknown>, empty: unknown = ''): Promise<unknown> {
  for (;;) {
    const input = await promptUntilSuspended(terminal, show);
    if (input !== SUSPENDED) return input ?? empty;
  }
}

/** Returns SUSPENDED after Ctrl-Z, or another stop, once the shell has continued the program. */
async function promptUntilSuspended(
  { stdin, stderr }: Terminal,
  show: ShowPrompt<unknown>,
): Promise<unknown> {
  // A terminal of unknown size reports 0 columns, which would make the prompt unreadable.
  stderr.columns ||= ASSUMED_COLUMNS;
  stderr.rows ||= ASSUMED_ROWS;
  const closed = new AbortController();
  const onClosed = () => closed.abort();
  const stop = { is_wanted: false, is_over: false };
  const onSuspend = () => {
    stop.is_wanted = true;
    closed.abort();
  };
  const onContinued = () => {
    stop.is_over = true;
    closed.abort();
  };
  const input = new PromptInput(stdin, onSuspend);
  const onKey = (_text: unknown, key: { ctrl?: boolean; name?: string } | undefined) => {
    if (key?.ctrl === true && key.name === 'd') onClosed();
  };
  const paste = new MultiLinePasteDetector();
  input.on('keypress', onKey);
  stdin.on('data', paste.onData).once('end', onClosed).once('close', onClosed);
  process.once('SIGCONT', onContinued);
  try {
    const typed = await show({ input, output: stderr, signal: closed.signal, withGuide: false });
    if (stop.is_wanted) await suspend();
    if (stop.is_wanted || stop.is_over) return SUSPENDED;
    if (typeof typed === 'symbol') throw new Exit(CANCELLED_EXIT_CODE);
    await discardPasteRemainder(stdin);
    if (paste.several_lines) {
      throw new VaultError(
        'INVALID_INPUT',
        'A prompt takes only one line, and several were pasted. Nothing was changed. Give a value of several lines on standard input: --stdin < FILE',
      );
    }
    return typed;
  } finally {
    process.off('SIGCONT', onContinued);
    input.detach();
    stdin.off('data', paste.onData).off('end', onClosed).off('close', onClosed);
    stdin.pause();
  }
}

/**
 * Stops the process group, as the terminal does at Ctrl-Z outside of raw mode. Returns when the shell has continued it, or
 * soon if there is no shell to do so: then the system ignores the signal.
 */
async function suspend(): Promise<void> {
  const continued = once(process, 'SIGCONT');
  process.kill(0, 'SIGTSTP');
  await Promise.race([continued, delay(SUSPEND_GRACE_MS)]);
}

/** Discards the remainder of a paste. Otherwise the shell would run its lines as commands. */
async function discardPasteRemainder(stdin: NodeJS.ReadStream): Promise<void> {
  stdin.setRawMode?.(true);
  stdin.resume();
  await delay(PASTE_REST_MS);
  stdin.setRawMode?.(false);
}

/** Detects more than one line in the input of one prompt. */
class MultiLinePasteDetector {
  several_lines = false;
  #line_ended = false;

  readonly onData = (chunk: Buffer | string): void => {
    for (const character of String(chunk)) {
      const ends = character === '\r' || character === '\n';
      if (this.#line_ended && !ends) this.several_lines = true;
      if (ends) this.#line_ended = true;
    }
  };
}
