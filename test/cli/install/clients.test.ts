/** The path of each client's configuration on each platform, independent of the platform of the test. */
import { describe, expect, test } from 'vitest';
import { CLIENT_IDS } from '../../../src/cli/commands/install/client_ids.ts';
import { CLIENTS, configFile, type FolderNames } from '../../../src/cli/commands/install/clients.ts';
import { findClient } from '../../../src/cli/commands/install/install.ts';

test('the table of clients has every client id, in the order of the help', () => {
  expect(CLIENTS.map(({ id }) => id)).toEqual(CLIENT_IDS);
});

describe('configFile', () => {
  const windows = { platform: 'win32', home_folder: 'C:\\Users\\ann', cwd: 'D:\\work' } as const;
  const mac = { platform: 'darwin', home_folder: '/Users/ann', cwd: '/work' } as const;
  const linux = { platform: 'linux', home_folder: '/home/ann', cwd: '/work' } as const;
  const none: FolderNames = () => [];

  test.each([
    ['claude-code', 'user', linux, {}, '/home/ann/.claude.json'],
    ['claude-code', 'user', mac, {}, '/Users/ann/.claude.json'],
    ['claude-code', 'user', windows, {}, 'C:\\Users\\ann\\.claude.json'],
    ['claude-code', 'user', linux, { CLAUDE_CONFIG_DIR: '/etc/claude' }, '/etc/claude/.claude.json'],
    ['claude-code', 'user', linux, { CLAUDE_CONFIG_DIR: 'here' }, '/work/here/.claude.json'],
    ['claude-code', 'project', linux, { CLAUDE_CONFIG_DIR: '/etc/claude' }, '/work/.mcp.json'],
    ['claude-code', 'project', windows, {}, 'D:\\work\\.mcp.json'],
    [
      'claude-desktop',
      'user',
      mac,
      {},
      '/Users/ann/Library/Application Support/Claude/claude_desktop_config.json',
    ],
    ['claude-desktop', 'user', linux, {}, '/home/ann/.config/Claude/claude_desktop_config.json'],
    ['claude-desktop', 'user', linux, { XDG_CONFIG_HOME: '/x' }, '/x/Claude/claude_desktop_config.json'],
    [
      'claude-desktop',
      'user',
      windows,
      { APPDATA: 'E:\\Roaming' },
      'E:\\Roaming\\Claude\\claude_desktop_config.json',
    ],
    [
      'claude-desktop',
      'user',
      windows,
      {},
      'C:\\Users\\ann\\AppData\\Roaming\\Claude\\claude_desktop_config.json',
    ],
    ['cursor', 'user', linux, {}, '/home/ann/.cursor/mcp.json'],
    ['cursor', 'user', mac, {}, '/Users/ann/.cursor/mcp.json'],
    ['cursor', 'user', windows, {}, 'C:\\Users\\ann\\.cursor\\mcp.json'],
    ['cursor', 'project', mac, {}, '/work/.cursor/mcp.json'],
    ['cursor', 'project', windows, {}, 'D:\\work\\.cursor\\mcp.json'],
    ['vscode', 'user', mac, {}, '/Users/ann/Library/Application Support/Code/User/mcp.json'],
    ['vscode', 'user', linux, {}, '/home/ann/.config/Code/User/mcp.json'],
    ['vscode', 'user', linux, { XDG_CONFIG_HOME: 'relative' }, '/home/ann/.config/Code/User/mcp.json'],
    ['vscode', 'user', windows, { APPDATA: 'E:\\Roaming' }, 'E:\\Roaming\\Code\\User\\mcp.json'],
    ['vscode', 'project', linux, {}, '/work/.vscode/mcp.json'],
    ['windsurf', 'user', linux, {}, '/home/ann/.codeium/windsurf/mcp_config.json'],
    ['windsurf', 'user', mac, {}, '/Users/ann/.codeium/windsurf/mcp_config.json'],
    ['windsurf', 'user', windows, {}, 'C:\\Users\\ann\\.codeium\\windsurf\\mcp_config.json'],
  ] as const)(
    'configFile of %s in %s scope on %j with %j returns %s',
    (id, scope, machine, env, expected) => {
      expect(configFile(findClient(id), scope, { ...machine, env }, none)).toBe(expected);
    },
  );

  test('configFile returns the folder of the package for Claude Desktop from a Windows package', () => {
    const local = 'C:\\Users\\ann\\AppData\\Local';
    const packaged: Record<string, string[]> = {
      [`${local}\\Packages`]: ['Other_1', 'Claude_abc'],
      [`${local}\\Packages\\Claude_abc\\LocalCache\\Roaming`]: ['Claude'],
    };
    const newer = { ...packaged, [`${local}\\Claude-Data`]: ['logs', 'claude_abc'] };
    const desktopFile = (folders: Record<string, string[]>) =>
      configFile(
        findClient('claude-desktop'),
        'user',
        { ...windows, env: {} },
        (name) => folders[name] ?? [],
      );
    expect(desktopFile(packaged)).toBe(
      `${local}\\Packages\\Claude_abc\\LocalCache\\Roaming\\Claude\\claude_desktop_config.json`,
    );
    expect(desktopFile(newer)).toBe(`${local}\\Claude-Data\\claude_abc\\claude_desktop_config.json`);
    expect(desktopFile({ [`${local}\\Packages`]: ['Claude_abc'] })).toContain('\\AppData\\Roaming\\Claude\\');
  });
});
