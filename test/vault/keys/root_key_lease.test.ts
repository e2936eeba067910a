/** Unwrapped keys of a vault with a key service: how long they are used while the service is stopped or refuses. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { SCOPES } from '../../../src/contract/caller.ts';
import { RootKeyLease } from '../../../src/vault/keys/root_key_lease.ts';
import { startTransit } from '../../kit/key_services/transit.ts';
import { errorOf } from '../../kit/outcome.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const MINUTE_MS = 60_000;
const TOKEN = 'hvs.test-token-0123456789';

/** Advances `performance.now()` for the whole process. */
function startClock() {
  const realNow = performance.now.bind(performance);
  let offset_ms = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => realNow() + offset_ms);
  const advance = (ms: number) => {
    offset_ms += ms;
  };
  return { advance };
}

afterEach(() => void vi.restoreAllMocks());

describe('a lease of 10 minutes', () => {
  function startLease() {
    const state = { now_ms: 0, reads: 0, failure: undefined as Error | undefined };
    const read = async () => {
      state.reads += 1;
      if (state.failure !== undefined) throw state.failure;
    };
    return { state, lease: new RootKeyLease({ read, limit_ms: 10 * MINUTE_MS, now_ms: () => state.now_ms }) };
  }

  test('reads the root key again after 5 minutes, once for all requests', async () => {
    const { state, lease } = startLease();
    state.now_ms = 5 * MINUTE_MS - 1;
    await Promise.all([lease.checkCached(), lease.checkUncached()]);
    expect(state.reads).toBe(0);
    state.now_ms = 5 * MINUTE_MS;
    await Promise.all([lease.checkCached(), lease.checkCached(), lease.checkUncached()]);
    expect(state.reads).toBe(1);
    state.now_ms = 9 * MINUTE_MS;
    await lease.checkUncached();
    expect(state.reads).toBe(1);
  });

  test('permits cached keys until the limit if the service fails, and reads again after 5 seconds at the earliest', async () => {
    const { state, lease } = startLease();
    state.failure = new Error('refused');
    state.now_ms = 6 * MINUTE_MS;
    await lease.checkCached();
    await expect(lease.checkUncached()).rejects.toThrow('refused');
    expect(state.reads).toBe(1);
    state.now_ms = 10 * MINUTE_MS - 1;
    await lease.checkCached();
    state.now_ms = 10 * MINUTE_MS + 6_000;
    await expect(lease.checkCached()).rejects.toThrow('refused');
    await expect(lease.checkCached()).rejects.toThrow('refused');
    expect(state.reads).toBe(3);
    state.failure = undefined;
    state.now_ms += 6_000;
    await lease.checkCached();
    state.now_ms += 4 * MINUTE_MS;
    await lease.checkUncached();
    expect(state.reads).toBe(4);
  });
});

describe('a vault whose keys are cached for 10 minutes', () => {
  async function openWithTwoOrganizations() {
    const transit = await startTransit(TOKEN);
    const env = {
      KEYHOLD_ROOT_KEY: transit.setting(),
      KEYHOLD_TRANSIT_TOKEN: TOKEN,
      KEYHOLD_KEY_CACHE_MINUTES: '10',
    };
    const first = await openTestVault(undefined, env, 'yes');
    const operator = { ...first.caller(), scopes: new Set(SCOPES) };
    await first.vault.api_keys.create(operator, { organization: 'acme', user: 'ann' });
    await first.vault.close();
    const { vault, caller } = await openTestVault(first.home, env, 'no');
    const linear = { service_id: 'linear' };
    const status = () => vault.status(caller(), linear);
    const statusOfOther = () => vault.status({ ...caller(), organization: 'acme', user: 'ann' }, linear);
    return { transit, vault, caller, status, statusOfOther };
  }

  test('goes on with its cached keys while the service is stopped, and unwraps others after it starts', async () => {
    const clock = startClock();
    const { transit, status, statusOfOther } = await openWithTwoOrganizations();
    await transit.stop();
    await status();
    clock.advance(6 * MINUTE_MS);
    await status();
    const refused = errorOf(statusOfOther());
    clock.advance(31_000);
    expect(await refused).toMatchObject({ code: 'UNAVAILABLE', reason: 'kms_unreachable' });
    await status();
    await transit.start();
    clock.advance(6_000);
    await statusOfOther();
    clock.advance(4 * MINUTE_MS);
    await transit.stop();
    await status();
  });

  test('stops after the limit if the service refuses, and works again when the service permits the key', async () => {
    const clock = startClock();
    const { transit, status, statusOfOther } = await openWithTwoOrganizations();
    transit.tokens.set(TOKEN, []);
    clock.advance(6 * MINUTE_MS);
    await status();
    expect(await errorOf(statusOfOther())).toMatchObject({ code: 'LOCKED', reason: 'kms_denied' });
    clock.advance(5 * MINUTE_MS);
    expect(await errorOf(status())).toMatchObject({ code: 'LOCKED', reason: 'kms_denied' });
    transit.tokens.set(TOKEN, ['decrypt']);
    clock.advance(6_000);
    await Promise.all([status(), statusOfOther()]);
  });

  test('is not ready, and uses neither signing keys nor keys for sealed values after the limit, until the service permits the key', async () => {
    const clock = startClock();
    const { transit, vault, caller, status } = await openWithTwoOrganizations();
    const attempt = { state: 's', nonce: 'n', code_verifier: 'c', next: '/' };
    const uses = () => [vault.publicKey(caller()), vault.web_sessions.attempts.seal(attempt)];
    await Promise.all(uses());
    transit.tokens.set(TOKEN, []);
    clock.advance(6 * MINUTE_MS);
    expect(await vault.nodes.readiness()).toBe('ready');
    await Promise.all(uses());
    clock.advance(5 * MINUTE_MS);
    expect(await vault.nodes.readiness()).toBe('locked');
    for (const use of uses())
      expect(await errorOf(use)).toMatchObject({ code: 'LOCKED', reason: 'kms_denied' });
    transit.tokens.set(TOKEN, ['decrypt']);
    clock.advance(6_000);
    // No request but those of the balancer.
    await expect.poll(() => vault.nodes.readiness(), { timeout: 10_000 }).toBe('ready');
    await Promise.all([status(), ...uses()]);
  });

  test('is closed at once after the limit, while the service does not respond', async () => {
    const clock = startClock();
    const { transit, vault, caller } = await openWithTwoOrganizations();
    await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'v' });
    await transit.stop();
    clock.advance(11 * MINUTE_MS);
    const begun_ms = performance.now();
    await vault.close();
    expect(performance.now() - begun_ms).toBeLessThan(5_000);
  });
});
