/** Creating and replacing files on file systems with and without hard links, file modes, and files that can be renamed. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFile, replaceFile } from '../../src/io/atomic_file.ts';
import { keepsFileModes, pathWritableByOthers } from '../../src/io/file_access.ts';
import { bindMount, exfatDisk, NO_DISKS, NO_EXFAT, smallDisk } from '../kit/file_system.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const ATOMIC_FILE = pathToFileURL(join(import.meta.dirname, '../../src/io/atomic_file.ts')).href;
const TSX = pathToFileURL(join(import.meta.dirname, '../../node_modules/tsx/dist/loader.mjs')).href;

/** Folders on different file systems. */
const DISKS: Readonly<Record<string, () => string | undefined>> = {
  'a usual disk': temporaryFolder,
  tmpfs: () => smallDisk(4096)?.path,
  exFAT: exfatDisk,
};

/** Starts a process that creates the file with its own content, after `prelude`. Resolves with its output. */
async function createInProcess(path: string, content: string, prelude = ''): Promise<string> {
  const script = `${prelude}
    const { createFile } = await import(${JSON.stringify(ATOMIC_FILE)});
    console.log(createFile(${JSON.stringify(path)}, ${JSON.stringify(content)}));`;
  const args = ['--import', TSX, '--input-type=module', '-e', script];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await once(child, 'close');
  return output.trim();
}

/** Makes `link` fail as on a file system without hard links. */
const NO_LINKS = `
  import fs from 'node:fs';
  fs.linkSync = () => { throw Object.assign(new Error('no links'), { code: 'ENOTSUP' }); };`;

describe.each(Object.entries(DISKS))('a file on %s', (name, disk) => {
  test('is created once with its whole content, and never replaced', ({ skip }) => {
    const folder = disk();
    if (folder === undefined) return skip(name === 'exFAT' ? NO_EXFAT : NO_DISKS);
    const path = join(folder, 'keys', 'one.key');
    expect(createFile(path, 'first')).toBe(true);
    expect(createFile(path, 'second')).toBe(false);
    expect(fs.readFileSync(path, 'utf8')).toBe('first');
    expect(fs.readdirSync(join(folder, 'keys'))).toEqual(['one.key']);
  });

  test('is created by exactly one of several processes, whose content it has', async ({ skip }) => {
    const folder = disk();
    if (folder === undefined) return skip(name === 'exFAT' ? NO_EXFAT : NO_DISKS);
    const path = join(folder, 'one.key');
    const contents = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(5_000));
    const results = await Promise.all(contents.map((content) => createInProcess(path, content)));
    expect(results.filter((result) => result === 'true')).toHaveLength(1);
    expect(fs.readFileSync(path, 'utf8')).toBe(contents[results.indexOf('true')]);
    expect(fs.readdirSync(folder).filter((entry) => entry.startsWith('one.key'))).toEqual(['one.key']);
  }, 30_000);

  test('is replaced with its new content', ({ skip }) => {
    const folder = disk();
    if (folder === undefined) return skip(name === 'exFAT' ? NO_EXFAT : NO_DISKS);
    const path = join(folder, 'one.json');
    fs.writeFileSync(path, 'a long old content');
    replaceFile(path, 'new', { mode: 0o600, like: fs.statSync(path) }, () => undefined);
    expect(fs.readFileSync(path, 'utf8')).toBe('new');
    expect(fs.readdirSync(folder).filter((entry) => entry.startsWith('one.json'))).toEqual(['one.json']);
  });
});

describe('without hard links', () => {
  test('a process that is killed before its file has its name leaves no partial file', async () => {
    const path = join(temporaryFolder(), 'one.key');
    const killed = `${NO_LINKS}
      fs.renameSync = () => process.kill(process.pid, 'SIGKILL');`;
    expect(await createInProcess(path, 'of the killed process', killed)).toBe('');
    expect(fs.existsSync(path)).toBe(false);
    expect(fs.existsSync(`${path}.lock`)).toBe(true);
    expect(await createInProcess(path, 'of the next process', NO_LINKS)).toBe('true');
    expect(fs.readFileSync(path, 'utf8')).toBe('of the next process');
    expect(fs.existsSync(`${path}.lock`)).toBe(false);
  }, 30_000);

  test('a process that waits leaves the lock to others that take it one after the other', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'one.key');
    // A rename replaces an empty folder, so there is a lock at all times.
    const takeLock = () => {
      const next = join(folder, randomUUID());
      fs.mkdirSync(next);
      fs.renameSync(next, `${path}.lock`);
    };
    takeLock();
    const timer = setInterval(takeLock, 50);
    onTestFinished(() => clearInterval(timer));
    const created = createInProcess(path, 'of the waiting process', NO_LINKS);
    await Promise.race([created, sleep(6_000)]);
    expect(fs.existsSync(path)).toBe(false);
    clearInterval(timer);
    expect(await created).toBe('true');
    expect(fs.readdirSync(folder)).toEqual(['one.key']);
  }, 30_000);

  test('a file is created even if the folder cannot be synced', async () => {
    const path = join(temporaryFolder(), 'one.key');
    const no_sync = `${NO_LINKS}
      const sync = fs.fsyncSync;
      fs.fsyncSync = (file) => {
        if (fs.fstatSync(file).isDirectory()) throw Object.assign(new Error('no sync'), { code: 'EINVAL' });
        sync(file);
      };`;
    expect(await createInProcess(path, 'content', no_sync)).toBe('true');
    expect(fs.readFileSync(path, 'utf8')).toBe('content');
  }, 30_000);
});

test('a file that is mounted over another one is overwritten, since a rename cannot replace it', ({
  skip,
}) => {
  const [source, target] = [join(temporaryFolder(), 'source.json'), join(temporaryFolder(), 'target.json')];
  for (const path of [source, target]) fs.writeFileSync(path, 'a long old content');
  const unmount = bindMount(source, target);
  if (unmount === undefined) return skip(NO_DISKS);
  onTestFinished(unmount);
  replaceFile(target, 'new', { mode: 0o600 }, () => undefined);
  expect(fs.readFileSync(target, 'utf8')).toBe('new');
  expect(fs.readFileSync(source, 'utf8')).toBe('new');
});

describe('the access of other users', () => {
  test('a file system without modes is detected, and one with modes is not', ({ skip }) => {
    expect(keepsFileModes(temporaryFolder())).toBe(true);
    const folder = exfatDisk();
    if (folder === undefined) return skip(NO_EXFAT);
    expect(keepsFileModes(folder)).toBe(false);
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test('a folder that is writable for all is found above the file and behind a link, but not one with the sticky bit', () => {
    const [open, closed] = [temporaryFolder(), temporaryFolder()];
    for (const folder of [open, closed]) fs.mkdirSync(join(folder, 'keys', 'inner'), { recursive: true });
    const file = (folder: string) => join(folder, 'keys', 'inner', 'root.key');
    fs.writeFileSync(file(open), '');
    fs.symlinkSync(file(open), file(closed));
    expect(pathWritableByOthers(file(open))).toBeUndefined();
    fs.chmodSync(join(open, 'keys'), 0o777);
    expect(pathWritableByOthers(file(open))).toBe(join(open, 'keys'));
    expect(pathWritableByOthers(file(closed))).toBe(join(open, 'keys'));
    fs.chmodSync(join(open, 'keys'), 0o1777);
    expect(pathWritableByOthers(file(open))).toBeUndefined();
    // Before the last folders and the file exist.
    const absent = join(open, 'keys', 'inner', 'new', 'root.key');
    expect(pathWritableByOthers(absent)).toBeUndefined();
    fs.chmodSync(join(open, 'keys', 'inner'), 0o777);
    expect(pathWritableByOthers(absent)).toBe(join(open, 'keys', 'inner'));
    fs.chmodSync(join(open, 'keys', 'inner'), 0o700);
    fs.chmodSync(file(open), 0o602);
    expect(pathWritableByOthers(file(open))).toBe(file(open));
  });

  test('a folder that is writable for all is found if it holds a symbolic link on the way to the file', () => {
    const [shared, home] = [temporaryFolder(), temporaryFolder()];
    fs.mkdirSync(join(home, 'kh', 'keys'), { recursive: true });
    fs.writeFileSync(join(home, 'kh', 'keys', 'root.key'), '');
    fs.symlinkSync(join(home, 'kh'), join(shared, 'kh'));
    const file = join(shared, 'kh', 'keys', 'root.key');
    expect(pathWritableByOthers(file)).toBeUndefined();
    fs.chmodSync(shared, 0o777);
    expect(pathWritableByOthers(file)).toBe(shared);
    // Behind a second link, which is relative.
    const own = temporaryFolder();
    fs.symlinkSync(`../${basename(shared)}/kh/keys`, join(own, 'keys'));
    expect(pathWritableByOthers(join(own, 'keys', 'root.key'))).toBe(shared);
    fs.chmodSync(shared, 0o1777);
    expect(pathWritableByOthers(join(own, 'keys', 'root.key'))).toBeUndefined();
    fs.symlinkSync('loop', join(own, 'loop'));
    expect(() => pathWritableByOthers(join(own, 'loop', 'root.key'))).toThrow('too many symbolic links');
  });
});
