/** Finds the program of a command, so that a command that cannot be started is reported before any credential is used. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { errnoOf } from '../../io/errno.ts';

/** POSIX.1-2017, Shell Command Language, section 2.8.2: exit codes of a command that was not found or not executable. */
export const NOT_FOUND_EXIT_CODE = 127;
export const NOT_EXECUTABLE_EXIT_CODE = 126;

/** Limits of processes, files and memory. */
const OUT_OF_RESOURCES: ReadonlySet<string> = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM']);

/** The command cannot be started. Its message does not repeat the command. */
export class ProgramError extends Error {
  readonly exit_code: number;

  constructor(exit_code: number, message: string) {
    super(message);
    this.name = 'ProgramError';
    this.exit_code = exit_code;
  }
}

/** The path of the program: a command with a slash is a path, others are searched in PATH. Throws ProgramError. */
export function findProgram(command: string, path: string | undefined): string {
  // Windows has its own rules, which the system applies.
  if (process.platform === 'win32') return command;
  if (command.includes('/')) {
    const found = resolve(command);
    if (isExecutable(found)) return found;
    throw isFile(found) ? notExecutable() : notFound('The program of the command does not exist.');
  }
  // An empty entry is the current folder (POSIX.1-2017, section 8.3).
  const candidates = (path ?? '').split(delimiter).map((folder) => resolve(join(folder || '.', command)));
  const found = command === '' ? undefined : candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw candidates.some(isFile)
    ? notExecutable()
    : notFound('The command was not found in PATH. Check its name.');
}

/** For an error of the system when it starts the program. */
export function startError(cause: unknown): ProgramError {
  const code = errnoOf(cause) ?? '';
  if (code === 'ENOENT') return notFound('The program or its interpreter does not exist.');
  if (code === 'E2BIG')
    return new ProgramError(
      NOT_EXECUTABLE_EXIT_CODE,
      'The arguments and the environment are too large for this system.',
    );
  if (OUT_OF_RESOURCES.has(code))
    return new ProgramError(
      NOT_EXECUTABLE_EXIT_CODE,
      `The system cannot start another process now (${code}). Try again later.`,
    );
  return notExecutable();
}

function notFound(message: string): ProgramError {
  return new ProgramError(NOT_FOUND_EXIT_CODE, message);
}

function notExecutable(): ProgramError {
  return new ProgramError(NOT_EXECUTABLE_EXIT_CODE, 'The command is not executable. Check its permissions.');
}

/** False for a path that this user cannot look up, such as one in a folder of another user or with a name that is too long. */
function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return isFile(path);
  } catch {
    return false;
  }
}
