/** `keyhold run` with values that are not stored: references to variables and to another vault, and output of commands. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { keyholdOk, newHome, removeHome } from '../../kit/child/cli.ts';
import { fillHome } from '../../kit/child/run_home.ts';
import { respondJson } from '../../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const VALUE = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz';
const ENV_LIST = { KEYHOLD_REFERENCES: 'env://APP_*' };
const PRINT = ['--', process.execPath, '-e', 'console.log(process.env.GITHUB_TOKEN)'];

let home: string;
beforeEach(async () => {
  home = newHome();
  await fillHome(home, {});
});
afterEach(() => removeHome(home));

const storeText = (text: string, env: NodeJS.ProcessEnv) =>
  keyholdOk(home, ['update', 'github', '--create', '--stdin'], {
    stdin: JSON.stringify({ github_token: text }),
    env,
  });

const run = (args: readonly string[], env: NodeJS.ProcessEnv) =>
  runProgram(['run', '--service', 'github', ...args], { env: { ...env, KEYHOLD_HOME: home } });

/** The program is not started, and the reference or the value is nowhere. */
async function expectNotStarted(env: NodeJS.ProcessEnv, message: string, code: number): Promise<void> {
  const result = await run(['--raw', '--', '/bin/echo', 'started'], env);
  expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' });
  expect(result.stderr).toContain(message);
  expect(result.stderr).not.toContain(VALUE);
}

describe('a reference to a variable', () => {
  test('that is not set, is empty or is no longer allowed prevents the start', async () => {
    await storeText('env://APP_TOKEN', ENV_LIST);
    await expectNotStarted(ENV_LIST, 'leads to no value', 14);
    await expectNotStarted({ ...ENV_LIST, APP_TOKEN: '' }, 'leads to no value', 14);
    await expectNotStarted({ APP_TOKEN: VALUE }, 'KEYHOLD_REFERENCES', 4);
  });

  test('reaches the command as its value, which is redacted in the output', async () => {
    await storeText('env://APP_TOKEN', ENV_LIST);
    const env = { ...ENV_LIST, APP_TOKEN: VALUE };
    expect(await run(['--raw', ...PRINT], env)).toMatchObject({ code: 0, stdout: `${VALUE}\n`, stderr: '' });
    expect(await run(PRINT, env)).toMatchObject({ code: 0, stdout: '[redacted]\n' });
  });
});

describe('a reference to another vault', () => {
  const HOST = 'vault.test';
  const LIST = { KEYHOLD_REFERENCES: 'vault://secret/app#token' };
  const settings = () => ({
    ...upstreamEnv(temporaryFolder()),
    ...LIST,
    VAULT_ADDR: `https://${HOST}`,
    VAULT_TOKEN: 'hvs.0123456789',
  });

  test('that the other vault refuses prevents the start', async () => {
    await startUpstream([HOST], respondJson({ errors: ['permission denied'] }, 403));
    await storeText('vault://secret/app#token', settings());
    await expectNotStarted(settings(), 'vault', 14);
  });

  test('reaches the command as its value', async () => {
    const upstream = await startUpstream([HOST], respondJson({ data: { data: { token: VALUE } } }));
    await storeText('vault://secret/app#token', settings());
    expect(await run(['--raw', ...PRINT], settings())).toMatchObject({ code: 0, stdout: `${VALUE}\n` });
    expect(await run(PRINT, settings())).toMatchObject({ code: 0, stdout: '[redacted]\n' });
    expect(upstream.requests[0]).toMatchObject({
      path: '/v1/secret/data/app',
      headers: { 'x-vault-token': 'hvs.0123456789' },
    });
  });
});

describe('a command as the source', () => {
  async function storeCommand(script: string): Promise<void> {
    const program = join(home, 'source.sh');
    writeFileSync(program, `#!/bin/sh\n${script}\n`);
    chmodSync(program, 0o700);
    const from = ['--from-command', 'github_token', '--', program];
    await keyholdOk(home, ['update', 'github', '--create', ...from], { env: { PATH: process.env.PATH } });
  }

  test('that fails prevents the start, and its output is not shown', async () => {
    await storeCommand(`echo ${VALUE}; echo ${VALUE} >&2; exit 3`);
    await expectNotStarted({}, 'exit code 3', 14);
  });

  test('gives the command its output as the value', async () => {
    await storeCommand(`echo ${VALUE}`);
    expect(await run(['--raw', ...PRINT], {})).toMatchObject({ code: 0, stdout: `${VALUE}\n`, stderr: '' });
    expect(await run(PRINT, {})).toMatchObject({ code: 0, stdout: '[redacted]\n' });
  });
});
