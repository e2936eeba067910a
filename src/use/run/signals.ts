/**
 * Relays signals to a child process in the same process group. Signals that the terminal sends to its foreground process
 * group reach the child without help, so they are not relayed then. Node.js does not report the sender of a signal: a
 * signal that another program sends to the foreground process alone is taken for one of the terminal.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';

const ENDING = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const;
const OTHERS = ['SIGTSTP', 'SIGCONT', 'SIGWINCH', 'SIGUSR1', 'SIGUSR2'] as const;
/** SIGCONT: a shell sends it to the process group of the job that it puts in the foreground. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT', 'SIGTSTP', 'SIGCONT', 'SIGWINCH']);

export class SignalRelay {
  #child: ChildProcess | undefined;
  #handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [];
  #is_interrupted = false;
  #onInterrupt: () => void = () => undefined;

  /** From now on, signals do not end this process. */
  start(): void {
    const names = process.platform === 'win32' ? (['SIGINT', 'SIGTERM'] as const) : [...ENDING, ...OTHERS];
    this.#handlers = names.map((name) => [name, () => this.#receive(name)] as const);
    for (const [name, handler] of this.#handlers) process.on(name, handler);
  }

  relayTo(child: ChildProcess): void {
    this.#child = child;
  }

  stop(): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
    this.#handlers = [];
  }

  /** Whether a signal was received that ends most programs. */
  get is_interrupted(): boolean {
    return this.#is_interrupted;
  }

  /** Resolves at the next such signal. */
  interruption(): Promise<void> {
    return new Promise((resolve) => {
      this.#onInterrupt = resolve;
    });
  }

  #receive(name: NodeJS.Signals): void {
    const is_ending = ENDING.some((ending) => ending === name);
    if (is_ending) {
      this.#is_interrupted = true;
      this.#onInterrupt();
    }
    if (!(FROM_TERMINAL.has(name) && isForeground())) this.#child?.kill(name);
    // The handler replaces the default action, with which a shell sees the job stop.
    if (name === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP');
  }
}

/** Whether this process is in the foreground process group of its terminal. */
export function isForeground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    // proc(5): after the name of the program: state, ppid, pgrp, session, tty_nr, tpgid.
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    // Without /proc: a program in the foreground usually has a terminal.
    return [0, 1, 2].some((descriptor) => isatty(descriptor));
  }
}
