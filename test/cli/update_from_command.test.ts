/** `keyhold update --from-command`: a program as the source of a field. */
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commandOf } from '../../src/vault/values/value_source.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { echo } from '../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { decryptStoredValues } from '../kit/vault/database.ts';

const CANARY = 'canary-of-a-command';
const PATH = process.env.PATH ?? '';

let home = '';
beforeEach(async () => {
  home = newHome();
  await keyholdOk(home, ['init']);
});
afterEach(() => removeHome(home));

const update = (args: readonly string[], env: NodeJS.ProcessEnv = { PATH }) =>
  keyhold(home, ['update', 'github', '--create', ...args], { env });

async function storedCommand() {
  const { credential_id } = await keyholdJson<{ credential_id: string | null }>(home, ['status', 'github']);
  if (credential_id === null) return undefined;
  return commandOf((await decryptStoredValues(home, credential_id)).github_token ?? '');
}

describe('keyhold update --from-command is refused and stores nothing', () => {
  const FROM = ['--from-command', 'github_token'];

  test.each([
    ['without a program', [...FROM], 'Name the program'],
    ['for a program that does not exist', [...FROM, '--', `no-${CANARY}`], 'was not found'],
    ['for a folder', [...FROM, '--', '/tmp'], 'was not found'],
    ['for an unknown field', ['--from-command', CANARY, '--', 'sh'], 'no such field'],
    ['with --stdin', [...FROM, '--stdin', '--', 'sh'], 'cannot be combined'],
    ['with --from-env', [...FROM, '--from-env', 'github_token=X', '--', 'sh'], 'cannot be combined'],
    ['with --set', [...FROM, '--set', 'github_token=x', '--', 'sh'], 'cannot be combined'],
    ['with --url', [...FROM, '--url', 'https://keyhold.example', '--', 'sh'], 'this machine only'],
    ['with a cache time without a unit', [...FROM, '--cache', '55', '--', 'sh'], '--cache takes'],
    ['with a cache time of more than a day', [...FROM, '--cache', '25h', '--', 'sh'], '--cache takes'],
    ['without --from-command but with --cache', ['--cache', '55m', 'github_token'], '--cache is for'],
  ])('%s', async (_what, args, message) => {
    const { code, stdout, stderr } = await update(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain(CANARY);
    expect(await storedCommand()).toBeUndefined();
  });

  test('if KEYHOLD_URL names a server', async () => {
    const env = { PATH, KEYHOLD_URL: 'https://keyhold.example' };
    const { code, stderr } = await update([...FROM, '--', 'sh'], env);
    expect([code, stderr.includes('KEYHOLD_URL')]).toEqual([2, true]);
  });

  test('for a program that every user can change', async () => {
    const program = join(home, 'program');
    writeFileSync(program, '#!/bin/sh\n');
    chmodSync(program, 0o777);
    const { code, stderr } = await update([...FROM, '--', program]);
    expect([code, stderr.includes('can change')]).toEqual([2, true]);
  });

  test('for a credential that does not exist, without --create', async () => {
    const { code } = await keyhold(home, ['update', 'github', ...FROM, '--', 'sh'], { env: { PATH } });
    expect(code).toBe(5);
  });
});

describe('keyhold update --from-command', () => {
  test('stores the absolute path of the program, its arguments and the cache time, and does not run it', async () => {
    const marker = join(home, 'was-run');
    const args = ['--from-command', 'github_token', '--cache', '55m', '--', 'touch', marker, '--', '-x'];
    const { code, stdout, stderr } = await update(args);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('github_token');
    expect(await storedCommand()).toEqual({
      program: expect.stringMatching(/^\/.*\/touch$/),
      args: [marker, '--', '-x'],
      cache_seconds: 3300,
    });
    expect(existsSync(marker)).toBe(false);
  });

  test('leaves the arguments out of the audit log and of every list', async () => {
    await update(['--from-command', 'github_token', '--', 'printf', CANARY]);
    for (const command of [
      ['status'],
      ['status', 'github'],
      ['audit', 'list'],
      ['services', 'list', 'github'],
    ])
      expect(await keyholdOk(home, [...command, '--json'])).not.toContain(CANARY);
  });
});

describe('keyhold call with a value that is produced at use', () => {
  const call = (env: NodeJS.ProcessEnv = {}) =>
    keyhold(home, ['call', 'github', 'GET', '/user'], { env: { PATH, ...upstreamEnv(home), ...env } });

  test('does not send anything if the command fails, and shows its exit code without its output', async () => {
    const upstream = await startUpstream(['api.github.com'], echo());
    await update(['--from-command', 'github_token', '--', 'sh', '-c', `echo ${CANARY}; exit 7`]);
    const { code, stdout, stderr } = await call();
    expect([code, stdout]).toEqual([14, '']);
    expect(stderr).toContain('exit code 7');
    expect(stderr).not.toContain(CANARY);
    expect(upstream.requests).toEqual([]);
  });

  test('sends the output of the command and redacts it in the response', async () => {
    const upstream = await startUpstream(['api.github.com'], echo());
    await update(['--from-command', 'github_token', '--', 'printf', '%s\\n', CANARY]);
    const { code, stdout, stderr } = await call();
    expect([code, upstream.requests[0]?.headers.authorization]).toEqual([0, `Bearer ${CANARY}`]);
    expect(stdout).toContain('[redacted]');
    expect(stdout + stderr).not.toContain(CANARY);
  });

  test('sends the value of an allowed reference, and nothing once the reference is not allowed any more', async () => {
    const upstream = await startUpstream(['api.github.com'], echo());
    const allowed = { KEYHOLD_REFERENCES: 'APP_*', APP_TOKEN: CANARY };
    const options = { env: allowed, stdin: 'env://APP_TOKEN' };
    await keyholdOk(home, ['update', 'github', '--create', 'github_token', '--stdin'], options);
    const { stdout } = await call(allowed);
    expect(upstream.requests[0]?.headers.authorization).toBe(`Bearer ${CANARY}`);
    expect(stdout).toContain('[redacted]');
    expect(stdout).not.toContain(CANARY);
    const { code, stderr } = await call({ APP_TOKEN: CANARY });
    expect([code, stderr.includes('KEYHOLD_REFERENCES')]).toEqual([4, true]);
    expect(upstream.requests).toHaveLength(1);
  });
});
