/** Calls that a person approves: what the person sees, one execution, and the stored response for the same call. */
import { describe, expect, test } from 'vitest';
import type { CallInput } from '../../../src/contract/use/call.ts';
import type { UsePolicy } from '../../../src/contract/use/policy.ts';
import { startProgram } from '../../kit/child/built_program.ts';
import { keyholdOk } from '../../kit/child/cli.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { echo, respondJson } from '../../kit/upstream/handlers.ts';
import { type Handler, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { type CallSetup, definitionOf, HOST, openCalls } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';
const POST = { method: 'POST', path: '/charges?live=1', body: { amount: 5, to: 'ann' } } as const;

const personOf = ({ caller }: CallSetup) => ({ ...caller(), edge: 'cli' as const });

async function openWithApproval(handler: Handler, use_policy: UsePolicy = { approve: 'writes' }) {
  const setup = await openCalls(handler, { token: TOKEN });
  await setup.vault.use_policies.set(personOf(setup), { service_id: 'acme', use_policy });
  return setup;
}

/** Makes a call that is refused, and returns the id of its approval. */
async function requestApproval(setup: CallSetup, input: Omit<CallInput, 'service_id'> = POST) {
  const error = await errorOf(setup.call(input));
  expect([error.code, error.reason]).toEqual(['FORBIDDEN', 'approval_required']);
  return /keyhold approvals show ([0-9a-f-]{36})/.exec(error.message)?.[1] ?? '';
}

const show = ({ home }: CallSetup, id: string) => keyholdOk(home, ['approvals', 'show', id]);

describe('a person who decides on a call sees', () => {
  test('the method, the URL with its query, the reason and the body, and no value', async () => {
    const setup = await openWithApproval(echo());
    const id = await requestApproval(setup, { ...POST, query: { to: 'b c' }, reason: 'Charge ann.' });
    expect(setup.upstream.connections()).toBe(0);
    const shown = await show(setup, id);
    expect(shown).toContain(`request: POST https://${HOST}/charges?live=1&to=b%20c\n`);
    expect(shown).toContain('  reason      Charge ann.\n');
    expect(shown).toContain('  body        {"amount":5,"to":"ann"}\n');
    expect(shown).not.toContain(TOKEN);
  });

  test('the headers that the caller gave, and of a long one the length', async () => {
    const setup = await openWithApproval(echo());
    expect(await show(setup, await requestApproval(setup))).toContain('  headers     none\n');
    const headers = { 'Stripe-Account': 'acct_eve', 'x-long': `${'a'.repeat(1_000)}the end` };
    const shown = await show(setup, await requestApproval(setup, { ...POST, headers }));
    expect(shown).toContain('  headers     Stripe-Account: acct_eve\n');
    expect(shown).toMatch(/\n {14}x-long: \(the first 200 of 1007 characters\) a{200}\n/);
    expect(shown).not.toContain('the end');
    expect(shown).not.toContain(TOKEN);
  });

  test('a long URL is cut, with its length', async () => {
    const setup = await openWithApproval(echo());
    const query = { pad: 'a'.repeat(2_000), to: 'eve' };
    const shown = await show(setup, await requestApproval(setup, { ...POST, query }));
    expect(shown).toMatch(/^request: \(the first 1000 of \d{4} characters\) POST https:/);
  });

  test('a long body is cut, with its length', async () => {
    const setup = await openWithApproval(echo());
    const body = `${'é'.repeat(50_000)}the end`;
    const shown = await show(setup, await requestApproval(setup, { ...POST, body }));
    expect(shown).toContain('(the first 1800 of 100007 bytes of text/plain; charset=utf-8) éé');
    expect(shown).not.toContain('the end');
    expect(shown.length).toBeLessThan(3_000);
  });

  test('a body in a half character at the cut is shown as text', async () => {
    const setup = await openWithApproval(echo());
    const shown = await show(setup, await requestApproval(setup, { ...POST, body: `a${'é'.repeat(2_000)}` }));
    expect(shown).toContain('(the first 1800 of 4001 bytes of text/plain; charset=utf-8) aéé');
  });

  test('a body of bytes by its length and type', async () => {
    const setup = await openWithApproval(echo());
    const body_base64 = Buffer.from([0, 255, 254]).toString('base64');
    const { method, path } = POST;
    const shown = await show(setup, await requestApproval(setup, { method, path, body_base64 }));
    expect(shown).toContain('  body        3 bytes of application/octet-stream\n');
  });

  test('a body with control characters cannot write to the terminal or imitate other lines', async () => {
    const setup = await openWithApproval(echo());
    const body = 'x\u001b[2J\n  reason      Harmless.\r\u009b';
    const shown = await show(setup, await requestApproval(setup, { ...POST, body }));
    expect(shown).toContain('  body        x?[2J?  reason      Harmless.??\n');
  });

  test('a body without the fields that the authentication adds to it', async () => {
    const injection = { in: 'body_fields', format: 'json', fields: { key: '{token}' } } as const;
    const setup = await openCalls(echo(), { token: TOKEN }, definitionOf(injection));
    await setup.vault.use_policies.set(personOf(setup), {
      service_id: 'acme',
      use_policy: { approve: 'always' },
    });
    const id = await requestApproval(setup);
    expect(await show(setup, id)).toContain('  body        {"amount":5,"to":"ann"}\n');
    await setup.vault.approvals.approve(personOf(setup), id);
    await setup.call(POST);
    expect(JSON.parse(String(setup.upstream.requests[0]?.body))).toEqual({ ...POST.body, key: TOKEN });
  });
});

describe('a call that was approved', () => {
  test('is not executed with another body, query, header, method or path', async () => {
    const setup = await openWithApproval(respondJson({ id: 1 }));
    await setup.vault.approvals.approve(personOf(setup), await requestApproval(setup));
    const others: Omit<CallInput, 'service_id'>[] = [
      { ...POST, body: { amount: 6, to: 'ann' } },
      { ...POST, body: '{"amount":5,"to":"ann"} ' },
      { ...POST, query: { to: 'eve' } },
      { ...POST, headers: { 'x-account': 'eve' } },
      { ...POST, method: 'PUT' },
      { ...POST, path: '/charges/2' },
    ];
    for (const other of others) await requestApproval(setup, other);
    expect(setup.upstream.requests).toEqual([]);
    expect(await setup.call(POST)).toMatchObject({ status: 200, body: { id: 1 } });
  });

  test('is executed once, and the same call again gets the same response', async () => {
    let count = 0;
    const setup = await openWithApproval((request, response) => {
      count += 1;
      respondJson({ count })(request, response);
    });
    await setup.vault.approvals.approve(personOf(setup), await requestApproval(setup));
    for (const result of await Promise.all([1, 2, 3].map(() => setup.call(POST))))
      expect(result).toMatchObject({ status: 200, body: { count: 1 } });
    for (let time = 0; time < 3; time++)
      expect(await setup.call(POST)).toMatchObject({ body: { count: 1 }, replayed: true });
    expect(await setup.call({ ...POST, select: 'count' })).toMatchObject({ body: 1, replayed: true });
    expect(setup.upstream.requests).toHaveLength(1);
  });

  test('does not give its response to another caller, another body or a new value', async () => {
    const setup = await openWithApproval(respondJson({ id: 1 }));
    const { vault, calls, caller } = setup;
    await vault.approvals.approve(personOf(setup), await requestApproval(setup));
    expect(await setup.call(POST)).toMatchObject({ status: 200 });
    const { key } = await vault.api_keys.create(personOf(setup), {});
    const other = await vault.api_keys.authenticate(key, 'rest', caller().request_id);
    const input = { service_id: 'acme', ...POST };
    expect(await outcomeOf(calls.call(other, input))).toBe('FORBIDDEN approval_required');
    expect(await outcomeOf(setup.call({ ...POST, body: {} }))).toBe('FORBIDDEN approval_required');
    await vault.update(caller(), { service_id: 'acme', credentials: { token: 'sk_live_other_0123456789' } });
    expect(await outcomeOf(setup.call(POST))).toBe('FORBIDDEN approval_required');
    expect(setup.upstream.requests).toHaveLength(1);
  });

  test('that fails is not sent a second time', async () => {
    const setup = await openWithApproval((_request, response) => void response.destroy());
    await setup.vault.approvals.approve(personOf(setup), await requestApproval(setup));
    expect(await outcomeOf(setup.call(POST))).toMatch(/^UPSTREAM/);
    expect(await outcomeOf(setup.call(POST))).toBe('FORBIDDEN approval_used');
    expect(setup.upstream.requests).toHaveLength(1);
  });

  test('that a person denied is never sent', async () => {
    const setup = await openWithApproval(respondJson({}));
    await setup.vault.approvals.deny(personOf(setup), await requestApproval(setup));
    for (let time = 0; time < 2; time++)
      expect(await outcomeOf(setup.call(POST))).toBe('FORBIDDEN approval_denied');
    expect(setup.upstream.connections()).toBe(0);
  });
});

test('two processes that run one approved call send it once, and the other exits with the reason', async () => {
  const setup = await openWithApproval((request, response) =>
    setTimeout(() => respondJson({ id: 1 })(request, response), 500),
  );
  const env = { ...upstreamEnv(temporaryFolder()), KEYHOLD_HOME: setup.home, KEYHOLD_LOG: 'silent' };
  const argv = ['call', 'acme', 'POST', POST.path, '--data', JSON.stringify(POST.body)];
  const run = () =>
    new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
      const child = startProgram(argv, { env });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout?.on('data', (chunk) => stdout.push(chunk));
      child.stderr?.on('data', (chunk) => stderr.push(chunk));
      child.once('close', (code) => resolve({ code, stdout: stdout.join(''), stderr: stderr.join('') }));
    });
  const [, id = ''] = /approvals show ([0-9a-f-]{36})/.exec((await run()).stderr) ?? [];
  await setup.vault.approvals.approve(personOf(setup), id);
  const [first, second, third] = (await Promise.all([run(), run(), run()])).sort(
    (a, b) => Number(a.code) - Number(b.code),
  );
  expect(first).toEqual({ code: 0, stdout: '{"id":1}', stderr: '' });
  for (const refused of [second, third]) {
    expect(refused).toMatchObject({ code: 4, stdout: '' });
    expect(refused?.stderr).toContain('This request was approved and sent already.');
  }
  expect(setup.upstream.requests).toHaveLength(1);
  const { entries } = await setup.vault.listAudit(setup.caller(), { action: 'use', outcome: 'allowed' });
  expect(entries.map(({ use }) => use?.approval_id)).toEqual([id]);
  expect((await setup.vault.verifyAudit(setup.caller())).findings).toEqual([]);
});
