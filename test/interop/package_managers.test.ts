/**
 * The packed package, installed by npm, pnpm and Yarn: each chooses a database driver that supports this Node.js, and the
 * program works. Install scripts are off; the native module is the one that the tests use.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { removeFolder } from '../kit/remove_folder.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MODULES = fileURLToPath(new URL('node_modules', import.meta.url));
const NATIVE = join('build', 'Release', 'better_sqlite3.node');

/** The arguments of `node`, or of the program `npm`, that install a package file into the current folder. */
const MANAGERS: Readonly<Record<string, (tarball: string, cache: string) => readonly string[]>> = {
  npm: (tarball) => ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball],
  pnpm: (tarball, cache) => [
    join(MODULES, 'pnpm', 'bin', 'pnpm.cjs'),
    'add',
    '--ignore-scripts',
    '--store-dir',
    cache,
    tarball,
  ],
  yarn: (tarball, cache) => [
    join(MODULES, 'yarn', 'bin', 'yarn.js'),
    'add',
    '--ignore-scripts',
    '--non-interactive',
    '--cache-folder',
    cache,
    tarball,
  ],
};

let folder: string;
let tarball: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyhold-managers-'));
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', folder],
    { cwd: ROOT },
  );
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  tarball = join(folder, packed?.filename ?? '');
});
afterAll(() => removeFolder(folder));

describe.each(Object.entries(MANAGERS))('the package installed by %s', (name, install) => {
  let project: string;
  beforeAll(async () => {
    project = join(folder, name);
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{"name":"consumer","private":true}\n');
    const args = install(tarball, join(folder, `${name}-cache`));
    const env = { PATH: process.env.PATH, HOME: folder };
    await promisify(execFile)(name === 'npm' ? 'npm' : process.execPath, args, { cwd: project, env });
  });

  const driverFolder = () => {
    const keyhold = realpathSync(join(project, 'node_modules', 'keyhold', 'package.json'));
    return dirname(createRequire(keyhold).resolve('better-sqlite3/package.json'));
  };
  const keyhold = async (...args: string[]) => {
    const home = join(project, 'home');
    const env = { PATH: process.env.PATH, HOME: home, KEYHOLD_HOME: home, TOKEN: 'lin_api_1' };
    return promisify(execFile)(join(project, 'node_modules', '.bin', 'keyhold'), args, { env }).then(
      ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
      (failed: { code: number; stdout: string; stderr: string }) => ({
        code: failed.code,
        output: failed.stdout + failed.stderr,
      }),
    );
  };

  test('the package has a database driver that supports every Node.js version of the package', () => {
    const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
    const { version, engines } = read(join(driverFolder(), 'package.json'));
    expect(version).toMatch(/^12\./);
    for (const major of ['20.x', '22.x', '24.x']) expect(engines.node).toContain(major);
    expect(read(join(ROOT, 'package.json')).engines.node).toBe('>=20.12');
  });

  test('the package names the missing native module, and works with it', async () => {
    expect(existsSync(join(driverFolder(), NATIVE))).toBe(false);
    const missing = await keyhold('init');
    expect(missing).toMatchObject({
      code: 13,
      output: expect.stringContaining('npm rebuild better-sqlite3'),
    });
    cpSync(join(ROOT, 'node_modules', 'better-sqlite3', NATIVE), join(driverFolder(), NATIVE));
    expect(await keyhold('store', 'linear', '--from-env', 'TOKEN')).toMatchObject({ code: 0 });
    expect((await keyhold('status', 'linear')).output).toContain('active');
  });
});
