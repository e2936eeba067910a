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

async function startServer(requests_per_minute = 0) {
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

describe('a key with the scope credentials:write only', () => {
  test('store with a write-only key stores the credential and reports that', async () => {
    const { run, statusOf } = await startServer();
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

  test('update with a write-only key prints the missing fields from the response', async () => {
    const { run } = await startServer();
    const updated = await run(['update', 'datadog', 'datadog_site'], { stdin: 'datadoghq.eu' });
    expect(updated).toMatchObject({ code: 0, stderr: '' });
    expect(updated.stdout).toContain('Still missing: datadog_api_key');
  });

  test('delete with a write-only key deletes with --yes or after a confirmation', async () => {
    const { run, statusOf } = await startServer();
    await run(['store', 'linear'], { stdin: VALUE });
    const done = { code: 0, stdout: 'Deleted the credential of Linear.\n' };
    expect(await run(['delete', 'linear', '--yes'])).toEqual({ ...done, stderr: '' });
    expect(await statusOf('linear')).toBe('missing');
    await run(['store', 'linear'], { stdin: VALUE });
    const typed: CliOptions['typed'] = [[/Delete the credential of Linear/, 'y']];
    expect(await run(['delete', 'linear'], { terminal: true, typed })).toMatchObject(done);
    expect(await statusOf('linear')).toBe('missing');
  });

  test('delete with a write-only key exits with 5 for a missing credential and for another stack than that of the key', async () => {
    const { server, run } = await startServer();
    const not_found = { code: 5, stdout: '' };
    expect(await run(['delete', 'linear', '--yes'])).toEqual({
      ...not_found,
      stderr: 'error: No such credential. `keyhold status` lists the credentials.\n',
    });
    const restricted_key = await server.key({ scopes: ['credentials:write'], stack_id: 'default' });
    const argv = ['delete', 'linear', '--stack', 'team', '--yes'];
    expect(await run(argv, { env: { KEYHOLD_API_KEY: restricted_key } })).toMatchObject({
      ...not_found,
      stderr: expect.stringContaining('No such stack'),
    });
  });

  test('the built program stores and deletes with a write-only key', async () => {
    const { env, statusOf } = await startServer();
    const program = { KEYHOLD_HOME: home, ...env };
    const stored = await runProgram(['store', 'linear', '--stdin'], { env: program, input: VALUE });
    expect(stored).toMatchObject({ code: 0, stdout: 'Stored Linear.\n', stderr: '' });
    expect(await runProgram(['delete', 'linear', '--yes'], { env: program })).toMatchObject({ code: 0 });
    expect(await statusOf('linear')).toBe('missing');
  });
});

test('store reports success with the last request of the rate limit, and the next store exits with 9', async () => {
  // One request lists the services, one stores the credential.
  const { server, run, statusOf } = await startServer(2);
  const key = await server.key();
  const stored = await run(['store', 'linear'], { stdin: VALUE, env: { KEYHOLD_API_KEY: key } });
  expect(stored).toEqual({ code: 0, stdout: 'Stored Linear.\n', stderr: '' });
  expect(await statusOf('linear')).toBe('active');
  const refused = await run(['store', 'linear'], { stdin: VALUE, env: { KEYHOLD_API_KEY: key } });
  expect(refused).toMatchObject({ code: 9, stdout: '' });
});
