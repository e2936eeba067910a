/** What the built program loads before `keyhold run` starts a command: every file delays the start. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { cp, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM } from '../../kit/child/built_program.ts';
import { keyholdOk } from '../../kit/child/cli.ts';

/** 3 files of the build; the remaining ones are those of the native module. */
const LOADED_FILES_MAX = 22;
const LOADER = `
import { createRequire, register } from 'node:module';
import { writeSync } from 'node:fs';
process.on('exit', () => {
  for (const path of Object.keys(createRequire('/').cache)) writeSync(2, 'loaded ' + path + '\\n');
});
register('data:text/javascript,' + encodeURIComponent(\`
  import { writeSync } from 'node:fs';
  export async function load(url, context, next) {
    if (url.startsWith('file:')) writeSync(2, 'loaded ' + url + '\\\\n');
    return next(url, context);
  }
\`));`;

let folder: string;
let home: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'keyhold-run-start-')));
  home = join(folder, 'home');
  await keyholdOk(home, ['store', 'linear', '--stdin'], { stdin: 'lin_api_0123456789' });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(program: string, args: readonly string[], node_options: readonly string[] = []) {
  const env = { PATH: process.env.PATH, KEYHOLD_HOME: home };
  return spawnSync(process.execPath, [...node_options, program, 'run', ...args], { env, encoding: 'utf8' });
}

test('keyhold run reports that the native module of the database is missing and starts nothing', async () => {
  const dist = join(folder, 'installed', 'dist');
  await cp(dirname(PROGRAM), dist, { recursive: true });
  const modules = join(folder, 'installed', 'node_modules');
  mkdirSync(modules);
  const installed = join(dirname(dirname(PROGRAM)), 'node_modules');
  for (const name of ['re2js', 'tldts', 'tldts-core', 'zod'])
    symlinkSync(join(installed, name), join(modules, name));
  await cp(join(dirname(dirname(PROGRAM)), 'package.json'), join(folder, 'installed', 'package.json'));
  const { status, stdout, stderr } = run(join(dist, 'keyhold.js'), ['--', 'echo', 'started']);
  expect({ status, stdout }).toEqual({ status: 13, stdout: '' });
  expect(stderr).toContain('npm rebuild');
  expect(stderr).not.toContain('    at ');
});

test('keyhold run loads few files and no undici, log, prompts or other commands', () => {
  const loader = `data:text/javascript,${encodeURIComponent(LOADER)}`;
  const { status, stdout, stderr } = run(PROGRAM, ['--', 'echo', 'started'], ['--import', loader]);
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'started\n' });
  const loaded = [...stderr.matchAll(/^loaded .*\/(.+)$/gm)].map(([, name = '']) => name);
  expect(loaded).toContain('run.cjs');
  expect(loaded.length).toBeLessThanOrEqual(LOADED_FILES_MAX);
  expect(loaded.filter((name) => /undici|pino|prompt|run_cli|call_service|cli-table/.test(name))).toEqual([]);
});
