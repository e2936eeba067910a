/**
 * The table of MCP clients: the path of each configuration file, its key for servers and the format of an entry. Paths are
 * built for the given platform, not for the one this runs on. Writes nothing.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { VaultError } from '../../../contract/errors.ts';
import type { ClientId } from './client_ids.ts';

export type Scope = 'user' | 'project';

/** The inputs of a client's configuration path. */
export interface Platform {
  readonly platform: NodeJS.Platform;
  readonly env: NodeJS.ProcessEnv;
  readonly home_folder: string;
  readonly cwd: string;
}

/** A server in a client's configuration: a program that the client starts and connects to over stdio. */
export interface ServerEntry {
  readonly type?: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Client {
  readonly id: ClientId;
  readonly title: string;
  /** The top-level key that holds the servers by name. */
  readonly servers_key: 'mcpServers' | 'servers';
  /** Whether an entry has `"type": "stdio"`, which not every client documents. */
  readonly has_type: boolean;
  /**
   * The text that the client replaces by one of its environment variables. Without it the client passes on a few fixed
   * variables only.
   */
  readonly variableReference?: (name: string) => string;
  /** How a person makes the client read a changed file. */
  readonly next_step: string;
  readonly files: Readonly<Partial<Record<Scope, (platform: Platform, folders: FolderNames) => string>>>;
}

/** Returns the names of the subfolders; none if the folder cannot be read. */
export type FolderNames = (folder: string) => readonly string[];

export const CLIENTS: readonly Client[] = [
  {
    // https://code.claude.com/docs/en/mcp
    id: 'claude-code',
    title: 'Claude Code',
    servers_key: 'mcpServers',
    has_type: true,
    variableReference: (name) => `\${${name}}`,
    next_step:
      'Start a new Claude Code session; /mcp shows the server. A project server must be approved once.',
    files: {
      user: (platform) =>
        pathOf(platform).resolve(
          platform.cwd,
          platform.env.CLAUDE_CONFIG_DIR || platform.home_folder,
          '.claude.json',
        ),
      project: (platform) => pathOf(platform).join(platform.cwd, '.mcp.json'),
    },
  },
  {
    // https://modelcontextprotocol.io/docs/develop/connect-local-servers
    id: 'claude-desktop',
    title: 'Claude Desktop',
    servers_key: 'mcpServers',
    has_type: false,
    next_step: 'Quit Claude Desktop completely, its tray icon too, and start it again.',
    files: {
      user: (platform, folders) =>
        pathOf(platform).join(
          storeAppFolder(platform, folders) ?? pathOf(platform).join(appFolder(platform), 'Claude'),
          'claude_desktop_config.json',
        ),
    },
  },
  {
    // https://cursor.com/docs/context/mcp
    id: 'cursor',
    title: 'Cursor',
    servers_key: 'mcpServers',
    has_type: true,
    variableReference: envReference,
    next_step: 'Switch the server on in the MCP part of the Cursor settings, or restart Cursor.',
    files: {
      user: (platform) => pathOf(platform).join(platform.home_folder, '.cursor', 'mcp.json'),
      project: (platform) => pathOf(platform).join(platform.cwd, '.cursor', 'mcp.json'),
    },
  },
  {
    // https://code.visualstudio.com/docs/copilot/reference/mcp-configuration
    id: 'vscode',
    title: 'VS Code',
    servers_key: 'servers',
    has_type: true,
    variableReference: envReference,
    next_step: 'In VS Code run the command "MCP: List Servers", choose the server and start it.',
    files: {
      user: (platform) => pathOf(platform).join(appFolder(platform), 'Code', 'User', 'mcp.json'),
      project: (platform) => pathOf(platform).join(platform.cwd, '.vscode', 'mcp.json'),
    },
  },
  {
    // https://docs.windsurf.com/windsurf/cascade/mcp
    id: 'windsurf',
    title: 'Windsurf',
    servers_key: 'mcpServers',
    has_type: false,
    variableReference: envReference,
    next_step: 'Press refresh among the MCP servers in the Windsurf settings, or restart Windsurf.',
    files: {
      user: (platform) =>
        pathOf(platform).join(platform.home_folder, '.codeium', 'windsurf', 'mcp_config.json'),
    },
  },
];

function envReference(name: string): string {
  return `\${env:${name}}`;
}

/** Returns the absolute path of the client's configuration. Throws INVALID_INPUT if the client does not have the scope. */
export function configFile(
  client: Client,
  scope: Scope,
  platform: Platform,
  folders: FolderNames = folderNames,
): string {
  const file = client.files[scope];
  if (file === undefined) {
    throw new VaultError('INVALID_INPUT', `${client.title} has no ${scope} scope. Leave --scope out.`);
  }
  return file(platform, folders);
}

/** The path functions of the given platform. */
export function pathOf({ platform }: Pick<Platform, 'platform'>): path.PlatformPath {
  return platform === 'win32' ? path.win32 : path.posix;
}

/** The folder for settings of applications. XDG_CONFIG_HOME must be absolute, as its specification requires. */
function appFolder({ platform, env, home_folder }: Platform): string {
  if (platform === 'win32') return env.APPDATA || path.win32.join(home_folder, 'AppData', 'Roaming');
  if (platform === 'darwin') return path.posix.join(home_folder, 'Library', 'Application Support');
  const xdg = env.XDG_CONFIG_HOME;
  return xdg && path.posix.isAbsolute(xdg) ? xdg : path.posix.join(home_folder, '.config');
}

/**
 * Returns the folder of Claude Desktop if it was installed as a Windows package (MSIX). Windows gives such a program a
 * private copy of %APPDATA%, so it never reads the public one. Newer packages use the folder Claude-Data, checked first.
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
    // Missing or not readable: then nothing in it decides the path.
    return [];
  }
}
