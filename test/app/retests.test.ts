/** Scheduled tests of credentials: which are due, as whom they are tested, and what they change. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { retestOnSchedule } from '../../src/app/background/retests.ts';
import type { Caller } from '../../src/contract/caller.ts';
import { CredentialTests } from '../../src/probe/credential_tests.ts';
import { ValueProducer } from '../../src/use/values/value_producer.ts';
import { ReferenceList } from '../../src/vault/values/reference_list.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { respond, respondJson } from '../kit/upstream/handlers.ts';
import { type Handler, openUpstreamEgress, startUpstream } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { Clock, openTenants, type Tenants } from '../kit/vault/tenants.ts';
import { BEARER, definitionOf, HOST } from '../use/call/call_kit.ts';

const HOUR_MS = 3_600_000;
const TEST = { method: 'GET', path: '/me', accept: [{ status: [200] }], reject: [{ status: [401] }] };
const VALUE = { service_id: 'acme', credentials: { token: 'tok_0123456789abcdef' } };

async function open(handler: Handler) {
  const upstream = await startUpstream([HOST], handler);
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definitionOf(BEARER, { test: TEST })));
  const clock = new Clock();
  return { upstream, clock, home, tenants: await openTenants(home, clock) };
}

function testsOf({ vault, clock }: Tenants): CredentialTests {
  const references = { list: ReferenceList.NONE, env: {} };
  const now = () => clock.now();
  const values = new ValueProducer({ references, env: {}, now });
  return new CredentialTests({ vault, egress: openUpstreamEgress(), values, now });
}

/** Runs scheduled tests until a run has tested `count` credentials, with an interval in real time. */
async function runUntil(tenants: Tenants, count: number, interval_ms = 50): Promise<Record<string, number>> {
  const stopping = new AbortController();
  const runs: Record<string, number>[] = [];
  const ignore = () => undefined;
  const log = {
    debug: ignore,
    info: (counts: object) => void runs.push(counts as Record<string, number>),
    warn: ignore,
    error: ignore,
  };
  let results = 0;
  const ended = retestOnSchedule({
    vault: tenants.vault,
    tests: testsOf(tenants),
    log,
    operator: () => tenants.operator(),
    interval_ms,
    spacing_ms: 1,
    onResult: () => {
      results += 1;
    },
    signal: stopping.signal,
  });
  await vi.waitFor(() => expect(results).toBeGreaterThanOrEqual(count), { timeout: 10_000 });
  await vi.waitFor(
    () =>
      expect(runs.some(({ valid = 0, invalid = 0, unknown = 0 }) => valid + invalid + unknown > 0)).toBe(
        true,
      ),
    { timeout: 20_000 },
  );
  stopping.abort();
  await ended;
  return runs.find(({ valid = 0, invalid = 0, unknown = 0 }) => valid + invalid + unknown > 0) ?? {};
}

describe('credentials that are due for a scheduled test', () => {
  const dueOf = async (tenants: Tenants, caller: Caller = tenants.operator(), organization = 'local') => {
    const found: string[] = [];
    for await (const { ref, is_due } of tenants.vault.due_tests.list(caller, organization, HOUR_MS))
      if (is_due) found.push(`${ref.user}/${ref.stack}/${ref.name}`);
    return found;
  };

  test('only the operator lists the credentials of an organization', async () => {
    const { tenants } = await open(respondJson({ login: 'ann' }));
    const admin = await tenants.admin('acme');
    await expect(dueOf(tenants, admin, 'local')).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  test('a credential that was never tested is due after one to two intervals, and not before', async () => {
    const { tenants, clock } = await open(respondJson({ login: 'ann' }));
    await tenants.vault.update(tenants.operator(), VALUE);
    clock.advance(HOUR_MS - 1);
    expect(await dueOf(tenants)).toEqual([]);
    clock.advance(HOUR_MS + 1);
    expect(await dueOf(tenants)).toEqual(['me/default/null']);
  });

  test('a tested credential is due one interval later, also if the clock was set back far', async () => {
    const { tenants, clock } = await open(respondJson({ login: 'ann' }));
    await tenants.vault.update(tenants.operator(), VALUE);
    clock.advance(10 * HOUR_MS);
    await testsOf(tenants).test(tenants.operator(), { service_id: 'acme' });
    expect(await dueOf(tenants)).toEqual([]);
    clock.advance(HOUR_MS);
    expect(await dueOf(tenants)).toEqual(['me/default/null']);
    clock.advance(-HOUR_MS - 1);
    expect(await dueOf(tenants)).toEqual([]);
    clock.advance(-5 * HOUR_MS);
    expect(await dueOf(tenants)).toEqual(['me/default/null']);
  });

  test('inactive and rejected credentials, and those without a test, are never due', async () => {
    const { tenants, clock } = await open(respond(401));
    const operator = tenants.operator();
    await tenants.vault.update(operator, VALUE);
    await tenants.vault.update(operator, { ...VALUE, name: 'off' });
    const off = (await tenants.vault.credentials.list(operator)).find(({ name }) => name === 'off');
    await tenants.vault.credentials.change(operator, off?.id ?? '', { inactive: true });
    await testsOf(tenants).test(operator, { service_id: 'acme' });
    expect((await tenants.vault.status(operator, { service_id: 'acme' })).status).toBe('rejected');
    clock.advance(10 * HOUR_MS);
    expect(await dueOf(tenants)).toEqual([]);
  });

  test('a user without a record, such as that of an access token, is found by the audit log', async () => {
    const { tenants, clock } = await open(respondJson({ login: 'ann' }));
    const token_user: Caller = { ...(await tenants.user('acme', 'ann')), user: 'oauth:7', edge: 'rest' };
    await tenants.vault.update({ ...token_user, api_key_id: undefined }, { ...VALUE, stack_id: 'team' });
    clock.advance(2 * HOUR_MS);
    expect(await dueOf(tenants, tenants.operator(), 'acme')).toEqual(['oauth:7/team/null']);
  });

  test('250 credentials of one stack are listed page by page', async () => {
    const { tenants, clock } = await open(respondJson({ login: 'ann' }));
    for (let at = 0; at < 250; at++)
      await tenants.vault.update(tenants.operator(), { ...VALUE, name: `${at}` });
    clock.advance(2 * HOUR_MS);
    expect(new Set(await dueOf(tenants)).size).toBe(250);
  });
});

describe('scheduled tests', () => {
  test('every user is tested in its own organization, and the log names the interface schedule', async () => {
    const { tenants, clock, upstream } = await open(respondJson({ login: 'ann' }));
    const ann = await tenants.user('acme', 'ann');
    await tenants.vault.update(ann, VALUE);
    await tenants.vault.update(tenants.operator(), VALUE);
    clock.advance(1_000);
    expect(await runUntil(tenants, 2)).toMatchObject({ valid: 2, invalid: 0, expired: 0 });
    expect(upstream.requests.length).toBe(2);
    const status = await tenants.vault.status(ann, { service_id: 'acme' });
    expect(status).toMatchObject({ status: 'active', last_used_at: null, last_test: { result: 'valid' } });
    const { entries } = await tenants.vault.listAudit(await tenants.admin('acme'), { action: 'use' });
    expect(entries).toMatchObject([{ user: 'ann', edge: 'schedule', api_key_id: null }]);
  });

  test('a refused credential becomes rejected, and is tested only once', async () => {
    const { tenants, clock, upstream } = await open(respond(401));
    await tenants.vault.update(tenants.operator(), VALUE);
    clock.advance(1_000);
    expect(await runUntil(tenants, 1)).toMatchObject({ invalid: 1 });
    expect((await tenants.vault.status(tenants.operator(), { service_id: 'acme' })).status).toBe('rejected');
    clock.advance(1_000);
    expect(upstream.requests.length).toBe(1);
  });

  test('a credential of a failing service is tested once an interval', async () => {
    const { tenants, clock, upstream } = await open(respond(503));
    await tenants.vault.update(tenants.operator(), VALUE);
    clock.advance(1_000);
    expect(await runUntil(tenants, 1)).toMatchObject({ unknown: 1 });
    expect(upstream.requests.length).toBe(1);
  });

  test('two servers on one vault test each credential once', async () => {
    const { tenants, clock, upstream, home } = await open(respondJson({ login: 'ann' }));
    for (let at = 0; at < 20; at++)
      await tenants.vault.update(tenants.operator(), { ...VALUE, name: `${at}` });
    clock.advance(1_000);
    const other = await openTenants(home, clock);
    const stopping = new AbortController();
    const ignore = () => undefined;
    const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    const ended = [tenants, other].map((one) =>
      retestOnSchedule({
        vault: one.vault,
        tests: testsOf(one),
        log,
        operator: () => one.operator(),
        interval_ms: 50,
        // Longer than a test on a loaded machine.
        spacing_ms: 250,
        signal: stopping.signal,
      }),
    );
    await vi.waitFor(() => expect(upstream.requests.length).toBeGreaterThanOrEqual(20), { timeout: 30_000 });
    stopping.abort();
    await Promise.all(ended);
    // Two that check at the same time may both test one.
    expect(upstream.requests.length).toBeLessThan(35);
  });
});

describe('KEYHOLD_RETEST of the built program', () => {
  test('serve logs the interval, and stops at once', async () => {
    const server = await startServeProcess({ env: { KEYHOLD_RETEST: '90m' } });
    await vi.waitFor(() => expect(server.stderr()).toContain('credentials are tested on schedule'), {
      timeout: 20_000,
    });
    expect(server.stderr()).toContain('"hours":1.5');
    expect(await server.end()).toEqual({ code: 0, signal: null });
  });

  test.each(['0h', '59m', '31d', '24', '1.5h', '-1h', 'on'])('serve does not start with %s', async (text) => {
    const starting = startServeProcess({ env: { KEYHOLD_RETEST: text } });
    await expect(starting).rejects.toThrow(/KEYHOLD_RETEST must be off, or a time from 1h to 30d/);
  });
});
