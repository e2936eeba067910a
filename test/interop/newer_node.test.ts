/**
 * The built program on newer versions of Node.js, with the database driver for them. Both are installed in this folder.
 * Every version reads a vault that another version wrote.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROGRAM, runProgram } from '../kit/child/built_program.ts';
import { removeFolder } from '../kit/remove_folder.ts';
import { HAS_NEWER_NODES, NEWER_NODES, nodeOf } from './newer_nodes.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const VALUE = 'lin_api_newer_node_41c2';

let installed: string;
beforeAll(() => {
  installed = mkdtempSync(join(tmpdir(), 'keyhold-newer-node-'));
  cpSync(dirname(PROGRAM), join(installed, 'dist'), { recursive: true });
  mkdirSync(join(installed, 'node_modules'));
  symlinkSync(
    join(HERE, 'node_modules', 'better-sqlite3'),
    join(installed, 'node_modules', 'better-sqlite3'),
  );
});
afterAll(() => removeFolder(installed));

async function runOn(
  version: (typeof NEWER_NODES)[number],
  home: string,
  args: readonly string[],
  input = '',
) {
  const env = { PATH: process.env.PATH, HOME: home, KEYHOLD_HOME: home };
  const running = promisify(execFile)(nodeOf(version), [join(installed, 'dist', 'keyhold.js'), ...args], {
    env,
  });
  running.child.stdin?.end(input);
  return running.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  );
}

describe.skipIf(!HAS_NEWER_NODES).each(NEWER_NODES)('Node.js %s', (version) => {
  let home: string;
  beforeAll(() => {
    home = join(installed, `home-${version}`);
  });

  test('is the version that runs these tests', async () => {
    expect(existsSync(nodeOf(version))).toBe(true);
    const { stdout } = await promisify(execFile)(nodeOf(version), ['--version']);
    expect(stdout).toMatch(new RegExp(`^v${version}\\.`));
  });

  test('stores a credential and shows its status', async () => {
    expect(await runOn(version, home, ['store', 'linear'], VALUE)).toMatchObject({ code: 0 });
    const { code, stdout, stderr } = await runOn(version, home, ['status', 'linear', '--json']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ required_credentials_added: true, status: 'active' });
    expect(stdout + stderr).not.toContain(VALUE);
  });

  test('returns exit code 5 for an unknown service', async () => {
    expect(await runOn(version, home, ['status', 'no-such-service'])).toMatchObject({ code: 5 });
  });

  test('runs doctor and audit verify without findings', async () => {
    const doctor = await runOn(version, home, ['doctor']);
    expect(doctor.code, doctor.stdout).toBe(0);
    expect(doctor.stdout).toContain(`Node.js ${version}.`);
    const verified = await runOn(version, home, ['audit', 'verify']);
    expect(verified.code, verified.stdout).toBe(0);
  });

  test('shares a vault with the Node.js version that the program is built for', async () => {
    const env = { KEYHOLD_HOME: join(installed, `shared-${version}`) };
    expect(await runProgram(['store', 'linear'], { env, input: VALUE })).toMatchObject({ code: 0 });
    expect(await runOn(version, env.KEYHOLD_HOME, ['store', 'github'], VALUE)).toMatchObject({ code: 0 });
    for (const { code, stdout } of [
      await runOn(version, env.KEYHOLD_HOME, ['audit', 'verify']),
      await runProgram(['audit', 'verify'], { env }),
    ]) {
      expect(code, stdout).toBe(0);
      expect(stdout).toContain('2 credentials');
    }
  });
});
