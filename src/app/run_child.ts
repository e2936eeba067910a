/**
 * Runs `keyhold run` without the other commands: a command starts later by the time that loading them takes. The build puts
 * this file and what it imports into one CommonJS file, since reading and linking many small ones takes longer than the use
 * itself.
 */
import { runCommand } from '../cli/commands/run/run.ts';
import { runProgram } from '../cli/program.ts';
import { withCliContext } from './cli_context.ts';

/** `argv` starts with `run`. Returns the exit code. Never rejects. */
export function runChildCommand(argv: readonly string[], version: string): Promise<number> {
  return withCliContext(version, (context) =>
    runProgram(context, argv, (program) => program.addCommand(runCommand(context))),
  );
}
