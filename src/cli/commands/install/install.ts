/**
 * `keyhold install`: adds Keyhold to the configuration of an MCP client, or lists the clients. Opens no vault, and writes
 * and prints no secret.
 */
import { closest, distance } from 'fastest-levenshtein';
import { VaultError } from '../../../contract/errors.ts';
import { renderLines, toJson } from '../../terminal/terminal_text.ts';
import { CLIENTS, type Client, configFile, type Platform, type Scope, type ServerEntry } from './clients.ts';
import { serverEntry, serverEnv } from './server_env.ts';
import { isVersioned, type Program } from './stable_program.ts';
import { type ConfigChange, type ConfigFile, changeServer, readServerState } from './write_config.ts';

export interface InstallEnvironment extends Platform {
  readonly platform: NodeJS.Platform;
  /** Only settings are read from it: the folders of clients and of Keyhold. */
  readonly env: NodeJS.ProcessEnv;
  readonly home_folder: string;
  readonly cwd: string;
  /** How to start Keyhold from any folder, without the argument `mcp`. */
  readonly program: Program;
  /** Writes to standard output and adds nothing. */
  out(text: string): void;
}

/** The JSON output for one client. */
export interface InstallResult {
  readonly client: string;
  readonly scope: Scope;
  readonly name: string;
  /** Absolute path of the configuration file. */
  readonly path: string;
  /** The top-level key of the servers. */
  readonly key: string;
  readonly outcome: ConfigChange['outcome'] | 'printed';
  readonly changed: boolean;
  /** Absolute path of the copy of the old file, or null. */
  readonly backup: string | null;
  /** The entry that Keyhold writes; null if it was removed. */
  readonly entry: ServerEntry | null;
  readonly notes: readonly string[];
}

/** The JSON output for each client and scope without the argument `client`. */
export interface InstallListing {
  readonly client: string;
  readonly title: string;
  readonly scope: Scope;
  readonly path: string;
  readonly installed: boolean;
  /** `differs`: the entry exists, but this command would write another one. `unreadable`: see `problem`. */
  readonly state: 'installed' | 'differs' | 'absent' | 'unreadable';
  readonly problem: string | null;
}

export interface InstallOptions {
  readonly print?: boolean;
  readonly remove?: boolean;
  readonly json?: boolean;
  readonly scope?: string;
  readonly name: string;
}

/**
 * Claude Code accepts letters, digits, "-" and "_". Clients name a tool `mcp__NAME__TOOL` with at most 64 characters,
 * and the longest tool name of Keyhold has 21.
 */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
/** Edit distance up to which an unknown id is taken for a typing error. */
const SUGGESTION_DISTANCE_MAX = 4;
/** Computing the distance takes quadratic time, and every id is much shorter. */
const COMPARED_CHARACTERS_MAX = 32;
const SCOPES: readonly Scope[] = ['user', 'project'];
/** A user's file may hold secrets later; a project's file is shared. */
const NEW_FILE_MODE: Readonly<Record<Scope, number>> = { user: 0o600, project: 0o666 };

/** Throws INVALID_INPUT for an invalid argument or file, and CONFLICT and UNAVAILABLE as `changeServer` does. */
export function runInstall(
  environment: InstallEnvironment,
  client: string | undefined,
  options: InstallOptions,
): void {
  const scope = checkOptions(client, options);
  if (client === undefined) list(environment, options, scope);
  else install(environment, findClient(client), options, scope ?? 'user');
}

function checkOptions(
  client: string | undefined,
  { scope, name, print, remove }: InstallOptions,
): Scope | undefined {
  if (!NAME_PATTERN.test(name)) {
    throw new VaultError(
      'INVALID_INPUT',
      '--name takes 1 to 32 letters, digits, "-" and "_", and starts with a letter or digit.',
    );
  }
  if (print && remove)
    throw new VaultError('INVALID_INPUT', '--print and --remove exclude each other. Leave one out.');
  if (client === undefined && (print || remove)) {
    throw new VaultError('INVALID_INPUT', `Name a client: ${CLIENTS.map(({ id }) => id).join(', ')}.`);
  }
  if (scope === undefined) return undefined;
  const found = SCOPES.find((known) => known === scope);
  if (found === undefined) throw new VaultError('INVALID_INPUT', '--scope takes user or project.');
  return found;
}

function install(
  environment: InstallEnvironment,
  client: Client,
  options: InstallOptions,
  scope: Scope,
): void {
  const file = fileOf(environment, client, options.name, scope);
  const base = { client: client.id, scope, name: options.name, path: file.path, key: client.servers_key };
  if (options.remove) {
    const change = changeServer(file, null, new Date());
    show(environment, options, client, { ...base, ...resultOf(change), entry: null, notes: [] });
    return;
  }
  const { env, notes: env_notes } = serverEnv(client, environment);
  const entry = serverEntry(client, environment.program, env);
  const notes = [...env_notes];
  if (isVersioned(environment.program.command)) {
    notes.push(
      'The entry starts Node.js from the folder of one version, since there is no other path to it. Run this again after you upgrade or remove that version.',
    );
  }
  if (scope === 'project')
    notes.push('The entry contains paths of this machine: think before you share the file.');
  if (options.print) {
    show(environment, options, client, {
      ...base,
      outcome: 'printed',
      changed: false,
      backup: null,
      entry,
      notes,
    });
    return;
  }
  const change = changeServer(file, entry, new Date());
  if (change.is_folder_new && scope === 'user') {
    notes.push(
      `The settings folder of ${client.title} did not exist and was created: is ${client.title} installed?`,
    );
  }
  show(environment, options, client, { ...base, ...resultOf(change), entry, notes });
}

function resultOf({ outcome, backup }: ConfigChange): Pick<InstallResult, 'outcome' | 'changed' | 'backup'> {
  return { outcome, changed: outcome !== 'unchanged', backup };
}

function fileOf(environment: InstallEnvironment, client: Client, name: string, scope: Scope): ConfigFile {
  return {
    title: client.title,
    servers_key: client.servers_key,
    name,
    path: configFile(client, scope, environment),
    new_file_mode: NEW_FILE_MODE[scope],
    project_folder: scope === 'project' ? environment.cwd : undefined,
  };
}

function show(
  environment: InstallEnvironment,
  options: InstallOptions,
  client: Client,
  result: InstallResult,
): void {
  environment.out(options.json ? `${toJson(result)}\n` : resultText(client, result));
}

function resultText(
  client: Client,
  { outcome, name, path, key, backup, entry, notes }: InstallResult,
): string {
  const lines: string[] = [];
  const is_removal = entry === null;
  switch (outcome) {
    case 'printed':
      lines.push(`Put this into ${path}:`, '', ...toJson({ [key]: { [name]: entry } }).split('\n'), '');
      break;
    case 'unchanged':
      lines.push(
        is_removal
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
  if (backup !== null) lines.push(`Backup of the old file: ${backup}`);
  if (outcome === 'removed') lines.push(`Next: restart ${client.title}.`);
  else if (outcome !== 'unchanged') lines.push(`Next: ${client.next_step}`);
  lines.push(...notes.map((note) => `Note: ${note}`));
  return `${renderLines(lines)}\n`;
}

function list(environment: InstallEnvironment, options: InstallOptions, only: Scope | undefined): void {
  const rows = CLIENTS.flatMap((client) =>
    SCOPES.filter((scope) => client.files[scope] !== undefined && (only === undefined || only === scope)).map(
      (scope) => listingOf(environment, client, options.name, scope),
    ),
  );
  environment.out(options.json ? `${toJson({ clients: rows })}\n` : listText(rows));
}

function listingOf(
  environment: InstallEnvironment,
  client: Client,
  name: string,
  scope: Scope,
): InstallListing {
  const file = fileOf(environment, client, name, scope);
  const row = { client: client.id, title: client.title, scope, path: file.path };
  try {
    const state = readServerState(
      file,
      serverEntry(client, environment.program, serverEnv(client, environment).env),
    );
    return {
      ...row,
      installed: state !== 'absent',
      state: state === 'same' ? 'installed' : state,
      problem: null,
    };
  } catch (error) {
    // An invalid file must not hide the others.
    if (!(error instanceof VaultError)) throw error;
    return { ...row, installed: false, state: 'unreadable', problem: error.message };
  }
}

const STATE_LABELS: Readonly<Record<InstallListing['state'], string>> = {
  installed: 'installed',
  differs: 'other entry',
  absent: 'no',
  unreadable: 'unreadable',
};

function listText(rows: readonly InstallListing[]): string {
  const cells = [
    ['CLIENT', 'SCOPE', 'KEYHOLD', 'FILE'],
    ...rows.map((row) => [row.client, row.scope, STATE_LABELS[row.state], row.path]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  const problems = rows.flatMap((row) => (row.problem === null ? [] : [`Note: ${row.problem}`]));
  return `${renderLines([...lines, ...problems, 'Next: keyhold install CLIENT'])}\n`;
}

/** Throws INVALID_INPUT with the nearest id for an unknown one. */
export function findClient(id: string): Client {
  const found = CLIENTS.find((client) => client.id === id);
  if (found !== undefined) return found;
  const ids = CLIENTS.map((client) => client.id);
  const typed = id.slice(0, COMPARED_CHARACTERS_MAX).toLowerCase();
  const nearest = closest(typed, ids);
  const hint = distance(typed, nearest) <= SUGGESTION_DISTANCE_MAX ? ` Did you mean ${nearest}?` : '';
  throw new VaultError('INVALID_INPUT', `Unknown client.${hint} Keyhold knows ${ids.join(', ')}.`);
}
