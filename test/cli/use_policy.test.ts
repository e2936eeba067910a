/** Options of use policies: `keyhold update` for a credential, `keyhold keys create` for a key, here and on a server. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CredentialStatus, SetUsePolicyOutput } from '../../src/contract/credential.ts';
import type { UsePolicy } from '../../src/contract/use/policy.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

const READ_ONLY = ['GET', 'HEAD', 'OPTIONS'];

let home = '';
beforeEach(async () => {
  home = newHome();
  await keyholdOk(home, ['store', 'linear'], { stdin: 'lin_api_abc123def456789' });
});
afterEach(() => removeHome(home));

const policyOf = async () => (await keyholdJson<CredentialStatus>(home, ['status', 'linear'])).use_policy;

const INVALID = [
  ['--methods with an unknown method', ['--methods', 'GET,FETCH'], '--methods takes'],
  ['--methods with an empty item', ['--methods', 'GET,'], '--methods takes'],
  ['--methods with --read-only', ['--methods', 'GET', '--read-only'], 'not both'],
  ['--path-prefix without a slash', ['--path-prefix', 'repos'], '--path-prefix takes'],
  ['--path-prefix with dots', ['--path-prefix', '/a/../b'], '--path-prefix takes'],
  ['--calls-per-minute 0', ['--calls-per-minute', '0'], '--calls-per-minute takes'],
  ['--calls-per-minute 1e3', ['--calls-per-minute', '1e3'], '--calls-per-minute takes'],
  ['--use-until without a time', ['--use-until', 'later'], '--use-until takes'],
  ['--approve sometimes', ['--approve', 'sometimes'], '--approve takes'],
] as const;

describe('keyhold update with a use policy', () => {
  test('refuses --cache, which is for --from-command', async () => {
    const { code, stderr } = await keyhold(home, ['update', 'linear', '--read-only', '--cache', '5m']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--cache is for --from-command')]);
    expect(await policyOf()).toBeNull();
  });

  test.each(INVALID)('refuses %s and changes nothing', async (_what, args, message) => {
    const { code, stderr } = await keyhold(home, ['update', 'linear', ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(await policyOf()).toBeNull();
  });

  test.each([
    ['a field', ['linear_api_key']],
    ['--stdin', ['--stdin']],
    ['--create', ['--create']],
  ])('refuses %s in the same command', async (_what, args) => {
    const { code, stderr } = await keyhold(home, ['update', 'linear', '--read-only', ...args], {
      stdin: 'lin_api_other0123456789',
    });
    expect([code, stderr]).toEqual([2, expect.stringContaining('two commands')]);
    expect(await policyOf()).toBeNull();
  });

  test('exits with 5 for a missing credential and creates none', async () => {
    for (const args of [['github'], ['linear', '--name', 'work']])
      expect((await keyhold(home, ['update', ...args, '--read-only'])).code).toBe(5);
    expect((await keyholdJson<CredentialStatus>(home, ['status', 'github'])).status).toBe('missing');
  });

  test('sets each limit, keeps the others and the values, and removes all with --no-policy', async () => {
    const printed = await keyholdOk(home, ['update', 'linear', '--read-only', '--calls-per-minute', '60']);
    expect(printed).toContain('limited to methods GET, HEAD, OPTIONS; 60 uses a minute');
    const more = [
      '--path-prefix',
      '/a',
      '--path-prefix',
      '/b',
      '--use-until',
      '2099-01-01',
      '--approve',
      'writes',
    ];
    const { use_policy } = await keyholdJson<SetUsePolicyOutput>(home, ['update', 'linear', ...more]);
    const expected = {
      methods: READ_ONLY,
      path_prefixes: ['/a', '/b'],
      calls_per_minute: 60,
      approve: 'writes',
    };
    expect(use_policy).toMatchObject(expected);
    expect(await policyOf()).toEqual(use_policy);
    expect(await keyholdOk(home, ['status', 'linear'])).toContain('Limited to methods GET, HEAD, OPTIONS');
    await keyholdOk(home, ['store', 'notion'], { stdin: 'ntn_0123456789abcdef' });
    const [heading, ...rows] = (await keyholdOk(home, ['status'])).split('\n');
    expect(heading).toMatch(/^SERVICE .* BY +LIMITED TO$/);
    expect(rows[0]).toMatch(/^notion +active .* me *$/);
    expect(rows[1]).toMatch(
      /^linear +active .* methods GET, HEAD, OPTIONS; paths \/a, \/b; 60 uses a minute/,
    );
    await keyholdOk(home, ['update', 'linear', '--no-policy', '--methods', 'post']);
    expect(await policyOf()).toEqual({ methods: ['POST'] });
    expect(await keyholdOk(home, ['update', 'linear', '--no-policy'])).toContain('have no limits');
    expect(await keyholdJson<CredentialStatus>(home, ['status', 'linear'])).toMatchObject({
      use_policy: null,
      status: 'active',
    });
  });
});

describe('keyhold keys create with a use policy', () => {
  test.each(INVALID)('refuses %s and creates no key', async (_what, args, message) => {
    const { code, stderr } = await keyhold(home, ['keys', 'create', ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect((await keyholdJson<{ keys: unknown[] }>(home, ['keys', 'list'])).keys).toEqual([]);
  });

  test('gives the key the policy, which keys list shows', async () => {
    const args = ['--read-only', '--path-prefix', '/v1', '--calls-per-minute', '5', '--approve', 'always'];
    const { use_policy } = await keyholdJson<{ use_policy: UsePolicy }>(home, ['keys', 'create', ...args]);
    const expected = { methods: READ_ONLY, path_prefixes: ['/v1'], calls_per_minute: 5, approve: 'always' };
    expect(use_policy).toEqual(expected);
    const { keys } = await keyholdJson<{ keys: { use_policy: UsePolicy }[] }>(home, ['keys', 'list']);
    expect(keys.map((key) => key.use_policy)).toEqual([expected]);
  });
});
