/** The folders that settings start at: the home folder of the user and the data folder of the platform. */
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { VaultError } from '../contract/errors.ts';
import { invalidSetting } from './environment.ts';

/**
 * The home folder from the environment or the user database. Undefined for a user without one, such as a user id in a
 * container that the image does not know.
 */
export function homeFolder(env: NodeJS.ProcessEnv): string | undefined {
  const named = process.platform === 'win32' ? env.USERPROFILE : env.HOME;
  if (named !== undefined && isAbsolute(named)) return named;
  try {
    const { homedir } = userInfo();
    return isAbsolute(homedir) ? homedir : undefined;
  } catch {
    return undefined;
  }
}

/** Throws INVALID_INPUT if the user has none. */
export function requireHomeFolder(env: NodeJS.ProcessEnv): string {
  const home = homeFolder(env);
  if (home !== undefined) return home;
  throw new VaultError(
    'INVALID_INPUT',
    'Your user has no home folder, so the settings of the client cannot be found. Set HOME to the folder.',
  );
}

/**
 * The folder for the data of Keyhold, by the conventions of the platform; on Linux the XDG Base Directory Specification, which
 * ignores relative paths. Throws INVALID_INPUT if the user has no home folder.
 */
export function dataFolder(env: NodeJS.ProcessEnv): string {
  const home = () => requireHome('KEYHOLD_HOME', env);
  if (process.platform === 'darwin') return join(home(), 'Library', 'Application Support', 'keyhold');
  if (process.platform === 'win32') {
    return join(env.LOCALAPPDATA || join(home(), 'AppData', 'Local'), 'keyhold', 'Data');
  }
  const data = env.XDG_DATA_HOME;
  return join(data !== undefined && isAbsolute(data) ? data : join(home(), '.local', 'share'), 'keyhold');
}

/** Resolves a path of a setting against `base`. A leading `~/` is the home folder, which a shell does not expand in quotes. */
export function resolvePath(name: string, text: string, base: string, env: NodeJS.ProcessEnv): string {
  return resolve(base, expandTilde(name, text, env));
}

/** Throws INVALID_INPUT for a relative path. */
export function absolutePath(name: string, text: string, env: NodeJS.ProcessEnv): string {
  const path = expandTilde(name, text, env);
  if (isAbsolute(path)) return resolve(path);
  throw invalidSetting(
    `${name} must be an absolute path or start with ~/, because every program starts Keyhold in its own working directory`,
  );
}

function expandTilde(name: string, text: string, env: NodeJS.ProcessEnv): string {
  return /^~(?=$|[\\/])/.test(text) ? join(requireHome(name, env), text.slice(1)) : text;
}

function requireHome(name: string, env: NodeJS.ProcessEnv): string {
  const home = homeFolder(env);
  if (home !== undefined) return home;
  throw invalidSetting(
    `${name} must be an absolute path, because the user that runs Keyhold has no home folder`,
  );
}
