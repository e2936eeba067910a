/**
 * The keys that a prompt reads: those of the terminal without Ctrl-Z, which would make node:readline stop reading for good
 * when the shell continues the program. What is typed after that would go to the shell, in plain sight.
 */
import { PassThrough } from 'node:stream';

/** Ctrl-Z. In raw mode the terminal sends it as a character instead of stopping the program. */
const SUSPEND_CHARACTER = '\u001a';

export class PromptInput extends PassThrough {
  readonly isTTY: true = true;
  readonly #stdin: NodeJS.ReadStream;
  readonly #onSuspend: () => void;

  constructor(stdin: NodeJS.ReadStream, onSuspend: () => void) {
    super();
    this.#stdin = stdin;
    this.#onSuspend = onSuspend;
    // An earlier prompt has paused it.
    stdin.on('data', this.#forward).resume();
  }

  setRawMode(is_raw: boolean): this {
    this.#stdin.setRawMode?.(is_raw);
    return this;
  }

  /** Leaves the terminal to its next reader. */
  detach(): void {
    this.#stdin.off('data', this.#forward);
  }

  readonly #forward = (chunk: Buffer | string): void => {
    const keys = String(chunk);
    const at = process.platform === 'win32' ? -1 : keys.indexOf(SUSPEND_CHARACTER);
    if (at === -1) {
      this.write(chunk);
      return;
    }
    // What was typed after it is dropped: the prompt starts again.
    if (at > 0) this.write(keys.slice(0, at));
    this.#onSuspend();
  };
}
