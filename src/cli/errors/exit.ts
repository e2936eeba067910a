/** Errors that end a command without a failure to report, or before it ran. */
import type { Command, CommanderError } from 'commander';

/** The shell's exit code for a program that ended by Ctrl-C: 128 plus the number of SIGINT. */
export const CANCELLED_EXIT_CODE = 130;

/** Ends the run with this exit code and prints nothing more. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super('the command ended with an exit code');
    this.name = 'Exit';
    this.code = code;
  }
}

/** Thrown when commander stops: for help and the version as well as for wrong usage. */
export class CommanderExit extends Error {
  readonly command: Command;
  readonly stop: CommanderError;
  /** The help or the version, if requested. */
  readonly output: string;

  constructor(command: Command, stop: CommanderError, output: string) {
    super('the command line was not run');
    this.name = 'CommanderExit';
    this.command = command;
    this.stop = stop;
    this.output = output;
  }
}
