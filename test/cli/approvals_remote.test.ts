/** `keyhold approvals` at a server: the same output as at the machine of the vault. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Approval } from '../../src/contract/approval.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { type CliRun, keyhold, newHome, removeHome } from '../kit/child/cli.ts';
import { startHttpServer } from '../kit/http/http_server.ts';

/** The folder where the command line would create a local vault; it must not. */
let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

async function start() {
  const server = await startHttpServer({ dialects: DIALECTS });
  const keys = {
    person: await server.key({ scopes: ['approvals:decide'] }),
    other: await server.key(),
  };
  const agent = { key: await server.key() };
  const run = (argv: readonly string[], key = keys.person): Promise<CliRun> =>
    keyhold(home, ['approvals', ...argv], { env: { KEYHOLD_URL: server.url, KEYHOLD_API_KEY: key } });
  const request = async (service_id: string) => {
    const body = JSON.stringify({ service_id, reason: 'To list issues.' });
    const response = await server.request('/v1/access-requests', { ...agent, method: 'POST', body });
    return ((await response.json()) as { approval_id: string }).approval_id;
  };
  return { server, keys, run, request };
}

test('approvals list, show, approve and deny work at a server with a key that has approvals:decide', async () => {
  const { server, run, request } = await start();
  const [first, second] = [await request('github'), await request('linear')];
  const listed = await run(['list']);
  expect(listed.stdout).toContain(first);
  expect(listed.stdout).toContain(second);
  const shown = await run(['show', first, '--url', server.url]);
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(shown.stdout).toContain('To list issues.');
  expect(shown.stdout).toContain(`Next: keyhold approvals approve ${first} --url ${server.url}`);
  const approved = await run(['approve', first, '--yes', '--read-only', '--json']);
  const { access, state }: Approval = JSON.parse(approved.stdout);
  expect([state, access?.use_policy?.methods]).toEqual(['approved', ['GET', 'HEAD', 'OPTIONS']]);
  expect(await run(['deny', second])).toMatchObject({ code: 0, stdout: 'Denied.\n' });
  expect((await run(['deny', second])).code).toBe(6);
  expect(await run(['list'])).toMatchObject({ stdout: 'Nothing waits for a decision.\n' });
  expect(await run(['list', '--granted'])).toMatchObject({ stdout: expect.stringContaining('in force') });
  expect((await run(['revoke', first])).code).toBe(5);
});

test('approvals exits with 4 for a key without approvals:decide, and without a key with 3', async () => {
  const { keys, run, request, server } = await start();
  const id = await request('github');
  for (const argv of [['list'], ['show', id], ['approve', id, '--yes'], ['deny', id], ['revoke', id]]) {
    const refused = await run(argv, keys.other);
    expect([argv[0], refused.code]).toEqual([argv[0], 4]);
    expect(refused.stderr).toContain('approvals:decide');
  }
  expect((await keyhold(home, ['approvals', 'list', '--url', server.url])).code).toBe(3);
});
