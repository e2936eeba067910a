/** `keyhold run` with a credential whose uses a person approves. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compose } from '../../../src/app/compose.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import type { UsePolicy } from '../../../src/contract/use/policy.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { runProgram } from '../../kit/child/built_program.ts';
import { newHome, removeHome } from '../../kit/child/cli.ts';
import { fillHome } from '../../kit/child/run_home.ts';

const GITHUB_TOKEN = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz';

let home: string;
beforeEach(async () => {
  home = newHome();
  await fillHome(home, { github: { github_token: GITHUB_TOKEN } });
});
afterEach(() => removeHome(home));

const run = (...command: string[]) =>
  runProgram(['run', '--service', 'github', '--', ...command], { env: { KEYHOLD_HOME: home } });

/** As the person at the machine of the vault. */
async function asPerson<Result>(act: (vault: Vault, person: Caller) => Promise<Result>): Promise<Result> {
  const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const app = compose({ env, promptSecret: async () => undefined, now: () => new Date() });
  const vault = await app.openVault('no', 'cli');
  try {
    return await act(vault, app.caller('cli'));
  } finally {
    await vault.close();
  }
}

const setPolicy = (use_policy: UsePolicy) =>
  asPerson((vault, person) => vault.use_policies.set(person, { service_id: 'github', use_policy }));

const ONCE = { for: 'once', each: 'request' } as const;
const decide = (id: string, decision: typeof ONCE | 'deny') =>
  asPerson(async (vault, person) => {
    const keyring = await vault.organizations.keyringFor(person);
    return vault.uses.approvals.decide(person, keyring, id, decision);
  });

/** Runs the command, which needs an approval, and returns the id in the message. */
async function requestApproval(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...command);
  expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
  const [, id = ''] =
    /must approve this request first.* `keyhold approvals show ([0-9a-f-]{36})`/.exec(stderr) ?? [];
  expect(id, stderr).not.toBe('');
  expect(stderr).not.toContain(GITHUB_TOKEN);
  return id;
}

describe.each(['writes', 'always'] as const)(
  'a command whose credential has the policy approve: %s',
  (approve) => {
    test('is not started before a person has approved it, and then once', async () => {
      await setPolicy({ approve });
      const id = await requestApproval('/bin/echo', 'started');
      expect(await requestApproval('/bin/echo', 'started')).toBe(id);
      const { meta } = await decide(id, ONCE);
      expect(meta.summary).toBe('/bin/echo started');
      expect(await requestApproval('/bin/echo', 'another argument')).not.toBe(id);
      expect(await run('/bin/echo', 'started')).toMatchObject({ code: 0, stdout: 'started\n' });
      const again = await run('/bin/echo', 'started');
      expect(again).toMatchObject({ code: 4, stdout: '' });
      expect(again.stderr).toContain('was approved and sent already');
    });
  },
);

describe('a command that a person has denied', () => {
  test('is not started', async () => {
    await setPolicy({ approve: 'always' });
    await decide(await requestApproval('/bin/echo', 'started'), 'deny');
    const { code, stdout, stderr } = await run('/bin/echo', 'started');
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    expect(stderr).toContain('The user denied this request.');
  });
});
