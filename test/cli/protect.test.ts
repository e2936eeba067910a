/** `--protect` and `--no-protect` of `store` and `update`, KEYHOLD_PROTECT, and `approvals` with values that wait. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compose } from '../../src/app/compose.ts';
import type { Approval } from '../../src/contract/approval.ts';
import type { CredentialStatus } from '../../src/contract/credential.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

const OLD = 'lin_api_abc123def456789';
const NEW = 'lin_api_given_by_an_agent';
const KEY = { KEYHOLD_API_KEY: 'kh_x', KEYHOLD_URL: 'http://127.0.0.1:9' };

let home = '';
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const store = (args: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
  keyholdOk(home, ['store', 'linear', ...args], { stdin: OLD, env });
const status = () => keyholdJson<CredentialStatus>(home, ['status', 'linear']);

/** A model stores a value; returns the id of the approval. */
async function give(credential_value = NEW): Promise<string> {
  const now = () => new Date();
  const app = compose({ env: { KEYHOLD_HOME: home }, promptSecret: async () => undefined, now });
  const vault = await app.openVault('no', 'mcp');
  try {
    const input = { service_id: 'linear', credential_type: 'api_key', credential_value } as const;
    return (await vault.store(app.caller('mcp'), input)).pending_approval?.approval_id ?? '';
  } finally {
    await vault.close();
  }
}

describe('--protect', () => {
  test.each([
    ['store', ['store', 'linear', '--protect']],
    ['update', ['update', 'linear', '--no-protect']],
  ])('%s with it is refused for a server, and nothing is sent', async (_, argv) => {
    const { code, stderr } = await keyhold(home, argv, { stdin: OLD, env: KEY });
    expect([code, stderr]).toEqual([2, expect.stringContaining('on the machine of the vault')]);
  });

  test('update is refused for a missing credential, and with the options of a policy', async () => {
    expect((await keyhold(home, ['update', 'linear', '--protect'])).code).toBe(5);
    await store();
    expect((await keyhold(home, ['update', 'openai', '--protect'])).code).toBe(5);
    const { code, stderr } = await keyhold(home, ['update', 'linear', '--protect', '--read-only']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('two commands')]);
    expect(await status()).toMatchObject({ protected: false, use_policy: null });
  });

  test('store and update protect a credential, and status shows it', async () => {
    await store(['--protect']);
    expect(await status()).toMatchObject({ protected: true, pending_approval: null });
    expect(await keyholdOk(home, ['status', 'linear'])).toContain('Protected');
    await keyholdOk(home, ['update', 'linear', '--no-protect']);
    expect((await status()).protected).toBe(false);
    expect(await keyholdOk(home, ['update', 'linear', '--protect'])).toContain('Protected Linear');
    expect((await status()).protected).toBe(true);
    const set = await keyholdJson(home, ['update', 'linear', '--no-protect']);
    expect(set).toMatchObject({ protected: false });
    await keyholdOk(home, ['update', 'linear', 'linear_api_key', '--protect'], { stdin: NEW });
    expect((await status()).protected).toBe(true);
    await keyholdOk(home, ['delete', 'linear', '--yes']);
  });

  test('KEYHOLD_PROTECT=on protects what a person stores, and --no-protect is kept', async () => {
    const env = { KEYHOLD_PROTECT: 'on' };
    await store([], env);
    expect((await status()).protected).toBe(true);
    await store(['--no-protect'], env);
    expect((await status()).protected).toBe(false);
    await store([], env);
    expect((await status()).protected).toBe(false);
    const { code, stderr } = await keyhold(home, ['status'], { env: { KEYHOLD_PROTECT: 'yes' } });
    expect([code, stderr]).toEqual([2, expect.stringContaining('must be on or off')]);
  });
});

describe('approvals with values that wait', () => {
  const list = async () =>
    (await keyholdJson<{ approvals: readonly Approval[] }>(home, ['approvals', 'list'])).approvals;

  test('approve needs a confirmation, and shows fields, caller and origins but no value', async () => {
    await store(['--protect']);
    const id = await give();
    const { code, stderr } = await keyhold(home, ['approvals', 'approve', id]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--yes')]);
    for (const text of ['stored_values', 'linear_api_key', 'given by    mcp', 'https://api.linear.app'])
      expect(stderr).toContain(text);
    expect(stderr).not.toContain(NEW);
    expect(await list()).toMatchObject([{ id, kind: 'stored_values', fields: ['linear_api_key'] }]);
    expect(await keyholdOk(home, ['status', 'linear'])).toContain(`keyhold approvals show ${id}`);
    expect(await keyholdOk(home, ['approvals', 'list'])).toContain('Linear gets new values: linear_api_key');
  });

  test('approve stores them once, and show of it is unknown then', async () => {
    await store(['--protect']);
    const id = await give();
    expect(await keyholdOk(home, ['approvals', 'show', id])).toContain(`keyhold approvals approve ${id}`);
    expect(await keyholdOk(home, ['approvals', 'approve', id, '--yes'])).toContain('Approved: Linear');
    for (const verb of ['show', 'deny']) expect((await keyhold(home, ['approvals', verb, id])).code).toBe(5);
    expect(await status()).toMatchObject({ protected: true, pending_approval: null });
    expect(await list()).toEqual([]);
  });

  test('deny deletes them, and approve is unknown then', async () => {
    await store(['--protect']);
    const id = await give();
    expect(await keyholdJson(home, ['approvals', 'deny', id])).toMatchObject({ state: 'denied' });
    expect((await keyhold(home, ['approvals', 'approve', id, '--yes'])).code).toBe(5);
    expect((await status()).pending_approval).toBeNull();
  });

  test('approve exits with 6 if the person has changed the credential meanwhile', async () => {
    await store(['--protect']);
    const id = await give();
    await store();
    const { code, stderr } = await keyhold(home, ['approvals', 'approve', id, '--yes']);
    expect([code, stderr]).toEqual([6, expect.stringContaining('has changed since')]);
  });
});
