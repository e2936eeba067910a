/** How commander is made to stop: by throwing, with the command it was at. */
import type { Command, CommanderError } from 'commander';

/** Thrown out of commander when it stops, for help as well as for wrong usage. */
export class CommanderExit extends Error {
  readonly command: Command;
  readonly stop: CommanderError;
  /** The help or the version, where that was asked for. */
  readonly shown: string;

  constructor(command: Command, stop: CommanderError, shown: string) {
    super('the command line was not run');
    this.name = 'CommandStopped';
    this.command = command;
    this.stop = stop;
    this.shown = shown;
  }
}
