/** `keyhold update --from-command`: sets a program as the source of a field. It runs at each use, not now, without a shell. */
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { VaultError } from '../../contract/errors.ts';
import { pathWritableByOthers } from '../../io/file_access.ts';
import { COMMAND_CACHE_MAX_SECONDS, type CommandSource } from '../../vault/values/value_source.ts';
import { assertLocal, type ConnectionOptions } from '../connect/server_option.ts';
import type { CliContext } from '../context.ts';

export interface CommandSourceOptions extends ConnectionOptions {
  readonly fromCommand?: string;
  readonly cache?: string;
  readonly stdin?: boolean;
  readonly fromEnv?: readonly string[];
  readonly set?: readonly string[];
}

const SECONDS_PER_UNIT: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** A server runs no command of its callers. Throws INVALID_INPUT if the options or KEYHOLD_URL name one. */
export function assertLocalCommand({ env }: CliContext, { url }: CommandSourceOptions): void {
  if (url !== undefined) throw invalid('--from-command works on this machine only. Leave out --url.');
  assertLocal(env, 'update --from-command', 'Set the value on the server with `keyhold update`.');
}

/** The command from the arguments after the service. Throws INVALID_INPUT; messages never repeat an argument. */
export function parseCommandSource(
  context: CliContext,
  [program, ...args]: readonly string[],
  options: CommandSourceOptions,
): CommandSource {
  if (options.stdin === true || options.fromEnv !== undefined || options.set !== undefined)
    throw invalid(
      '--from-command cannot be combined with --stdin, --from-env or --set. Set other fields with another command.',
    );
  if (program === undefined)
    throw invalid('Name the program after --, as in `--from-command FIELD -- gh auth token`.');
  return {
    program: findProgram(program, context.env.PATH ?? ''),
    args,
    cache_seconds: options.cache === undefined ? 0 : parseCache(options.cache),
  };
}

function parseCache(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  const seconds = Number(count) * (SECONDS_PER_UNIT[unit] ?? Number.NaN);
  if (seconds <= COMMAND_CACHE_MAX_SECONDS) return seconds;
  throw invalid('--cache takes a time such as 30s, 55m or 8h, a day at most.');
}

/** An absolute path: a later change of PATH does not select another program. */
function findProgram(name: string, path_variable: string): string {
  const folders = path_variable.split(':').filter(isAbsolute);
  const candidates = name.includes('/') ? [resolve(name)] : folders.map((folder) => join(folder, name));
  const found = candidates.find(isExecutable);
  if (found === undefined) throw invalid('The program after -- was not found, or cannot be executed.');
  if (pathWritableByOthers(found) !== undefined)
    throw invalid('Every user of this machine can change the program after --. Use a protected one.');
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
