/**
 * The table of MCP clients: where each keeps its configuration, under which key its servers stand, and how an
 * entry looks there. Paths are built for the platform that is asked about, not the one this runs on. Writes nothing.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { VaultError } from '../../../contract/errors.ts';

export type Scope = 'user' | 'project';

/** What a client's file place depends on. */
export interface Platform {
  readonly platform: NodeJS.Platform;
  readonly env: NodeJS.ProcessEnv;
  readonly home_folder: string;
  readonly cwd: string;
}

/** One server in a client's configuration: a program that the client starts and speaks to over stdio. */
export interface ServerEntry {
  readonly type?: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Client {
  readonly id: string;
  readonly title: string;
  /** The top-level key that holds the servers by name. */
  readonly servers_key: 'mcpServers' | 'servers';
  /** Whether an entry says `"type": "stdio"`. Clients that do not document the key do not get it. */
  readonly says_type: boolean;
  /** What a person does to make the client read a changed file. */
  readonly next_step: string;
  readonly files: Readonly<Partial<Record<Scope, (machine: Platform, folders: FolderNames) => string>>>;
}

/** The names of the folders inside a folder; none when it cannot be listed. */
export type FolderNames = (folder: string) => readonly string[];

export const CLIENTS: readonly Client[] = [
  {
    // https://code.claude.com/docs/en/mcp
    id: 'claude-code',
    title: 'Claude Code',
    servers_key: 'mcpServers',
    says_type: true,
    next_step: 'Start a new Claude Code session; /mcp shows the server, and asks once about a project one.',
    files: {
      user: (machine) =>
        pathOf(machine).resolve(
          machine.cwd,
          machine.env.CLAUDE_CONFIG_DIR || machine.home_folder,
          '.claude.json',
        ),
      project: (machine) => pathOf(machine).join(machine.cwd, '.mcp.json'),
    },
  },
  {
    // https://modelcontextprotocol.io/docs/develop/connect-local-servers
    id: 'claude-desktop',
    title: 'Claude Desktop',
    servers_key: 'mcpServers',
    says_type: false,
    next_step: 'Quit Claude Desktop altogether (the tray icon too) and start it again.',
    files: {
      user: (machine, folders) =>
        pathOf(machine).join(
          storeAppFolder(machine, folders) ?? pathOf(machine).join(appFolder(machine), 'Claude'),
          'claude_desktop_config.json',
        ),
    },
  },
  {
    // https://cursor.com/docs/context/mcp
    id: 'cursor',
    title: 'Cursor',
    servers_key: 'mcpServers',
    says_type: true,
    next_step: 'Switch the server on in the MCP part of the Cursor settings, or restart Cursor.',
    files: {
      user: (machine) => pathOf(machine).join(machine.home_folder, '.cursor', 'mcp.json'),
      project: (machine) => pathOf(machine).join(machine.cwd, '.cursor', 'mcp.json'),
    },
  },
  {
    // https://code.visualstudio.com/docs/copilot/reference/mcp-configuration
    id: 'vscode',
    title: 'VS Code',
    servers_key: 'servers',
    says_type: true,
    next_step: 'In VS Code run the command "MCP: List Servers", choose the server and start it.',
    files: {
      user: (machine) => pathOf(machine).join(appFolder(machine), 'Code', 'User', 'mcp.json'),
      project: (machine) => pathOf(machine).join(machine.cwd, '.vscode', 'mcp.json'),
    },
  },
  {
    // https://docs.windsurf.com/windsurf/cascade/mcp
    id: 'windsurf',
    title: 'Windsurf',
    servers_key: 'mcpServers',
    says_type: false,
    next_step: 'Press refresh among the MCP servers in the Windsurf settings, or restart Windsurf.',
    files: {
      user: (machine) => pathOf(machine).join(machine.home_folder, '.codeium', 'windsurf', 'mcp_config.json'),
    },
  },
];

/** Letters that a mistyped id may be away from a real one and still be taken for it. */
const NEAR_LETTERS = 4;
/** The distance is quadratic in the length, and no id is nearly this long. */
const COMPARED_LETTERS_MAX = 32;

/** The client of this id. INVALID_INPUT, with the nearest id, when there is none. */
export function findClient(id: string): Client {
  const found = CLIENTS.find((client) => client.id === id);
  if (found !== undefined) return found;
  const ids = CLIENTS.map((client) => client.id);
  const typed = id.slice(0, COMPARED_LETTERS_MAX).toLowerCase();
  const nearest = closest(typed, ids);
  const hint = distance(typed, nearest) <= NEAR_LETTERS ? ` Did you mean ${nearest}?` : '';
  throw new VaultError('INVALID_INPUT', `There is no such client.${hint} Keyhold knows ${ids.join(', ')}.`);
}

/** The absolute path of a client's configuration. INVALID_INPUT when the client has no such scope. */
export function configFile(
  client: Client,
  scope: Scope,
  machine: Platform,
  folders: FolderNames = folderNames,
): string {
  const file = client.files[scope];
  if (file === undefined) {
    throw new VaultError('INVALID_INPUT', `${client.title} has no ${scope} scope. Leave --scope out.`);
  }
  return file(machine, folders);
}

/** The path functions of the platform that is asked about. */
export function pathOf(machine: Pick<Platform, 'platform'>): path.PlatformPath {
  return machine.platform === 'win32' ? path.win32 : path.posix;
}

/** Where applications keep a user's settings. XDG_CONFIG_HOME counts only when absolute, as its specification asks. */
function appFolder({ platform, env, home_folder }: Platform): string {
  if (platform === 'win32') return env.APPDATA || path.win32.join(home_folder, 'AppData', 'Roaming');
  if (platform === 'darwin') return path.posix.join(home_folder, 'Library', 'Application Support');
  const xdg = env.XDG_CONFIG_HOME;
  return xdg && path.posix.isAbsolute(xdg) ? xdg : path.posix.join(home_folder, '.config');
}

/**
 * The folder of Claude Desktop where it came as a Windows package (MSIX), undefined where it did not. Windows shows
 * such a program a private copy of %APPDATA%, so that what stands in the public one is never read. Newer packages
 * keep a folder of their own, which is why that one is looked for first.
 */
function storeAppFolder({ platform, env, home_folder }: Platform, folders: FolderNames): string | undefined {
  if (platform !== 'win32') return undefined;
  const { join } = path.win32;
  const local = env.LOCALAPPDATA || join(home_folder, 'AppData', 'Local');
  const data = folders(join(local, 'Claude-Data')).find((name) => /^claude_/i.test(name));
  if (data !== undefined) return join(local, 'Claude-Data', data);
  for (const name of folders(join(local, 'Packages'))) {
    const roaming = join(local, 'Packages', name, 'LocalCache', 'Roaming');
    if (/^Claude_/i.test(name) && folders(roaming).includes('Claude')) return join(roaming, 'Claude');
  }
  return undefined;
}

function folderNames(folder: string): readonly string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    // Not there or not ours to read: either way nothing in it decides where the file lies.
    return [];
  }
}
