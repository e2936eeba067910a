/** `keyhold install` on real files in a temporary home, for every client and platform. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLIENTS, configFile } from '../../../src/cli/commands/install/clients.ts';
import { defineInstall } from '../../../src/cli/commands/install/command.ts';
import {
  findClient,
  type InstallEnvironment,
  type InstallListing,
  type InstallResult,
  runInstall,
} from '../../../src/cli/commands/install/install.ts';
import { CONFIG_MAX_BYTES, changeServer } from '../../../src/cli/commands/install/write_config.ts';
import { VaultError } from '../../../src/contract/errors.ts';
import { bindMount, NO_DISKS, smallDisk } from '../../kit/file_system.ts';

let root: string;
let home: string;
let project: string;

beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'keyhold-install-')));
  home = path.join(root, 'home');
  project = path.join(root, 'project');
  fs.mkdirSync(home);
  fs.mkdirSync(project);
});

afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const PROGRAM = { command: '/usr/bin/node', args: ['/opt/keyhold/dist/keyhold.js'] };
const STARTS = { command: '/usr/bin/node', args: ['/opt/keyhold/dist/keyhold.js', 'mcp'] };

/** The vault of the tests; set for each test. */
const vaultEnv = () => ({ KEYHOLD_HOME: path.join(root, 'vault') });

/** Runs the command and returns its output. */
function run(args: readonly string[], change: Partial<InstallEnvironment> = {}): string {
  let printed = '';
  const environment: InstallEnvironment = {
    platform: 'linux',
    env: vaultEnv(),
    home_folder: home,
    cwd: project,
    program: PROGRAM,
    out: (text) => {
      printed += text;
    },
    ...change,
  };
  const command = defineInstall((client, options) => runInstall(environment, client, options));
  command.exitOverride().configureOutput({ writeErr: () => {} });
  command.parse(args, { from: 'user' });
  return printed;
}

function runJson(args: readonly string[], change: Partial<InstallEnvironment> = {}): InstallResult {
  return JSON.parse(run([...args, '--json'], change)) as InstallResult;
}

function runList(args: readonly string[] = [], change: Partial<InstallEnvironment> = {}): InstallListing[] {
  return (JSON.parse(run([...args, '--json'], change)) as { clients: InstallListing[] }).clients;
}

function catchVaultError(work: () => unknown): VaultError {
  try {
    work();
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

/** Content of every file in the temporary folder, by its relative path. */
function readFiles(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of fs.readdirSync(root, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isFile()) found[path.relative(root, file)] = fs.readFileSync(file, 'latin1');
  }
  return found;
}

const cursorFile = () => path.join(home, '.cursor', 'mcp.json');

function writeCursor(text: string | Buffer): string {
  fs.mkdirSync(path.join(home, '.cursor'), { recursive: true });
  fs.writeFileSync(cursorFile(), text);
  return cursorFile();
}

describe('an invalid argument', () => {
  test.each([
    [['claude-cod'], 'Unknown client. Did you mean claude-code? Keyhold knows claude-code,'],
    [['VSCode'], 'Did you mean vscode?'],
    [['wind-surf'], 'Did you mean windsurf?'],
    [['cursor', '--scope', 'global'], '--scope takes user or project.'],
    [['windsurf', '--scope', 'project'], 'Windsurf has no project scope. Leave --scope out.'],
    [['claude-desktop', '--scope', 'project'], 'Claude Desktop has no project scope.'],
    [['cursor', '--name', ''], '--name takes'],
    [['cursor', '--name', '__proto__'], '--name takes'],
    [['cursor', '--name', 'a b'], '--name takes'],
    [['cursor', '--name', 'a'.repeat(33)], '--name takes'],
    [['cursor', '--print', '--remove'], 'Leave one out.'],
    [['--remove'], 'Name a client: claude-code,'],
    [['--print'], 'Name a client'],
  ])('install throws INVALID_INPUT and writes nothing for the arguments %j', (args, message) => {
    const error = catchVaultError(() => run(args));
    expect(error.code).toBe('INVALID_INPUT');
    expect(error.message).toContain(message);
    expect(readFiles()).toEqual({});
  });

  test('install does not repeat an unknown client in its message, and suggests none if none is similar', () => {
    const error = catchVaultError(() => run(['sk-live-0123456789']));
    expect(error.message).not.toContain('sk-live');
    expect(error.message).not.toContain('Did you mean');
  });

  test('install quickly rejects an argument of a million characters', () => {
    expect(catchVaultError(() => run(['x'.repeat(1_000_000)])).code).toBe('INVALID_INPUT');
  });
});

describe('a configuration file that cannot be edited', () => {
  test.each([
    [
      'broken JSON',
      Buffer.from('{\n  "mcpServers": {\n    "a": {}\n    "b": {}\n  }\n}\n'),
      /not valid JSON \(line 4\)\. Fix it/,
    ],
    ['a list', Buffer.from('[1]'), /not a JSON object/],
    ['servers that are not an object', Buffer.from('{"mcpServers": "x"}'), /no object under/],
    ['UTF-16', Buffer.from('\uFEFF{}', 'utf16le'), /not UTF-8 text/],
    ['a truncated character', Buffer.from([0x7b, 0x22, 0xc3, 0x22, 0x7d]), /not UTF-8 text/],
  ])(
    'install rejects a configuration file with %s and leaves it unchanged, without a backup',
    (_, bytes, message) => {
      const file = writeCursor(bytes);
      for (const args of [['cursor'], ['cursor', '--remove']]) {
        const error = catchVaultError(() => run(args));
        expect(error.code).toBe('INVALID_INPUT');
        expect(error.message).toMatch(message);
        expect(error.message).not.toContain(home);
        expect(fs.readFileSync(file).equals(bytes)).toBe(true);
        expect(fs.readdirSync(path.dirname(file))).toEqual(['mcp.json']);
      }
    },
  );

  test('install rejects a folder at the path of the configuration file and leaves it unchanged', () => {
    fs.mkdirSync(cursorFile(), { recursive: true });
    const error = catchVaultError(() => run(['cursor']));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', reason: 'not_a_file' });
    expect(error.message).toContain('The configuration path of Cursor is not a file.');
    expect(fs.readdirSync(path.join(home, '.cursor'))).toEqual(['mcp.json']);
  });

  test('install rejects a configuration file whose folder is a file', () => {
    fs.writeFileSync(path.join(home, '.cursor'), 'mine');
    expect(catchVaultError(() => run(['cursor']))).toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'not_a_file',
    });
    expect(readFiles()).toEqual({ 'home/.cursor': 'mine' });
  });

  test('install rejects a named pipe without waiting for it', () => {
    fs.mkdirSync(path.join(home, '.cursor'));
    execFileSync('mkfifo', [cursorFile()]);
    expect(catchVaultError(() => run(['cursor']))).toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'not_a_file',
    });
  });

  test('install rejects a configuration file that is too large without reading it', () => {
    fs.truncateSync(writeCursor('{}'), CONFIG_MAX_BYTES + 1);
    const error = catchVaultError(() => run(['cursor']));
    expect(error.code).toBe('INVALID_INPUT');
    expect(error.message).toContain('is larger than 67108864 bytes. Use --print');
    expect(fs.statSync(cursorFile()).size).toBe(CONFIG_MAX_BYTES + 1);
  });

  test('install rejects a symbolic link to itself', () => {
    fs.mkdirSync(path.join(home, '.cursor'));
    fs.symlinkSync('mcp.json', cursorFile());
    expect(catchVaultError(() => run(['cursor']))).toMatchObject({
      code: 'INVALID_INPUT',
      reason: 'not_a_file',
    });
  });

  test('install throws CONFLICT if another program changes the file meanwhile, and keeps that change', () => {
    const file = writeCursor('{"a":1}');
    // The backup is named after the file was read: this clock acts as another program at that time.
    class WritingDate extends Date {
      override toISOString(): string {
        fs.writeFileSync(file, '{"a":2}');
        return super.toISOString();
      }
    }
    const config_file = {
      title: 'Cursor',
      servers_key: 'mcpServers',
      name: 'keyhold',
      path: file,
      new_file_mode: 0o600,
    };
    expect(catchVaultError(() => changeServer(config_file, STARTS, new WritingDate()))).toMatchObject({
      code: 'CONFLICT',
    });
    expect(readFiles()).toEqual({ 'home/.cursor/mcp.json': '{"a":2}' });
  });
});

const EVERY = CLIENTS.flatMap((client) =>
  (['user', 'project'] as const)
    .filter((scope) => client.files[scope] !== undefined)
    .map((scope) => ({ id: client.id, scope, key: client.servers_key, has_type: client.has_type })),
);

describe.each(EVERY)('$id, $scope scope', ({ id, scope, key, has_type }) => {
  const entry = () => ({ ...(has_type ? { type: 'stdio' } : {}), ...STARTS, env: vaultEnv() });
  const config_path = () =>
    configFile(findClient(id), scope, { platform: 'linux', env: {}, home_folder: home, cwd: project });

  test('install creates a file that contains only the entry', () => {
    const result = runJson([id, '--scope', scope]);
    expect(JSON.parse(fs.readFileSync(config_path(), 'utf8'))).toEqual({ [key]: { keyhold: entry() } });
    expect(result).toMatchObject({
      client: id,
      scope,
      key,
      name: 'keyhold',
      path: config_path(),
      entry: entry(),
    });
    expect(result).toMatchObject({ outcome: 'added', changed: true, backup: null });
    expect(Object.keys(readFiles())).toEqual([path.relative(root, config_path())]);
    if (scope === 'user') expect(fs.statSync(config_path()).mode & 0o777).toBe(0o600);
  });

  test('install keeps comments, order, other servers and settings, and --remove restores the file', () => {
    const before = `{\n    // mine\n    "z": 1,\n    "${key}": {\n        "b": {"command": "b"}, // b\n    },\n    "a": [1,2]\n}\n`;
    fs.mkdirSync(path.dirname(config_path()), { recursive: true });
    fs.writeFileSync(config_path(), before);
    const { backup } = runJson([id, '--scope', scope]);
    const after = fs.readFileSync(config_path(), 'utf8');
    const added = after.indexOf('\n        "keyhold": {');
    const rest = after.slice(added).indexOf('\n        "b"');
    expect(added).toBe(before.indexOf('\n        "b"'));
    expect(after.slice(0, added) + after.slice(added + rest)).toBe(before);
    expect(backup).toMatch(
      new RegExp(`^${config_path().replaceAll('.', '\\.')}\\.keyhold-backup-\\d{8}T\\d{9}Z$`),
    );
    expect(fs.readFileSync(backup ?? '', 'utf8')).toBe(before);

    expect(runJson([id, '--scope', scope, '--remove'])).toMatchObject({
      outcome: 'removed',
      changed: true,
      entry: null,
    });
    expect(fs.readFileSync(config_path(), 'utf8')).toBe(before);
  });

  test('a second install changes nothing, not even the timestamp of the file', () => {
    run([id, '--scope', scope]);
    const old = new Date('2001-02-03T04:05:06Z');
    fs.utimesSync(config_path(), old, old);
    const files = readFiles();
    expect(runJson([id, '--scope', scope])).toMatchObject({
      outcome: 'unchanged',
      changed: false,
      backup: null,
      entry: entry(),
    });
    expect(run([id, '--scope', scope])).toContain(`keyhold is already in ${config_path()}; nothing changed.`);
    expect(readFiles()).toEqual(files);
    expect(fs.statSync(config_path()).mtime).toEqual(old);
  });

  test('install --print prints the entry and writes nothing', () => {
    const printed = run([id, '--scope', scope, '--print']);
    expect(printed).toContain(`Put this into ${config_path()}:`);
    const snippet = printed.slice(printed.indexOf('{'), printed.lastIndexOf('}') + 1);
    expect(JSON.parse(snippet)).toEqual({ [key]: { keyhold: entry() } });
    expect(runJson([id, '--scope', scope, '--print'])).toMatchObject({
      outcome: 'printed',
      changed: false,
      entry: entry(),
    });
    expect(readFiles()).toEqual({});
  });

  test('install without a client lists the client as installed', () => {
    const row = () => runList().find((one) => one.client === id && one.scope === scope);
    expect(row()).toMatchObject({ path: config_path(), installed: false, state: 'absent', problem: null });
    run([id, '--scope', scope]);
    expect(row()).toMatchObject({ installed: true, state: 'installed' });
    expect(runList().filter((one) => one.installed)).toHaveLength(1);
  });
});

describe('keyhold install', () => {
  test('install replaces an entry of the same name, reports it and keeps a backup', () => {
    const before = '{"mcpServers":{"keyhold":{"command":"old","env":{"TOKEN":"sk-old"}}}}';
    writeCursor(before);
    const printed = run(['cursor']);
    expect(printed).toContain('Replaced the entry keyhold of Cursor, which was different');
    expect(printed).not.toContain('sk-old');
    const [backup] = fs.readdirSync(path.join(home, '.cursor')).filter((name) => name.includes('backup'));
    expect(fs.readFileSync(path.join(home, '.cursor', backup ?? ''), 'utf8')).toBe(before);
    expect(JSON.parse(fs.readFileSync(cursorFile(), 'utf8'))).toEqual({
      mcpServers: { keyhold: { type: 'stdio', ...STARTS, env: vaultEnv() } },
    });
  });

  test('install adds one server for each name', () => {
    run(['cursor']);
    run(['cursor', '--name', 'work_vault']);
    expect(Object.keys(JSON.parse(fs.readFileSync(cursorFile(), 'utf8')).mcpServers)).toEqual([
      'work_vault',
      'keyhold',
    ]);
    run(['cursor', '--remove']);
    expect(
      runList(['--name', 'work_vault', '--scope', 'user']).find((row) => row.client === 'cursor')?.installed,
    ).toBe(true);
    expect(runList(['--scope', 'user']).find((row) => row.client === 'cursor')?.installed).toBe(false);
  });

  test('install follows symbolic links to the file and keeps the links', () => {
    const real = path.join(root, 'dotfiles', 'cursor.json');
    fs.mkdirSync(path.dirname(real));
    fs.writeFileSync(real, '{"a":1}');
    fs.mkdirSync(path.join(home, '.cursor'));
    fs.symlinkSync(real, path.join(root, 'middle'));
    fs.symlinkSync('../../middle', cursorFile());
    const { backup, path: shown } = runJson(['cursor']);
    expect(shown).toBe(cursorFile());
    expect(fs.readlinkSync(cursorFile())).toBe('../../middle');
    expect(JSON.parse(fs.readFileSync(real, 'utf8'))).toHaveProperty('mcpServers.keyhold');
    expect(path.dirname(backup ?? '')).toBe(path.dirname(real));
  });

  test('install creates the file that a dangling symbolic link points to', () => {
    const real = path.join(root, 'dotfiles', 'cursor.json');
    fs.mkdirSync(path.join(home, '.cursor'));
    fs.symlinkSync(real, cursorFile());
    run(['cursor']);
    expect(fs.lstatSync(cursorFile()).isSymbolicLink()).toBe(true);
    expect(JSON.parse(fs.readFileSync(real, 'utf8'))).toHaveProperty('mcpServers.keyhold');
  });

  test('install keeps the mode of the file and gives it to the backup', () => {
    fs.chmodSync(writeCursor('{}'), 0o640);
    const { backup } = runJson(['cursor']);
    expect(fs.statSync(cursorFile()).mode & 0o777).toBe(0o640);
    expect(fs.statSync(backup ?? '').mode & 0o777).toBe(0o640);
  });

  test('install keeps a byte order mark, and the backup has the same bytes', () => {
    const before = Buffer.from('\uFEFF{\r\n  "größe": "ü"\r\n}\r\n');
    writeCursor(before);
    const { backup } = runJson(['cursor']);
    const after = fs.readFileSync(cursorFile());
    expect(after.subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
    expect(after.toString()).not.toMatch(/[^\r]\n/);
    expect(fs.readFileSync(backup ?? '').equals(before)).toBe(true);
  });

  test('install never overwrites an older backup', () => {
    const config_file = {
      title: 'Cursor',
      servers_key: 'mcpServers',
      path: writeCursor('{}'),
      new_file_mode: 0o600,
    };
    const now = new Date('2026-01-02T03:04:05.678Z');
    const first = changeServer({ ...config_file, name: 'one' }, STARTS, now).backup;
    const second = changeServer({ ...config_file, name: 'two' }, STARTS, now).backup;
    expect(first).toBe(`${config_file.path}.keyhold-backup-20260102T030405678Z`);
    expect(second).toBe(`${first}-2`);
    expect(fs.readFileSync(first ?? '', 'utf8')).toBe('{}');
    expect(fs.readdirSync(path.dirname(config_file.path))).toHaveLength(3);
  });

  test('install prints the next step, and a note if the client seems not to be installed', () => {
    const first = run(['windsurf']);
    expect(first).toContain('Next: Press refresh');
    expect(first).toContain('is Windsurf installed?');
    expect(run(['windsurf', '--name', 'second'])).not.toContain('is Windsurf installed?');
    expect(run(['windsurf', '--remove'])).toContain('Next: restart Windsurf.');
    expect(run(['windsurf', '--remove'])).toContain('nothing to do.');
  });

  test.skipIf(process.platform === 'win32')(
    'install prints no control character of a path, and escapes it in JSON',
    () => {
      const evil = path.join(root, 'evil\u001b[2J\u009b2J\nforged');
      fs.mkdirSync(evil);
      for (const args of [['cursor'], ['cursor'], ['cursor', '--print'], ['cursor', '--remove'], []])
        for (const more of [[], ['--json']]) {
          const printed = run([...args, ...more], { home_folder: evil });
          expect(printed.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
          expect(printed).not.toMatch(/^forged/m);
        }
    },
  );

  test('install warns that a project file contains paths of this machine', () => {
    expect(run(['vscode', '--scope', 'project'])).toContain('think before you share the file');
    expect(run(['vscode'])).not.toContain('think before you share the file');
  });

  test('install --remove changes and creates nothing if there is no file', () => {
    expect(runJson(['cursor', '--remove'])).toMatchObject({
      outcome: 'unchanged',
      changed: false,
      backup: null,
    });
    expect(readFiles()).toEqual({});
    expect(fs.readdirSync(home)).toEqual([]);
  });
});

describe('keyhold install --print', () => {
  test('install --print prints the entry for another platform without reading or writing a file', () => {
    const result = runJson(['vscode', '--print'], {
      platform: 'win32',
      home_folder: 'C:\\Users\\ann',
      cwd: 'D:\\work',
      env: { KEYHOLD_HOME: '/vault' },
    });
    expect(result.path).toBe('C:\\Users\\ann\\AppData\\Roaming\\Code\\User\\mcp.json');
    expect(result.entry?.env).toEqual({ KEYHOLD_HOME: '/vault' });
    expect(readFiles()).toEqual({});
  });
});

describe('keyhold install without a client', () => {
  test('install without a client lists an invalid file as unreadable, and the other files as usual', () => {
    writeCursor('{');
    run(['windsurf']);
    const rows = runList(['--scope', 'user']);
    expect(rows.map((row) => row.client)).toEqual([
      'claude-code',
      'claude-desktop',
      'cursor',
      'vscode',
      'windsurf',
    ]);
    expect(rows.find((row) => row.client === 'cursor')).toMatchObject({
      installed: false,
      state: 'unreadable',
    });
    expect(rows.find((row) => row.client === 'cursor')?.problem).toMatch(
      /Cursor is not valid JSON \(line 1\)/,
    );
    expect(rows.find((row) => row.client === 'windsurf')).toMatchObject({
      installed: true,
      state: 'installed',
    });
  });

  test('install without a client lists an entry that install would write differently', () => {
    run(['cursor']);
    const moved = { program: { command: 'keyhold', args: [] } };
    expect(runList([], moved).find((row) => row.client === 'cursor')).toMatchObject({
      installed: true,
      state: 'differs',
    });
  });

  test('install without a client lists the files even if no entry can be written', () => {
    const KEYHOLD_HOME = ['/a/$', '{HOME/b'].join('');
    expect(catchVaultError(() => run(['cursor'], { env: { KEYHOLD_HOME } })).code).toBe('INVALID_INPUT');
    expect(readFiles()).toEqual({});
    const rows = runList([], { env: { KEYHOLD_HOME } });
    expect(rows).toHaveLength(EVERY.length);
    expect(rows.every((row) => row.problem?.includes('which MCP clients replace'))).toBe(true);
  });

  test('install without a client prints a table of client, scope, state and file', () => {
    run(['cursor']);
    const lines = run([]).split('\n');
    expect(lines[0]).toMatch(/^CLIENT +SCOPE +KEYHOLD +FILE$/);
    expect(lines).toContain(`cursor          user     installed  ${cursorFile()}`);
    expect(lines).toContain(
      `cursor          project  no         ${path.join(project, '.cursor', 'mcp.json')}`,
    );
    expect(lines).toHaveLength(1 + EVERY.length + 2);
  });
});

describe('a configuration file that cannot be replaced', () => {
  test('install overwrites a file that is mounted into a container, and keeps a backup', ({ skip }) => {
    const outside = path.join(root, 'outside.json');
    fs.writeFileSync(outside, '{"a": 1}');
    const file = writeCursor('');
    const unmount = bindMount(outside, file);
    if (unmount === undefined) return skip(NO_DISKS);
    try {
      const { outcome, backup } = runJson(['cursor']);
      expect(outcome).toBe('added');
      for (const path of [file, outside]) {
        expect(JSON.parse(fs.readFileSync(path, 'utf8'))).toHaveProperty('mcpServers.keyhold');
      }
      expect(fs.readFileSync(backup ?? '', 'utf8')).toBe('{"a": 1}');
      expect(runJson(['cursor', '--remove']).outcome).toBe('removed');
      expect(JSON.parse(fs.readFileSync(outside, 'utf8'))).toEqual({ a: 1, mcpServers: {} });
    } finally {
      unmount();
    }
  });

  test('install reports a locked file as locked, and leaves it unchanged', ({ skip }) => {
    const file = writeCursor('{"a": 1}');
    if (spawnSync('chattr', ['+i', file]).status !== 0)
      return skip('no immutable files here, so this was not tested');
    try {
      const error = catchVaultError(() => run(['cursor']));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'read_only' });
      expect(error.message).toContain('locked against changes');
    } finally {
      spawnSync('chattr', ['-i', file]);
    }
    expect(readFiles()).toEqual({ 'home/.cursor/mcp.json': '{"a": 1}' });
  });

  test('install reports a read-only disk as such', ({ skip }) => {
    const disk = smallDisk(64);
    if (disk === undefined) return skip(NO_DISKS);
    fs.mkdirSync(path.join(disk.path, '.cursor'));
    fs.writeFileSync(path.join(disk.path, '.cursor', 'mcp.json'), '{}');
    disk.remount('ro');
    const error = catchVaultError(() => run(['cursor'], { home_folder: disk.path }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'read_only' });
    expect(error.message).toContain('on a read-only file system');
  });
});

describe('a project of a stranger', () => {
  test.each([
    ['a link to an existing file', true],
    ['a dangling link', false],
  ])('install --scope project refuses %s outside of the project', (_, exists) => {
    const outside = path.join(root, 'elsewhere', 'config.json');
    if (exists) {
      fs.mkdirSync(path.dirname(outside));
      fs.writeFileSync(outside, '{}');
    }
    const before = readFiles();
    fs.mkdirSync(path.join(project, '.cursor'));
    fs.symlinkSync('../../elsewhere/config.json', path.join(project, '.cursor', 'mcp.json'));
    for (const more of [[], ['--remove']]) {
      const error = catchVaultError(() => run(['cursor', '--scope', 'project', ...more]));
      expect(error.code).toBe('INVALID_INPUT');
      expect(error.message).toContain('a symbolic link out of the project folder');
    }
    expect(runList(['--scope', 'project']).find(({ client }) => client === 'cursor')?.state).toBe(
      'unreadable',
    );
    expect(readFiles()).toEqual(before);
    expect(fs.existsSync(outside)).toBe(exists);
  });

  test('install --scope project refuses a linked folder outside of the project, and follows links within it', () => {
    fs.mkdirSync(path.join(root, 'elsewhere'));
    fs.symlinkSync('../elsewhere', path.join(project, '.cursor'));
    expect(catchVaultError(() => run(['cursor', '--scope', 'project'])).code).toBe('INVALID_INPUT');
    expect(fs.readdirSync(path.join(root, 'elsewhere'))).toEqual([]);
    fs.mkdirSync(path.join(project, 'settings'));
    fs.symlinkSync('settings', path.join(project, '.vscode'));
    expect(runJson(['vscode', '--scope', 'project']).outcome).toBe('added');
    expect(fs.readdirSync(path.join(project, 'settings'))).toEqual(['mcp.json']);
  });
});

test('install keeps the three newest backups of a file, and no file of another name is removed', () => {
  const file = writeCursor('{}');
  const others = [
    'mcp.json.keyhold-backup-mine',
    'mcp.json.bak',
    'other.json.keyhold-backup-20200101T000000000Z',
  ];
  for (const name of others) fs.writeFileSync(path.join(path.dirname(file), name), '');
  const config_file = { title: 'Cursor', servers_key: 'mcpServers', path: file, new_file_mode: 0o600 };
  const backups = [1, 2, 3, 4, 5].map(
    (day) =>
      changeServer({ ...config_file, name: `s${day}` }, STARTS, new Date(`2026-01-0${day}T00:00:00Z`)).backup,
  );
  const names = fs.readdirSync(path.dirname(file)).sort();
  const kept = backups.slice(2).map((backup) => path.basename(backup ?? ''));
  expect(names).toEqual(['mcp.json', ...kept, ...others].sort());
});

test('install writes no secret of the environment to a file, backup, output or error, in any encoding', () => {
  const canary = 'canary/"7f3a+ 9c1e';
  const bytes = Buffer.from(canary);
  const encodings = [
    canary,
    JSON.stringify(canary).slice(1, -1),
    encodeURIComponent(canary),
    ...(['base64', 'base64url', 'hex'] as const).map((name) => bytes.toString(name).replace(/=+$/, '')),
  ];
  const env = {
    KEYHOLD_PASSPHRASE: canary,
    MY_KEY: canary,
    KEYHOLD_API_KEY: canary,
    KEYHOLD_STORE: canary,
    KEYHOLD_HOME: path.join(root, 'vault'),
  };
  let output = '';
  const { KEYHOLD_STORE: _, ...without_store } = env;
  for (const id of ['claude-code', 'cursor']) {
    for (const KEYHOLD_ROOT_KEY of ['passphrase', 'env:MY_KEY']) {
      const change = { env: { ...without_store, KEYHOLD_ROOT_KEY } };
      for (const more of [['--print'], [], ['--name', 'second']]) output += run([id, ...more], change);
    }
  }
  for (const KEYHOLD_ROOT_KEY of ['passphrase', 'env:MY_KEY', `env:${canary}`, canary, 'keychain']) {
    const change = { env: { ...env, KEYHOLD_ROOT_KEY } };
    for (const { id, scope } of EVERY) {
      for (const more of [['--print'], [], [], ['--remove'], [], ['--scope', canary], ['--name', canary]]) {
        for (const json of [[], ['--json']]) {
          try {
            output += run([id, '--scope', scope, ...more, ...json], change);
          } catch (error) {
            output += error instanceof Error ? `${error.stack} ${JSON.stringify(error)}` : String(error);
          }
        }
      }
      output +=
        run([], change) + run(['--json'], change) + catchVaultError(() => run([canary], change)).message;
    }
  }
  expect(output).toContain('The entry has a reference to the variable MY_KEY');
  for (const [name, text] of Object.entries(readFiles())) output += `${name}\n${text}\n`;
  expect(output).toContain('keyhold-backup-');
  for (const encoding of encodings) expect(output).not.toContain(encoding);
});
