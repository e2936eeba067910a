/** How a command ends with an exit code when there is nothing (more) to say. */

/** The shell's own code for a program that ended by Ctrl-C: 128 and the number of SIGINT. */
export const CANCELLED_EXIT_CODE = 130;

/** Thrown to end the run quietly; whatever had to be said was said. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super('the run ends here');
    this.name = 'Exit';
    this.code = code;
  }
}
