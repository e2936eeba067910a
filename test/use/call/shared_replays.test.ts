/** Repeated calls and stored responses at two processes of one vault: two open vaults, each with its own calls. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { localCaller } from '../../../src/contract/caller.ts';
import { KEPT_RESPONSE_MAX_BYTES } from '../../../src/contract/limits.ts';
import type { CallInput } from '../../../src/contract/use/call.ts';
import { errorOf } from '../../kit/outcome.ts';
import { respond, respondJson } from '../../kit/upstream/handlers.ts';
import type { Handler } from '../../kit/upstream/upstream.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';
import { callsOf, openCalls } from './call_kit.ts';

const TOKEN = 'sk_live_shared_0123456789';
const POST = { method: 'POST', path: '/charges', body: { amount: 5 }, idempotency_key: 'k1' } as const;

/** Two processes of one vault. `now`: the clock of the second one. */
async function openTwo(handler: Handler, now?: () => Date) {
  const first = await openCalls(handler, { token: TOKEN });
  const { vault } = await openTestVault(first.home, {}, 'no', now === undefined ? {} : { now });
  const calls = callsOf(vault);
  const call = async (input: Omit<CallInput, 'service_id'>) =>
    (await calls.call(first.caller(), { service_id: 'acme', ...input })).output;
  return { first, second: { vault, call } };
}

/** Both serve the vault, and know each other. */
async function joined(two: Awaited<ReturnType<typeof openTwo>>) {
  for (const { vault } of [two.first, two.second]) {
    await vault.nodes.join();
    onTestFinished(() => vault.nodes.leave());
  }
  await expect.poll(() => two.first.vault.nodes.hasOthers, { timeout: 10_000 }).toBe(true);
  return two;
}

const slow =
  (ms: number, handler: Handler): Handler =>
  (request, response) =>
    void sleep(ms).then(() => handler(request, response));

describe('an idempotency key at two processes', () => {
  test('of another request is refused by the other process', async () => {
    const { first, second } = await openTwo(respondJson({ id: 1 }));
    await first.call(POST);
    const refused = await errorOf(second.call({ ...POST, body: { amount: 6 } }));
    expect(refused).toMatchObject({ code: 'CONFLICT' });
    expect(first.upstream.requests.length).toBe(1);
  });

  test('gives the response of the first call, with one request to the service', async () => {
    const { first, second } = await openTwo(respondJson({ id: 1 }));
    expect(await first.call(POST)).toMatchObject({ status: 200, body: { id: 1 } });
    expect(await second.call(POST)).toMatchObject({ status: 200, body: { id: 1 }, replayed: true });
    expect(first.upstream.requests.length).toBe(1);
  });

  test.each([
    ['text', respond(201, 'héllo\n', { 'content-type': 'text/plain' }), { body: 'héllo\n', status: 201 }],
    ['an empty body', respond(204, '', {}), { status: 204 }],
    [
      'bytes',
      respond(200, Buffer.from([0, 255, 1]), { 'content-type': 'application/octet-stream' }),
      { binary: { bytes: 3, content_type: 'application/octet-stream' } },
    ],
  ])('gives the same response of %s', async (_kind, handler, expected) => {
    const { first, second } = await openTwo(handler);
    const { latency_ms: _, ...sent } = await first.call(POST);
    const { latency_ms: __, replayed, ...repeated } = await second.call(POST);
    expect(sent).toMatchObject(expected);
    expect([repeated, replayed]).toEqual([sent, true]);
  });

  test('used at both at the same time sends one request, and both get its response', async () => {
    const { first, second } = await openTwo(slow(500, respondJson({ id: 1 })));
    const outputs = await Promise.all([
      ...[1, 2, 3].map(() => first.call(POST)),
      ...[1, 2, 3].map(() => second.call(POST)),
    ]);
    expect(outputs.map(({ body }) => body)).toEqual(Array(6).fill({ id: 1 }));
    expect(outputs.filter(({ replayed }) => replayed === true)).toHaveLength(5);
    expect(first.upstream.requests.length).toBe(1);
  });

  test('of a failed call, and of one with a refused credential, can be used again at the other', async () => {
    let count = 0;
    const { first, second } = await openTwo((request, response) => {
      count++;
      if (count === 1) response.destroy();
      else respondJson({ id: count }, count === 2 ? 401 : 200)(request, response);
    });
    expect(await errorOf(first.call(POST))).toMatchObject({ code: 'UPSTREAM' });
    expect(await second.call(POST)).toMatchObject({ status: 401 });
    await first.vault.update(first.caller(), { service_id: 'acme', credentials: { token: `${TOKEN}2` } });
    expect(await first.call(POST)).toMatchObject({ body: { id: 3 } });
  });

  test('of a process that was killed during its call gives CONFLICT with the advice to check at the service', async () => {
    const { first, second } = await openTwo(respondJson({ id: 1 }));
    const { uses } = first.vault;
    const caller = first.caller();
    const credential = await uses.find(caller, { service_id: 'acme' });
    const owner = JSON.stringify([caller.organization, caller.user, '', caller.edge]);
    await second.call({ ...POST, idempotency_key: 'other' });
    // The claim of a process that ends before it has a response.
    const call = { caller, credential, owner, name: 'key k1' };
    expect(await uses.kept.claim(call, 'another request', 50)).toMatchObject({ state: 'claimed' });
    await sleep(100);
    expect(await errorOf(second.call(POST))).toMatchObject({ code: 'CONFLICT' });
    expect(await uses.kept.claim(call, 'another request', 50)).toMatchObject({ state: 'unknown' });
    expect(first.upstream.requests.length).toBe(1);
  });

  test('sends again once the response has expired', async () => {
    const later = () => new Date(Date.now() + 6 * 60_000);
    const { first, second } = await openTwo(respondJson({ id: 1 }), later);
    await first.call(POST);
    expect((await second.call(POST)).replayed).toBeUndefined();
    expect(first.upstream.requests.length).toBe(2);
  });

  test('of a call with a response of more than 1 MiB is not sent again', async () => {
    const body = 'x'.repeat(KEPT_RESPONSE_MAX_BYTES + 1);
    const { first, second } = await openTwo(respond(200, body, { 'content-type': 'text/plain' }));
    expect((await first.call(POST)).status).toBe(200);
    expect(await errorOf(second.call(POST))).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('was executed'),
    });
    expect(first.upstream.requests.length).toBe(1);
  });
});

describe('the next page of a response at another node', () => {
  const LINES = Array.from({ length: 500 }, (_, at) => `line ${at} ${'z'.repeat(90)}`).join('\n');

  test('is the same as at the node that made the call, also with a selection, and only for its caller', async () => {
    const { first, second } = await joined(await openTwo(respondJson({ lines: LINES.split('\n') })));
    const { truncated } = await first.call({ path: '/lines', max_chars: 1_000 });
    const response_id = truncated?.response_id ?? '';
    expect(response_id).toMatch(/^r_/);
    const next = { response_id, offset: 10, max_chars: 2_000 };
    const [here, there] = [await first.call(next), await second.call(next)];
    expect({ ...there, latency_ms: 0 }).toEqual({ ...here, latency_ms: 0 });
    expect(await second.call({ response_id, select: 'lines[3]' })).toMatchObject({
      body: expect.stringContaining('line 3 '),
    });
    const other = { ...localCaller('rest', 'r1'), api_key_id: 'another' };
    const calls = callsOf(second.vault);
    expect(await errorOf(calls.call(other, { service_id: 'acme', response_id }))).toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(first.upstream.requests.length).toBe(1);
  });

  test('is not kept in the store by a process that is alone', async () => {
    const { first, second } = await openTwo(respond(200, LINES, { 'content-type': 'text/plain' }));
    const { truncated } = await first.call({ path: '/lines', max_chars: 1_000 });
    const response_id = truncated?.response_id ?? '';
    expect(await errorOf(second.call({ response_id, offset: 1_000 }))).toMatchObject({ code: 'NOT_FOUND' });
    expect((await first.call({ response_id, offset: 1_000 })).status).toBe(200);
  });
});

test('a call that a person approved once gives its response at the other node, without a second approval', async () => {
  const { first, second } = await joined(await openTwo(respondJson({ id: 7 })));
  const person = { ...first.caller(), edge: 'cli' as const };
  await first.vault.use_policies.set(person, { service_id: 'acme', use_policy: { approve: 'writes' } });
  const { idempotency_key: _, ...input } = POST;
  const refused = await errorOf(first.call(input));
  expect(refused).toMatchObject({ code: 'FORBIDDEN', reason: 'approval_required' });
  const [waiting] = await second.vault.approvals.list(person);
  await second.vault.approvals.approve(person, waiting?.id ?? '');
  expect(await second.call(input)).toMatchObject({ body: { id: 7 } });
  expect(await first.call(input)).toMatchObject({ body: { id: 7 }, replayed: true });
  expect(first.upstream.requests.length).toBe(1);
});
