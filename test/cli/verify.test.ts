/** `keyhold store --verify` and `keyhold update --verify`: the values are tested before they are stored. */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { type Handler, startUpstream, type Upstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const GOOD = 'ghp_good-canary-71';
const BAD = 'ghp_bad-canary-72';
const DOWN = 'ghp_down-canary-73';
const STORE = ['store', 'github', '--verify'];
const UPDATE = ['update', 'github', '--create', '--verify', '--stdin', 'github_token'];

const service: Handler = ({ headers }, response) => {
  const sent = String(headers.authorization);
  const status = sent.includes(DOWN) ? 503 : sent.includes(GOOD) ? 200 : 401;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ login: 'octocat' }));
};

let home: string;
let env: NodeJS.ProcessEnv;
let upstream: Upstream;
beforeEach(async () => {
  home = newHome();
  onTestFinished(() => removeHome(home));
  await keyholdOk(home, ['init']);
  upstream = await startUpstream(['api.github.com'], service);
  env = upstreamEnv(temporaryFolder());
});

const statusOf = () =>
  keyholdJson<{ status: string; last_test: { result: string } | null }>(home, ['status', 'github']);

describe.each([
  ['keyhold store --verify', STORE],
  ['keyhold update --verify', UPDATE],
])('%s', (_name, argv) => {
  test('exits with 2 and stores nothing if the service refuses the value', async () => {
    const { code, stdout, stderr } = await keyhold(home, argv, { stdin: BAD, env });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Nothing was stored.');
    expect(stderr).not.toContain(BAD);
    expect(await statusOf()).toMatchObject({ status: 'missing' });
  });

  test('exits with 14, stores nothing and names the way without a test if the result is unknown', async () => {
    const { code, stderr } = await keyhold(home, argv, { stdin: DOWN, env });
    expect(code).toBe(14);
    expect(stderr).toContain('Without verify');
    expect(await statusOf()).toMatchObject({ status: 'missing' });
  });

  test('stores a value that the service accepts, with the result of its one test', async () => {
    await keyholdOk(home, argv, { stdin: GOOD, env });
    expect(await statusOf()).toMatchObject({ status: 'active', last_test: { result: 'valid' } });
    expect(upstream.requests).toHaveLength(1);
  });
});
