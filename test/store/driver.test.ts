/** A copy of the built program whose database driver is missing or has a native module that does not load. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { PROGRAM } from '../kit/child/built_program.ts';
import { connectStdioClient } from '../kit/mcp/stdio_client.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const PACKAGES = ['better-sqlite3', 'bindings', 'file-uri-to-path', 'zod'];

let program: string;
let driver: string;
beforeEach(() => {
  const folder = temporaryFolder();
  cpSync(dirname(PROGRAM), join(folder, 'dist'), { recursive: true });
  for (const name of PACKAGES) {
    const source = dirname(createRequire(PROGRAM).resolve(`${name}/package.json`));
    const target = join(folder, 'node_modules', name);
    mkdirSync(dirname(target), { recursive: true });
    // The sources are large and not needed at run time.
    const filter = (path: string) => !/\/(?:deps|src|obj|obj\.target)$/.test(path);
    cpSync(source, target, { recursive: true, filter });
  }
  program = join(folder, 'dist', 'keyhold.js');
  driver = join(folder, 'node_modules', 'better-sqlite3');
});

const start = (home: string, args: readonly string[]) =>
  spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, HOME: home, KEYHOLD_HOME: home, KEYHOLD_PORT: '0', TOKEN: 'lin_api_1' },
  });

async function run(home: string, args: readonly string[]) {
  const child = start(home, args);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  child.stdin.end();
  await once(child, 'close');
  return { code: child.exitCode, output };
}

const NATIVE = () => join(driver, 'build', 'Release', 'better_sqlite3.node');
const FAULTS: Readonly<Record<string, () => void>> = {
  'that was not built': () => rmSync(join(driver, 'build'), { recursive: true }),
  'that is damaged': () => writeFileSync(NATIVE(), 'not a library'),
  'that is empty': () => writeFileSync(NATIVE(), ''),
  'whose package is missing': () => rmSync(driver, { recursive: true }),
};

describe.each(Object.entries(FAULTS))('a native module %s', (_, cause) => {
  test('every command that opens a vault names the module, the Node.js version and the command that fixes it', async () => {
    const home = temporaryFolder();
    expect((await run(home, ['init'])).code).toBe(0);
    cause();
    for (const args of [['init'], ['status'], ['store', 'linear', '--from-env', 'TOKEN'], ['serve']]) {
      const { code, output } = await run(home, args);
      expect([args, code]).toEqual([args, 13]);
      expect(output).toContain('cannot load the database driver better-sqlite3');
      expect(output).toContain(`Node.js ${process.version} (module version ${process.versions.modules}`);
      expect(output).toContain('npm rebuild better-sqlite3');
    }
  }, 60_000);

  test('doctor reports it, also without a vault, and a call over MCP returns it', async () => {
    const home = join(temporaryFolder(), 'none');
    cause();
    const { code, output } = await run(home, ['doctor', '--json']);
    expect(code).toBe(13);
    const { checks } = JSON.parse(output) as { checks: { check: string; state: string; message: string }[] };
    expect(checks.find(({ check }) => check === 'driver')).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('npm rebuild better-sqlite3'),
    });
    const child = start(home, ['mcp']);
    const client = await connectStdioClient(child);
    const { error } = await client.call('list_services');
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'driver_unusable' });
    expect(await client.end()).toBe(0);
    expect(existsSync(home)).toBe(false);
  }, 60_000);
});
