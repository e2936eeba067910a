/** Writes with `verify: true`: values are tested first, and stored only if the service accepts them. */
import { describe, expect, test } from 'vitest';
import { type Caller, localCaller } from '../../src/contract/caller.ts';
import { GIVEN_TEST_DELAY_MS, GIVEN_TESTS_PER_MINUTE_MAX } from '../../src/contract/limits.ts';
import { findTexts } from '../kit/canary.ts';
import { errorOf, outcomeOf } from '../kit/outcome.ts';
import { type Handler, startUpstream, type Upstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { test_engine } from '../kit/vault/database.ts';
import { sealFor } from '../kit/vault/sealed.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { withoutScopes } from '../kit/vault/tenants.ts';

const GOOD = 'ghp_good5d1f2a';
const BETTER = 'ghp_better81c7e0';
const BAD = 'ghp_badcanary77aa';
const GITHUB = { service_id: 'github', credential_type: 'bearer' } as const;
const TOKEN = { service_id: 'github', credentials: { github_token: BAD } };
const GITLAB_HOST = 'gitlab.acme.test';
const OTHER_HOST = 'other.acme.test';
/** Instead of five seconds. */
const DELAY_MS = 400;

/** Accepts two tokens, refuses others, and is out of order for the third. */
const service: Handler = ({ headers, path }, response) => {
  const sent = String(headers.authorization ?? headers['private-token']);
  const is_good = [GOOD, BETTER].some((token) => sent.includes(token));
  response.statusCode = sent.includes('down') ? 503 : is_good ? 200 : 401;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ login: 'octocat', username: 'tanuki', message: `no ${sent}`, path }));
};

interface Setup extends TestVault {
  readonly upstream: Upstream;
  readonly person: () => Caller;
}

async function open(handler: Handler = service, given_test_delay_ms = DELAY_MS): Promise<Setup> {
  const upstream = await startUpstream(['api.github.com', GITLAB_HOST, OTHER_HOST], handler);
  const home = temporaryFolder();
  const opened = await openTestVault(home, upstreamEnv(home), undefined, { given_test_delay_ms });
  return { ...opened, upstream, person: () => localCaller('cli', 'request') };
}

const store = ({ vault, caller }: Setup, credential_value: string, more = {}) =>
  vault.store(caller(), { ...GITHUB, credential_value, verify: true, ...more });
const statusOf = ({ vault, caller }: Setup, service_id = 'github') => vault.status(caller(), { service_id });
const entries = async ({ vault, person }: Setup, action: string) =>
  (await vault.listAudit(person(), { action })).entries;
const outcomes = async (setup: Setup, count: number) => {
  await expect.poll(() => entries(setup, 'use_outcome'), { timeout: 5_000 }).toHaveLength(count);
  return entries(setup, 'use_outcome');
};

describe('a write with verify that is refused before the test', () => {
  test('sends nothing for a caller without the scope of uses or of writes', async () => {
    const setup = await open();
    for (const scope of ['credentials:use', 'credentials:write'] as const) {
      const caller = withoutScopes(setup.caller(), scope);
      const error = await errorOf(
        setup.vault.store(caller, { ...GITHUB, credential_value: GOOD, verify: true }),
      );
      expect(error).toMatchObject({ code: 'FORBIDDEN', required_scope: scope });
    }
    expect(setup.upstream.requests).toEqual([]);
    expect(await statusOf(setup)).toMatchObject({ status: 'missing' });
    expect((await entries(setup, 'use'))[0]).toMatchObject({ outcome: 'denied' });
  });

  test('sends nothing for values that cannot be stored, that are incomplete, or that have no test', async () => {
    const setup = await open();
    const { vault, caller } = setup;
    const update = (service_id: string, credentials: Record<string, string>) =>
      vault.update(caller(), { service_id, credentials, verify: true });
    expect(await outcomeOf(update('github', { unknown_field: GOOD }))).toBe('INVALID_INPUT');
    const incomplete = await errorOf(update('gitlab_self_managed', { gitlab_token: GOOD }));
    expect(incomplete).toMatchObject({ code: 'INVALID_INPUT' });
    expect(incomplete.message).toContain('gitlab_host');
    const untestable = await errorOf(update('api_credential', { api_key: 'k-4bd81f20c1', host: OTHER_HOST }));
    expect(untestable).toMatchObject({ code: 'INVALID_INPUT', reason: 'not_verified' });
    expect(untestable.next).toContain('Leave verify out');
    expect(setup.upstream.requests).toEqual([]);
    expect((await vault.listCredentials(caller(), {})).credentials).toEqual([]);
  });

  test('never sends a kept secret to another host than the bound one', async () => {
    const setup = await open();
    const { vault, caller, upstream } = setup;
    const bound = { gitlab_token: GOOD, gitlab_host: GITLAB_HOST };
    await vault.update(caller(), { service_id: 'gitlab_self_managed', credentials: bound });
    const moved = {
      service_id: 'gitlab_self_managed',
      credentials: { gitlab_host: OTHER_HOST },
      verify: true,
    };
    expect(await outcomeOf(vault.update(caller(), moved))).toBe('INVALID_INPUT destination_changed');
    expect(upstream.connections()).toBe(0);
    expect(await entries(setup, 'use')).toEqual([]);
  });

  test('is refused for an inactive credential and by an API key that may no longer use credentials', async () => {
    const setup = await open();
    const { vault, caller, upstream } = setup;
    const { credential_id } = await vault.store(caller(), { ...GITHUB, credential_value: GOOD });
    const ended = { ...caller(), use_policy: { expires_at: '2020-01-01T00:00:00Z' } };
    const by_ended = vault.store(ended, { ...GITHUB, credential_value: BETTER, verify: true });
    expect(await outcomeOf(by_ended)).toBe('EXPIRED outside_policy');
    await vault.credentials.change(caller(), credential_id, { inactive: true });
    expect(await outcomeOf(store(setup, BETTER))).toBe('INACTIVE');
    expect(upstream.requests).toEqual([]);
  });

  test('refuses a sealed value that was used before, and a failed test uses none up', async () => {
    const setup = await open();
    const { vault, caller, upstream } = setup;
    const key = await vault.sealingKey(caller());
    const seal = (value: string) => sealFor(key, value, { service: 'github', field: 'github_token' });
    const [bad, good] = [await seal(BAD), await seal(GOOD)];
    expect(await outcomeOf(store(setup, bad))).toBe('INVALID_INPUT not_verified');
    expect(await outcomeOf(store(setup, bad))).toBe('INVALID_INPUT not_verified');
    expect(upstream.requests).toHaveLength(2);
    await store(setup, good);
    expect(await outcomeOf(store(setup, good))).toBe('INVALID_INPUT sealed_value_unreadable');
    expect(upstream.requests).toHaveLength(3);
  });
});

describe('a write with verify whose test fails', () => {
  test('stores nothing new, and leaves the stored credential as it was, byte for byte', async () => {
    const setup = await open();
    const { vault, caller, home } = setup;
    await vault.store(caller(), { ...GITHUB, credential_value: GOOD });
    const rows = () => test_engine.open(home).records();
    const before = await rows();
    const invalid = await errorOf(store(setup, BAD));
    expect(invalid).toMatchObject({ code: 'INVALID_INPUT', reason: 'not_verified', retry: false });
    expect(invalid.message).toContain('refused_credentials');
    const unknown = await errorOf(
      vault.update(caller(), { ...TOKEN, credentials: { github_token: 'ghp_down1' }, verify: true }),
    );
    expect(unknown).toMatchObject({ code: 'UPSTREAM', reason: 'not_verified', retry: true });
    expect(unknown.next).toContain('Without verify');
    expect(await rows()).toEqual(before);
    expect(await outcomeOf(store(setup, BAD, { name: 'second' }))).toBe('INVALID_INPUT not_verified');
    expect((await vault.listCredentials(caller(), {})).credentials).toHaveLength(1);
  });

  test('logs the use before the values are sent and the outcome after it, and no value appears anywhere', async () => {
    const used: number[] = [];
    let setup: Setup | undefined;
    setup = await open((request, response) => {
      void entries(setup as Setup, 'use').then((found) => {
        used.push(found.length);
        service(request, response);
      });
    });
    const error = await errorOf(store(setup, BAD));
    expect(used).toEqual([1]);
    expect((await entries(setup, 'use'))[0]).toMatchObject({
      outcome: 'allowed',
      credential_id: null,
      service_id: 'github',
      fields: ['github_token'],
      use: { kind: 'test', origin: 'https://api.github.com', path: '/user' },
    });
    const [outcome] = await outcomes(setup, 1);
    expect(outcome).toMatchObject({ reason: 'refused_credentials', use: { status: 401 } });
    const { vault, caller, home } = setup;
    const shown = JSON.stringify([
      error.message,
      error.next,
      await vault.listAudit(caller()),
      await statusOf(setup),
    ]);
    expect(shown).not.toContain(BAD);
    const files = await test_engine.open(home).bytesAtRest();
    expect(findTexts([BAD], files)).toEqual([]);
  });

  test('fails with CONFLICT, and stores nothing, if the credential is changed during the test', async () => {
    let setup: Setup | undefined;
    setup = await open(async (request, response) => {
      const { vault, caller } = setup as Setup;
      await vault.store(caller(), { ...GITHUB, credential_value: 'ghp_concurrent' });
      service(request, response);
    });
    const { vault, caller } = setup;
    expect(await outcomeOf(store(setup, GOOD))).toBe('CONFLICT');
    const { credential_id, last_test } = await statusOf(setup);
    expect(last_test).toBeNull();
    const revealing = { ...caller(), scopes: new Set([...caller().scopes, 'values:reveal'] as const) };
    const values = await vault.credentials.reveal(revealing, String(credential_id));
    expect(values.get('github_token')?.reveal()).toBe('ghp_concurrent');
  });
});

describe('a write with verify whose test succeeds', () => {
  test('stores the value with the result of its test, which the status then shows', async () => {
    const setup = await open();
    const stored = await store(setup, GOOD);
    const passed = { result: 'valid', reason: 'accepted', account: 'octocat' };
    expect(stored).toMatchObject({ status: 'stored', test: passed });
    expect(await statusOf(setup)).toMatchObject({ status: 'active', last_test: passed });
    expect(setup.upstream.requests).toHaveLength(1);
    const [outcome] = await outcomes(setup, 1);
    expect(outcome).toMatchObject({ reason: 'accepted', use: { kind: 'test', status: 200 } });
    expect(JSON.stringify(await setup.vault.listAudit(setup.caller()))).not.toContain(GOOD);
  });

  test('tests an update with the values that it keeps, at the bound host, and clears a rejection', async () => {
    const setup = await open();
    const { vault, caller, tests, upstream } = setup;
    const service_id = 'gitlab_self_managed';
    await vault.update(caller(), {
      service_id,
      credentials: { gitlab_token: BAD, gitlab_host: GITLAB_HOST },
    });
    await tests.test(caller(), { service_id });
    expect(await statusOf(setup, service_id)).toMatchObject({ status: 'rejected' });
    const updated = await vault.update(caller(), {
      service_id,
      credentials: { gitlab_token: GOOD },
      verify: true,
    });
    expect(updated).toMatchObject({
      status: 'active',
      test: { result: 'valid', account: 'tanuki' },
      last_test: { result: 'valid' },
    });
    expect(upstream.requests.at(-1)?.headers.host).toBe(GITLAB_HOST);
  });

  test('keeps values for a protected credential for a person, after their test', async () => {
    const setup = await open();
    const { vault, caller, person, upstream } = setup;
    await vault.store(person(), { ...GITHUB, credential_value: GOOD }, { protect: true });
    expect(await outcomeOf(store(setup, BAD))).toBe('INVALID_INPUT not_verified');
    expect(await statusOf(setup)).toMatchObject({ pending_approval: null });
    expect(await store(setup, BETTER)).toMatchObject({
      status: 'pending_approval',
      test: { result: 'valid' },
    });
    expect(upstream.requests).toHaveLength(2);
    const refused = vault.store(
      caller(),
      { ...GITHUB, credential_value: BETTER, verify: true },
      { refuse_protected: true },
    );
    expect(await outcomeOf(refused)).toBe('FORBIDDEN credential_protected');
    expect(upstream.requests).toHaveLength(2);
    expect(await statusOf(setup)).toMatchObject({ last_test: null });
  });
});

describe('a write with verify that names its own server', () => {
  const named = (gitlab_host: string, gitlab_token = GOOD) => ({
    service_id: 'gitlab_self_managed',
    credentials: { gitlab_host, gitlab_token },
    verify: true,
  });

  test('hides from all but the local command line why the server cannot be reached', async () => {
    const { vault, caller, person } = await open();
    const started = performance.now();
    const hidden = await errorOf(vault.update(caller(), named('missing.acme.test')));
    expect(hidden.message).toContain('(unreachable)');
    expect(performance.now() - started).toBeGreaterThanOrEqual(DELAY_MS - 1);
    const shown = await errorOf(vault.update(person(), named('missing.acme.test')));
    expect(shown.message).toContain('(unknown_host)');
  });

  test(`is limited to ${GIVEN_TESTS_PER_MINUTE_MAX} tests a minute`, async () => {
    const { vault, caller, upstream } = await open(service, GIVEN_TEST_DELAY_MS);
    for (let count = 0; count < GIVEN_TESTS_PER_MINUTE_MAX; count++)
      expect(await outcomeOf(vault.update(caller(), named(GITLAB_HOST, BAD)))).toBe(
        'INVALID_INPUT not_verified',
      );
    expect(await outcomeOf(vault.update(caller(), named(GITLAB_HOST)))).toBe('RATE_LIMITED');
    expect(upstream.requests).toHaveLength(GIVEN_TESTS_PER_MINUTE_MAX);
  });
});
