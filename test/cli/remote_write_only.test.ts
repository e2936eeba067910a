/** Writes with a key without read permission, and with one past its rate limit: a completed write is reported as completed. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StoreOutput } from '../../src/contract/credential.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { type CliOptions, keyhold, newHome, removeHome } from '../kit/child/cli.ts';
import { startHttpServer } from '../kit/http/http_server.ts';

const VALUE = 'lin_api_abc123def456789';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

async function served(requests_per_minute = 0) {
  const settings = { limits: { requests_per_minute, auth_failures_per_minute: 0 } };
  const server = await startHttpServer({ dialects: DIALECTS, settings });
  const key = await server.key({ scopes: ['credentials:write'] });
  const env = { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: key };
  const run = (argv: readonly string[], options: CliOptions = {}) =>
    keyhold(home, argv, { ...options, env: { ...env, ...options.env } });
  const statusOf = async (service_id: string) =>
    (await server.vault.status(server.caller(), { service_id })).status;
  return { server, env, run, statusOf };
}

describe('a key that may only write', () => {
  test('stores, and is told that it did', async () => {
    const { run, statusOf } = await served();
    expect(await run(['store', 'linear', '--stdin'], { stdin: VALUE })).toEqual({
      code: 0,
      stdout: 'Stored Linear.\n',
      stderr: '',
    });
    expect(await statusOf('linear')).toBe('active');
    const json = await run(['store', 'linear', '--json'], { stdin: VALUE });
    expect(json).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(json.stdout) as StoreOutput).toMatchObject({ success: true, status: 'stored' });
  });

  test('updates, and learns what is missing from the answer itself', async () => {
    const { run } = await served();
    const updated = await run(['update', 'datadog', 'datadog_site'], { stdin: 'datadoghq.eu' });
    expect(updated).toMatchObject({ code: 0, stderr: '' });
    expect(updated.stdout).toContain('Still missing: datadog_api_key');
  });

  test('deletes with --yes, and where somebody has said yes', async () => {
    const { run, statusOf } = await served();
    await run(['store', 'linear'], { stdin: VALUE });
    const done = { code: 0, stdout: 'Deleted the credential of Linear.\n' };
    expect(await run(['delete', 'linear', '--yes'])).toEqual({ ...done, stderr: '' });
    expect(await statusOf('linear')).toBe('missing');
    await run(['store', 'linear'], { stdin: VALUE });
    const typed: CliOptions['typed'] = [[/Delete the credential of Linear/, 'y']];
    expect(await run(['delete', 'linear'], { terminal: true, typed })).toMatchObject(done);
    expect(await statusOf('linear')).toBe('missing');
  });

  test('is told what was not there to delete, and what is not for it', async () => {
    const { server, run } = await served();
    const nothing = { code: 5, stdout: '' };
    expect(await run(['delete', 'linear', '--yes'])).toEqual({
      ...nothing,
      stderr: 'error: No such credential. `keyhold status` lists the credentials.\n',
    });
    const held = await server.key({ scopes: ['credentials:write'], stack_id: 'default' });
    const argv = ['delete', 'linear', '--stack', 'team', '--yes'];
    expect(await run(argv, { env: { KEYHOLD_API_KEY: held } })).toMatchObject({
      ...nothing,
      stderr: expect.stringContaining('No such stack'),
    });
  });

  test('does so with the built program', async () => {
    const { env, statusOf } = await served();
    const program = { KEYHOLD_HOME: home, ...env };
    const stored = await runProgram(['store', 'linear', '--stdin'], { env: program, input: VALUE });
    expect(stored).toMatchObject({ code: 0, stdout: 'Stored Linear.\n', stderr: '' });
    expect(await runProgram(['delete', 'linear', '--yes'], { env: program })).toMatchObject({ code: 0 });
    expect(await statusOf('linear')).toBe('missing');
  });
});

test('what was stored with the last request of a minute is stored', async () => {
  // One request for the services, one for the storing.
  const { server, run, statusOf } = await served(2);
  const key = await server.key();
  const stored = await run(['store', 'linear'], { stdin: VALUE, env: { KEYHOLD_API_KEY: key } });
  expect(stored).toEqual({ code: 0, stdout: 'Stored Linear.\n', stderr: '' });
  expect(await statusOf('linear')).toBe('active');
  const refused = await run(['store', 'linear'], { stdin: VALUE, env: { KEYHOLD_API_KEY: key } });
  expect(refused).toMatchObject({ code: 9, stdout: '' });
});
