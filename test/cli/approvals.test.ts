/** `keyhold approvals`: requests and destinations that wait for the decision of a person. */
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compose } from '../../src/app/compose.ts';
import type { Approval } from '../../src/contract/approval.ts';
import type { Caller } from '../../src/contract/caller.ts';
import { USE_APPROVAL_AGE_MS } from '../../src/contract/limits.ts';
import type { UseRequest } from '../../src/vault/uses/use.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { errorOf } from '../kit/outcome.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const POST: UseRequest = {
  kind: 'http',
  method: 'POST',
  origin: 'https://api.linear.app',
  path: '/graphql',
  hash: 'one request',
  summary: 'POST https://api.linear.app/graphql',
  body: '{"query":"mutation"}',
  reason: 'Close the issue',
};

/** A request of a model that its policy lets a person decide on; returns the code and reason of the refusal. */
async function requestUse(now = () => new Date()) {
  const app = compose({ env: { KEYHOLD_HOME: home }, promptSecret: async () => undefined, now });
  const vault = await app.openVault('no', 'mcp');
  const model: Caller = { ...app.caller('mcp'), claimed_client: 'test-client 1.0' };
  try {
    const credential = await vault.uses.find(model, { service_id: 'linear' });
    const { code, reason } = await errorOf(vault.uses.authorize(model, credential, POST));
    return [code, reason];
  } finally {
    await vault.close();
  }
}

async function storeWithApproval(): Promise<void> {
  await keyholdOk(home, ['store', 'linear'], { stdin: 'lin_api_abc123def456789' });
  const app = compose({
    env: { KEYHOLD_HOME: home },
    promptSecret: async () => undefined,
    now: () => new Date(),
  });
  const vault = await app.openVault('no', 'cli');
  await vault.use_policies.set(app.caller('cli'), {
    service_id: 'linear',
    use_policy: { approve: 'always' },
  });
  await vault.close();
}

const list = async () =>
  (await keyholdJson<{ approvals: readonly Approval[] }>(home, ['approvals', 'list'])).approvals;
const firstId = async () => (await list())[0]?.id ?? '';

describe('approvals without one', () => {
  test('list reports that nothing waits, and prints an empty list as JSON', async () => {
    await keyholdOk(home, ['init']);
    expect(await keyholdOk(home, ['approvals', 'list'])).toBe('Nothing waits for a decision.\n');
    expect(await list()).toEqual([]);
  });

  test.each(['show', 'approve', 'deny'])('%s exits with 5 for an unknown id', async (verb) => {
    await keyholdOk(home, ['init']);
    const yes = verb === 'approve' ? ['--yes'] : [];
    const argv = ['approvals', verb, '01a2b3c4-5d6e-7f80-9a1b-2c3d4e5f6071', ...yes];
    const { code, stderr } = await keyhold(home, argv);
    expect(code).toBe(5);
    expect(stderr).toContain('keyhold approvals list');
  });
});

describe('approvals of requests', () => {
  test('list and show print the method, URL, client, reason and body of the request', async () => {
    await storeWithApproval();
    expect(await requestUse()).toEqual(['FORBIDDEN', 'approval_required']);
    expect(await keyholdOk(home, ['approvals', 'list'])).toMatch(
      /request +me .*POST https:\/\/api\.linear\.app\/graphql/,
    );
    const shown = await keyholdOk(home, ['approvals', 'show', await firstId()]);
    for (const part of [POST.summary, 'mcp, client test-client 1.0', 'Close the issue', POST.body ?? ''])
      expect(shown).toContain(part);
    expect(shown).toContain(`Next: keyhold approvals approve ${await firstId()}`);
    expect(await keyholdOk(home, ['__complete', '--', 'approvals', 'show', ''])).toBe(`${await firstId()}\n`);
  });

  test('approve without a terminal requires --yes; a second approve exits with 6', async () => {
    await storeWithApproval();
    await requestUse();
    const id = await firstId();
    const { code, stderr } = await keyhold(home, ['approvals', 'approve', id]);
    expect(code).toBe(2);
    expect(stderr).toContain('--yes');
    const approved = await keyholdJson<Approval>(home, ['approvals', 'approve', id, '--yes']);
    expect(approved).toMatchObject({ id, kind: 'request', state: 'approved' });
    expect(await list()).toEqual([]);
    expect((await keyhold(home, ['approvals', 'approve', id, '--yes'])).code).toBe(6);
    expect(await keyholdOk(home, ['approvals', 'show', id])).toContain('state       approved');
  });

  test('approve prints that the caller must repeat the request', async () => {
    await storeWithApproval();
    await requestUse();
    const printed = await keyholdOk(home, ['approvals', 'approve', await firstId(), '--yes']);
    expect(printed).toContain(`Approved: ${POST.summary}\nNext: let the caller repeat the same request`);
  });

  test('list and show suggest the next command for the same organization', async () => {
    await storeWithApproval();
    await requestUse();
    const id = await firstId();
    expect(await keyholdOk(home, ['approvals', 'list', '--org', 'local'])).toContain(
      'Next: keyhold approvals show ID --org local',
    );
    expect(await keyholdOk(home, ['approvals', 'show', id, '--org', 'local'])).toContain(
      `Next: keyhold approvals approve ${id} --org local`,
    );
  });

  test('deny refuses the request of the caller', async () => {
    await storeWithApproval();
    await requestUse();
    expect(await keyholdOk(home, ['approvals', 'deny', await firstId()])).toBe('Denied.\n');
    expect(await requestUse()).toEqual(['FORBIDDEN', 'approval_denied']);
  });

  test('an expired request is not listed, and approve exits with 5', async () => {
    await storeWithApproval();
    const now = () => new Date(Date.now() - USE_APPROVAL_AGE_MS - 3_000);
    await requestUse(now);
    const app = compose({ env: { KEYHOLD_HOME: home }, promptSecret: async () => undefined, now });
    const vault = await app.openVault('no', 'cli');
    const [{ id } = { id: '' }] = await vault.approvals.list(app.caller('cli'));
    await vault.close();
    expect(id).not.toBe('');
    expect(await list()).toEqual([]);
    expect((await keyhold(home, ['approvals', 'approve', id, '--yes'])).code).toBe(5);
  });
});

test('approvals show the hosts that a changed definition adds, and approve binds them', async () => {
  await keyholdOk(home, ['init']);
  const folder = path.join(home, 'services');
  fs.mkdirSync(folder, { recursive: true });
  const define = async (hosts: readonly string[]) => {
    fs.writeFileSync(path.join(folder, 'intranet.json'), JSON.stringify({ ...INTRANET, hosts }));
    await keyholdOk(home, ['services', 'approve', 'intranet', '--yes']);
  };
  await define(['intranet.example.com']);
  await keyholdOk(home, ['store', 'intranet'], { stdin: 'tok-0123456789' });
  await define(['intranet.example.com', 'b.example.com']);
  const id = await firstId();
  expect(await keyholdOk(home, ['status', 'intranet'])).toContain(`Next: keyhold approvals show ${id}`);
  const shown = await keyholdOk(home, ['approvals', 'show', id]);
  expect(shown).toMatch(/bound to +https:\/\/intranet\.example\.com\n/);
  expect(shown).toMatch(/would be +https:\/\/b\.example\.com, https:\/\/intranet\.example\.com/);
  expect((await keyhold(home, ['approvals', 'deny', id])).code).toBe(2);
  await keyholdOk(home, ['approvals', 'approve', id, '--yes']);
  expect(await list()).toEqual([]);
  expect(await keyholdOk(home, ['status', 'intranet'])).toContain(': active');
});

test('approve approves nothing if the hosts change while the person reads', async () => {
  await keyholdOk(home, ['init']);
  const folder = path.join(home, 'services');
  fs.mkdirSync(folder, { recursive: true });
  const define = (hosts: readonly string[]) =>
    fs.writeFileSync(path.join(folder, 'intranet.json'), JSON.stringify({ ...INTRANET, hosts }));
  const approveDefinition = () => keyholdOk(home, ['services', 'approve', 'intranet', '--yes']);
  define(['intranet.example.com']);
  await approveDefinition();
  await keyholdOk(home, ['store', 'intranet'], { stdin: 'tok-0123456789' });
  define(['intranet.example.com', 'b.example.com']);
  await approveDefinition();
  const id = await firstId();
  let opened = 0;
  const { code, stderr } = await keyhold(home, ['approvals', 'approve', id], {
    terminal: true,
    typed: [[/Approve\?/, 'y']],
    change: (app) => ({
      ...app,
      withVault: async (create, act, promptPassphrase) => {
        opened += 1;
        if (opened === 2) {
          define(['intranet.example.com', 'evil.example.com']);
          await approveDefinition();
        }
        return app.withVault(create, act, promptPassphrase);
      },
    }),
  });
  expect(stderr).toContain('https://b.example.com');
  expect([code, stderr]).toEqual([6, expect.stringContaining('changed since it was shown')]);
  expect((await list())[0]?.state).toBe('pending');
});
