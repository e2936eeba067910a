/**
 * Decides which Keyhold settings go into a client's configuration, and says what has to reach the client another
 * way. Only what holds no secret is carried; a value that is not carried is never repeated in a note either.
 */
import { VaultError } from '../../../contract/errors.ts';
import { ENV_NAME_PATTERN } from '../../../contract/service.ts';
import { type Client, type Platform, pathOf, type ServerEntry } from './clients.ts';

export interface ServerEnv {
  readonly env: Readonly<Record<string, string>>;
  /** Sentences for a person: what the client needs besides. */
  readonly notes: readonly string[];
}

/**
 * KEYHOLD_HOME and, where it only names a place, KEYHOLD_ROOT_KEY. Relative paths become absolute, since a client
 * starts the server in a folder of its own choice. Unset and empty are the same.
 */
export function serverEnv(machine: Platform): ServerEnv {
  const env: Record<string, string> = {};
  const notes: string[] = [];
  const home = machine.env.KEYHOLD_HOME;
  if (home) env.KEYHOLD_HOME = pathOf(machine).resolve(machine.cwd, home);
  const root_key = machine.env.KEYHOLD_ROOT_KEY;
  if (root_key) {
    const carried = carriedRootKey(root_key, machine);
    if (carried.value !== undefined) env.KEYHOLD_ROOT_KEY = carried.value;
    if (carried.note !== undefined) notes.push(carried.note);
  }
  // A store setting can be a URL with a password in it.
  if (machine.env.KEYHOLD_STORE) {
    notes.push(
      'KEYHOLD_STORE is set here and is not written to the entry: set it where the client is started.',
    );
  }
  return { env, notes };
}

/** The entry that starts `keyhold mcp`. INVALID_INPUT when a client would read something else than what is written. */
export function serverEntry(
  client: Client,
  program: { readonly command: string; readonly args: readonly string[] },
  env: Readonly<Record<string, string>>,
): ServerEntry {
  const args = [...program.args, 'mcp'];
  if ([program.command, ...args, ...Object.values(env)].some((text) => text.includes('${'))) {
    throw new VaultError(
      'INVALID_INPUT',
      'A path for the entry holds "${", which MCP clients replace by something else. ' +
        'Use a folder without it for Keyhold, KEYHOLD_HOME and KEYHOLD_ROOT_KEY.',
    );
  }
  return {
    ...(client.says_type ? { type: 'stdio' as const } : {}),
    command: program.command,
    args,
    ...(Object.keys(env).length > 0 ? { env } : {}),
  };
}

/** What of a KEYHOLD_ROOT_KEY may be carried: the forms that name a source, never one that could be the key. */
function carriedRootKey(
  setting: string,
  machine: Platform,
): { readonly value?: string; readonly note?: string } {
  if (setting.startsWith('file:') && setting.length > 'file:'.length) {
    return { value: `file:${pathOf(machine).resolve(machine.cwd, setting.slice('file:'.length))}` };
  }
  if (setting === 'keychain') return { value: setting };
  if (setting === 'passphrase') {
    return {
      value: setting,
      note: 'The vault asks for a passphrase, which is not written to the entry: set KEYHOLD_PASSPHRASE where the client is started.',
    };
  }
  const name = setting.startsWith('env:') ? setting.slice('env:'.length) : '';
  // A key pasted in place of the name can look like a name. It is not, however, the name of a variable that is set.
  if (ENV_NAME_PATTERN.test(name) && machine.env[name] !== undefined) {
    return {
      value: setting,
      note: 'KEYHOLD_ROOT_KEY names an environment variable, whose value is not written to the entry: set that variable where the client is started.',
    };
  }
  return {
    note: 'KEYHOLD_ROOT_KEY is set here and is not written to the entry, since it may hold a secret: set it where the client is started.',
  };
}
