/**
 * Decides which settings an entry needs, so that the server that a client starts opens the same vault as this command.
 * Clients pass on few environment variables. A secret is never written: only a reference that the client replaces.
 */
import { VaultError } from '../../../contract/errors.ts';
import { resolvePath } from '../../../settings/folders.ts';
import { rootKeyText } from '../../../settings/keys/root_key.ts';
import { parseSettings, type Settings } from '../../../settings/settings.ts';
import { CLIENTS, type Client, type Platform, type ServerEntry } from './clients.ts';
import type { Program } from './stable_program.ts';

export interface ServerEnv {
  readonly env: Readonly<Record<string, string>>;
  /** Sentences for a person about variables that the client has to have. */
  readonly notes: readonly string[];
}

interface StoreEnv extends ServerEnv {
  /** References that the client replaces. */
  readonly secret: ServerEnv['env'];
}

/**
 * The settings of the entry: KEYHOLD_HOME, and what is set here and decides which vault is opened, with absolute paths. Throws
 * INVALID_INPUT for a setting that the server would not accept, and if the client cannot pass on the root key.
 */
export function serverEnv(client: Client, { env }: Pick<Platform, 'env'>): ServerEnv {
  const settings = parseSettings(env);
  const root_key = rootKeyEnv(client, settings.root_key, env);
  const store = storeEnv(client, settings, env);
  return {
    env: {
      ...withoutReference({
        KEYHOLD_HOME: settings.home,
        ...store.env,
        ...(env.KEYHOLD_CIPHER === undefined ? {} : { KEYHOLD_CIPHER: settings.cipher }),
        ...(env.KEYHOLD_ROOT_KEY === undefined ? {} : { KEYHOLD_ROOT_KEY: rootKeyText(settings.root_key) }),
      }),
      ...root_key.env,
      ...store.secret,
    },
    notes: [...root_key.notes, ...store.notes],
  };
}

/** The URI of a database has no password, which is passed on as a reference or as the path of its file. */
function storeEnv(client: Client, { home, store }: Settings, env: NodeJS.ProcessEnv): StoreEnv {
  if (env.KEYHOLD_STORE === undefined) return { env: {}, secret: {}, notes: [] };
  if (store.kind === 'sqlite')
    return { env: { KEYHOLD_STORE: `sqlite:${store.path}` }, secret: {}, notes: [] };
  const { KEYHOLD_STORE, KEYHOLD_STORE_PASSWORD, KEYHOLD_STORE_PASSWORD_FILE: file, PGPASSFILE } = env;
  const plain = {
    KEYHOLD_STORE: KEYHOLD_STORE.trim(),
    ...(file === undefined
      ? {}
      : { KEYHOLD_STORE_PASSWORD_FILE: resolvePath('KEYHOLD_STORE_PASSWORD_FILE', file, home, env) }),
    ...(PGPASSFILE ? { PGPASSFILE } : {}),
  };
  if (KEYHOLD_STORE_PASSWORD === undefined) return { env: plain, secret: {}, notes: [] };
  const name = 'KEYHOLD_STORE_PASSWORD';
  const reference = client.variableReference?.(name);
  if (reference !== undefined)
    return { env: plain, secret: { [name]: reference }, notes: [referenceNote(client, name)] };
  throw new VaultError(
    'INVALID_INPUT',
    `${client.title} does not pass environment variables on to servers, so that KEYHOLD_STORE_PASSWORD cannot reach the database, and nothing was written. Use KEYHOLD_STORE_PASSWORD_FILE or ~/.pgpass.`,
  );
}

function referenceNote({ title }: Client, name: string): string {
  return `The entry has a reference to the variable ${name}, not its value: set ${name} where ${title} is started.`;
}

/** The entry that starts `keyhold mcp`. Throws INVALID_INPUT if a client would replace a part of a path. */
export function serverEntry(client: Client, program: Program, env: ServerEnv['env']): ServerEntry {
  const { command } = program;
  const args = [...program.args, 'mcp'];
  assertNoReference([command, ...args]);
  return {
    ...(client.has_type ? { type: 'stdio' as const } : {}),
    command,
    args,
    ...(Object.keys(env).length > 0 ? { env } : {}),
  };
}

function withoutReference(env: ServerEnv['env']): ServerEnv['env'] {
  assertNoReference(Object.values(env));
  return env;
}

function assertNoReference(texts: readonly string[]): void {
  if (!texts.some((text) => text.includes('${'))) return;
  throw new VaultError(
    'INVALID_INPUT',
    'A path for the entry contains "${", which MCP clients replace. ' +
      'Use a folder without it for Keyhold, KEYHOLD_HOME, KEYHOLD_STORE and KEYHOLD_ROOT_KEY.',
  );
}

function rootKeyEnv(client: Client, root_key: Settings['root_key'], env: NodeJS.ProcessEnv): ServerEnv {
  if (root_key.kind === 'file' || root_key.kind === 'keychain') return { env: {}, notes: [] };
  if (root_key.kind === 'transit' || root_key.kind === 'aws-kms') {
    const note = `The entry has no access to the key service: set its token or credentials where ${client.title} is started.`;
    return { env: {}, notes: [note] };
  }
  const name = root_key.kind === 'env' ? root_key.name : 'KEYHOLD_PASSPHRASE';
  // A key pasted instead of the name can look like a name, but not like the name of a variable that is set.
  if (root_key.kind === 'env' && env[name] === undefined) {
    throw new VaultError(
      'INVALID_INPUT',
      'The environment variable that KEYHOLD_ROOT_KEY names is not set, so nothing was written: the name may be the key itself. Set the variable, or use KEYHOLD_ROOT_KEY=file:PATH.',
    );
  }
  const reference = client.variableReference?.(name);
  if (reference === undefined) {
    const others = CLIENTS.filter(({ variableReference }) => variableReference !== undefined);
    throw new VaultError(
      'INVALID_INPUT',
      `${client.title} does not pass environment variables on to servers, so a vault whose root key is in the environment or a passphrase cannot work with it, and nothing was written. Use a vault with a key file, KEYHOLD_ROOT_KEY=file:PATH, or one of these clients: ${others.map(({ title }) => title).join(', ')}.`,
    );
  }
  return {
    env: { [name]: reference },
    notes: [referenceNote(client, name)],
  };
}
