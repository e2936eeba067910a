/**
 * `keyhold install`: tells an MCP client how to start Keyhold, or lists the clients. It knows nothing of a vault
 * and opens none. What it writes and prints holds no secret.
 */
import { Command } from 'commander';
import { VaultError } from '../../../contract/errors.ts';
import {
  CLIENTS,
  type Client,
  configFile,
  findClient,
  type Platform,
  type Scope,
  type ServerEntry,
} from './clients.ts';
import { serverEntry, serverEnv } from './server_env.ts';
import { type ConfigChange, type ConfigFile, changeServer, readServerState } from './write_config.ts';

export interface InstallEnvironment extends Platform {
  readonly platform: NodeJS.Platform;
  /** Only settings are read from it: where clients and Keyhold keep their files. */
  readonly env: NodeJS.ProcessEnv;
  readonly home_folder: string;
  readonly cwd: string;
  /** How to start Keyhold from any folder. `mcp` is added to the arguments. */
  readonly program: { readonly command: string; readonly args: readonly string[] };
  /** Writes to standard output; nothing is added to the text. */
  out(text: string): void;
}

/** What `--json` prints for one client. */
export interface InstallResult {
  readonly client: string;
  readonly scope: Scope;
  readonly name: string;
  /** Absolute path of the configuration file. */
  readonly path: string;
  /** The top-level key in it that the entry stands under. */
  readonly key: string;
  readonly outcome: ConfigChange['outcome'] | 'printed';
  readonly changed: boolean;
  /** Absolute path of the copy of the old file, or null. */
  readonly backup: string | null;
  /** The entry as it should be; null when it was taken out. */
  readonly entry: ServerEntry | null;
  readonly notes: readonly string[];
}

/** What `--json` prints for each client and scope when no client is named. */
export interface InstallListing {
  readonly client: string;
  readonly title: string;
  readonly scope: Scope;
  readonly path: string;
  readonly installed: boolean;
  /** `differs`: the server is there, but not as this command would write it. `unreadable`: see `problem`. */
  readonly state: 'installed' | 'differs' | 'absent' | 'unreadable';
  readonly problem: string | null;
}

interface Options {
  readonly print?: boolean;
  readonly remove?: boolean;
  readonly json?: boolean;
  readonly scope?: string;
  readonly name: string;
}

/**
 * Claude Code takes letters, digits, "-" and "_". It and others name a tool `mcp__NAME__TOOL`, 64 characters at
 * most, and the longest tool of Keyhold has 21.
 */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
const SCOPES: readonly Scope[] = ['user', 'project'];
/** A user's file may come to hold that user's secrets; a project's is there to be shared. */
const NEW_FILE_MODE: Readonly<Record<Scope, number>> = { user: 0o600, project: 0o666 };

/**
 * The `install` command. It throws VaultError: INVALID_INPUT for a wrong argument or a file that is not as it
 * should be, CONFLICT and UNAVAILABLE as `changeServer` does.
 */
export function installCommand(environment: () => InstallEnvironment): Command {
  return new Command('install')
    .description('Tell an MCP client how to start Keyhold. Without CLIENT: list the clients.')
    .argument('[client]', CLIENTS.map((client) => client.id).join(', '))
    .option('--print', 'print the entry and where it goes; write nothing')
    .option('--scope <scope>', 'user, or project: the folder you are in (default: user)')
    .option('--name <name>', 'name of the server in the client', 'keyhold')
    .option('--remove', 'take the entry out again')
    .option('--json', 'print the result as JSON')
    .action((client: string | undefined, options: Options) => {
      const scope = checkOptions(client, options);
      const here = environment();
      if (client === undefined) list(here, options, scope);
      else install(here, findClient(client), options, scope ?? 'user');
    });
}

function checkOptions(
  client: string | undefined,
  { scope, name, print, remove }: Options,
): Scope | undefined {
  if (!NAME_PATTERN.test(name)) {
    throw new VaultError(
      'INVALID_INPUT',
      '--name takes 1 to 32 letters, digits, "-" and "_", and starts with a letter or digit.',
    );
  }
  if (print && remove)
    throw new VaultError('INVALID_INPUT', '--print and --remove do not go together. Leave one out.');
  if (client === undefined && (print || remove)) {
    throw new VaultError('INVALID_INPUT', `Say which client: ${CLIENTS.map(({ id }) => id).join(', ')}.`);
  }
  if (scope === undefined) return undefined;
  const found = SCOPES.find((known) => known === scope);
  if (found === undefined) throw new VaultError('INVALID_INPUT', '--scope takes user or project.');
  return found;
}

function install(here: InstallEnvironment, client: Client, options: Options, scope: Scope): void {
  const file = fileOf(here, client, options.name, scope);
  const carried = serverEnv(here);
  const base = { client: client.id, scope, name: options.name, path: file.path, key: client.servers_key };
  if (options.remove) {
    const change = changeServer(file, null, new Date());
    show(here, options, client, { ...base, ...resultOf(change), entry: null, notes: [] });
    return;
  }
  const entry = serverEntry(client, here.program, carried.env);
  const notes = [...carried.notes];
  if (scope === 'project')
    notes.push('The entry holds paths of this machine: think before you share the file.');
  if (options.print) {
    show(here, options, client, { ...base, outcome: 'printed', changed: false, backup: null, entry, notes });
    return;
  }
  const change = changeServer(file, entry, new Date());
  if (change.folder_made && scope === 'user') {
    notes.push(
      `The settings folder of ${client.title} was not there and has been made: is ${client.title} installed?`,
    );
  }
  show(here, options, client, { ...base, ...resultOf(change), entry, notes });
}

function resultOf({ outcome, backup }: ConfigChange): Pick<InstallResult, 'outcome' | 'changed' | 'backup'> {
  return { outcome, changed: outcome !== 'unchanged', backup };
}

function fileOf(here: InstallEnvironment, client: Client, name: string, scope: Scope): ConfigFile {
  return {
    title: client.title,
    servers_key: client.servers_key,
    name,
    path: configFile(client, scope, here),
    new_file_mode: NEW_FILE_MODE[scope],
  };
}

function show(here: InstallEnvironment, options: Options, client: Client, result: InstallResult): void {
  here.out(options.json ? toJson(result) : resultText(client, result));
}

function resultText(
  client: Client,
  { outcome, name, path, key, backup, entry, notes }: InstallResult,
): string {
  const lines: string[] = [];
  const removing = entry === null;
  switch (outcome) {
    case 'printed':
      lines.push(`Put this into ${path}:`, '', JSON.stringify({ [key]: { [name]: entry } }, null, 2), '');
      break;
    case 'unchanged':
      lines.push(
        removing
          ? `${name} is not in ${path}; nothing to do.`
          : `${name} is already in ${path}; nothing changed.`,
      );
      break;
    case 'added':
      lines.push(`Added ${name} to ${client.title}: ${path}`);
      break;
    case 'replaced':
      lines.push(`Replaced the entry ${name} of ${client.title}, which was different: ${path}`);
      break;
    case 'removed':
      lines.push(`Removed ${name} from ${client.title}: ${path}`);
  }
  if (backup !== null) lines.push(`The file as it was: ${backup}`);
  if (outcome === 'removed') lines.push(`Next: restart ${client.title}.`);
  else if (outcome !== 'unchanged') lines.push(`Next: ${client.next_step}`);
  lines.push(...notes.map((note) => `Note: ${note}`));
  return `${lines.join('\n')}\n`;
}

function list(here: InstallEnvironment, options: Options, only: Scope | undefined): void {
  const rows = CLIENTS.flatMap((client) =>
    SCOPES.filter((scope) => client.files[scope] !== undefined && (only === undefined || only === scope)).map(
      (scope) => listingOf(here, client, options.name, scope),
    ),
  );
  here.out(options.json ? toJson({ clients: rows }) : listText(rows));
}

function listingOf(here: InstallEnvironment, client: Client, name: string, scope: Scope): InstallListing {
  const file = fileOf(here, client, name, scope);
  const row = { client: client.id, title: client.title, scope, path: file.path };
  try {
    const state = readServerState(file, serverEntry(client, here.program, serverEnv(here).env));
    return {
      ...row,
      installed: state !== 'absent',
      state: state === 'same' ? 'installed' : state,
      problem: null,
    };
  } catch (error) {
    // One broken file must not hide where the others are.
    if (!(error instanceof VaultError)) throw error;
    return { ...row, installed: false, state: 'unreadable', problem: error.message };
  }
}

const STATE_WORDS: Readonly<Record<InstallListing['state'], string>> = {
  installed: 'installed',
  differs: 'other entry',
  absent: 'no',
  unreadable: 'unreadable',
};

function listText(rows: readonly InstallListing[]): string {
  const cells = [
    ['CLIENT', 'SCOPE', 'KEYHOLD', 'FILE'],
    ...rows.map((row) => [row.client, row.scope, STATE_WORDS[row.state], row.path]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  const problems = rows.flatMap((row) => (row.problem === null ? [] : [`Note: ${row.problem}`]));
  return `${[...lines, ...problems, 'Next: keyhold install CLIENT'].join('\n')}\n`;
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
