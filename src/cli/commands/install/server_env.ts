/**
 * Decides which Keyhold settings are copied into a client's configuration, and notes which ones the client must get
 * another way. Copies only settings without secrets; a note never repeats the value of a setting.
 */
import { VaultError } from '../../../contract/errors.ts';
import { ENV_NAME_PATTERN } from '../../../contract/service.ts';
import { type Client, type Platform, pathOf, type ServerEntry } from './clients.ts';

export interface ServerEnv {
  readonly env: Readonly<Record<string, string>>;
  /** Sentences for a person about settings that were not copied. */
  readonly notes: readonly string[];
}

/**
 * Copies KEYHOLD_HOME, and KEYHOLD_ROOT_KEY if it only names a source. Relative paths become absolute, since a client
 * chooses the folder in which it starts the server. An empty setting counts as not set.
 */
export function serverEnv(platform: Platform): ServerEnv {
  const env: Record<string, string> = {};
  const notes: string[] = [];
  const home = platform.env.KEYHOLD_HOME;
  if (home) env.KEYHOLD_HOME = pathOf(platform).resolve(platform.cwd, home);
  const root_key = platform.env.KEYHOLD_ROOT_KEY;
  if (root_key) {
    const copied = copyRootKey(root_key, platform);
    if (copied.value !== undefined) env.KEYHOLD_ROOT_KEY = copied.value;
    if (copied.note !== undefined) notes.push(copied.note);
  }
  // A store setting can be a URL with a password.
  if (platform.env.KEYHOLD_STORE) {
    notes.push(
      'KEYHOLD_STORE is set here and is not written to the entry: set it where the client is started.',
    );
  }
  return { env, notes };
}

/** The entry that starts `keyhold mcp`. Throws INVALID_INPUT if a client would expand a part of it. */
export function serverEntry(
  client: Client,
  program: { readonly command: string; readonly args: readonly string[] },
  env: Readonly<Record<string, string>>,
): ServerEntry {
  const args = [...program.args, 'mcp'];
  if ([program.command, ...args, ...Object.values(env)].some((text) => text.includes('${'))) {
    throw new VaultError(
      'INVALID_INPUT',
      'A path for the entry contains "${", which MCP clients replace. ' +
        'Use a folder without it for Keyhold, KEYHOLD_HOME and KEYHOLD_ROOT_KEY.',
    );
  }
  return {
    ...(client.has_type ? { type: 'stdio' as const } : {}),
    command: program.command,
    args,
    ...(Object.keys(env).length > 0 ? { env } : {}),
  };
}

/** Copies a KEYHOLD_ROOT_KEY that names a source, never one that could be the key itself. */
function copyRootKey(
  setting: string,
  platform: Platform,
): { readonly value?: string; readonly note?: string } {
  if (setting.startsWith('file:') && setting.length > 'file:'.length) {
    return { value: `file:${pathOf(platform).resolve(platform.cwd, setting.slice('file:'.length))}` };
  }
  if (setting === 'passphrase') {
    return {
      value: setting,
      note: 'The vault needs a passphrase, which is not written to the entry: set KEYHOLD_PASSPHRASE where the client is started.',
    };
  }
  const name = setting.startsWith('env:') ? setting.slice('env:'.length) : '';
  // A key pasted instead of the name can look like a name, but not like the name of a variable that is set.
  if (ENV_NAME_PATTERN.test(name) && platform.env[name] !== undefined) {
    return {
      value: setting,
      note: 'KEYHOLD_ROOT_KEY names an environment variable, whose value is not written to the entry: set that variable where the client is started.',
    };
  }
  return {
    note: 'KEYHOLD_ROOT_KEY is set here and is not written to the entry, since it may hold a secret: set it where the client is started.',
  };
}
