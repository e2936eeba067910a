/**
 * Tests the credentials of all users again in the background, each at most once an interval. A run tests those that are due,
 * slowly, so that neither services nor requests notice it, and logs one line with counts. Two servers on one vault share
 * the work: each checks before a test whether it was made meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Caller, LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import type { Tests } from '../../contract/use/test.ts';
import type { TestResult } from '../../contract/use/test_result.ts';
import type { CredentialRef } from '../../vault/credentials/codec.ts';
import type { Vault } from '../../vault/vault.ts';
import { scheduledCaller } from './scheduled_caller.ts';

const AT_ONCE = 4;
/** Between the starts of two tests: half of the limit of a user, so that people can still test. */
const SPACING_MS = 1_000;
const RUNS_PER_INTERVAL = 10;
const FIRST_RUN_MAX_MS = 24 * 3_600_000;

export type RetestResult = TestResult | 'not_tested';

export interface RetestOptions {
  readonly vault: Pick<Vault, 'due_tests' | 'organizations'>;
  readonly tests: Pick<Tests, 'test'>;
  readonly log: Logger;
  /** Each operation gets a new caller. */
  readonly operator: () => Caller;
  readonly interval_ms: number;
  readonly spacing_ms?: number;
  readonly onResult?: (result: RetestResult) => void;
  readonly signal: AbortSignal;
}

type Counts = Record<RetestResult | 'expired' | 'expire_soon', number>;

/** Resolves when `signal` is aborted and the tests that run have ended. Never rejects. */
export async function retestOnSchedule(options: RetestOptions): Promise<void> {
  const { interval_ms, signal, log } = options;
  const wait = (ms: number) => sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  // After a restart nothing is tested at once, and two servers begin at different times.
  await wait(Math.random() * Math.min(interval_ms, FIRST_RUN_MAX_MS));
  while (!signal.aborted) {
    const began_ms = performance.now();
    const counts = await runOnce(options);
    log.info({ ...counts, ms: Math.round(performance.now() - began_ms) }, 'tested credentials on schedule');
    await wait(interval_ms / RUNS_PER_INTERVAL);
  }
}

async function runOnce(options: RetestOptions): Promise<Counts> {
  const { vault, log, operator, signal } = options;
  const counts = { valid: 0, invalid: 0, unknown: 0, not_tested: 0, expired: 0, expire_soon: 0 };
  const running = new Set<Promise<void>>();
  try {
    for (const organization of [LOCAL_ORGANIZATION, ...(await vault.organizations.names(operator()))])
      await testOrganization(options, organization, counts, running);
  } catch (error) {
    if (!signal.aborted) log.error({ failure: describeFailure(error) }, 'scheduled tests failed');
  }
  await Promise.all(running);
  return counts;
}

/** An organization that cannot be read does not keep the others from being tested. */
async function testOrganization(
  options: RetestOptions,
  organization: string,
  counts: Counts,
  running: Set<Promise<void>>,
): Promise<void> {
  const { vault, log, operator, interval_ms, spacing_ms = SPACING_MS, signal } = options;
  const { due_tests } = vault;
  try {
    for await (const { ref, is_due, expiry } of due_tests.list(operator(), organization, interval_ms)) {
      signal.throwIfAborted();
      if (expiry !== undefined) counts[expiry === 'expired' ? 'expired' : 'expire_soon'] += 1;
      if (!is_due) continue;
      if (running.size >= AT_ONCE) await Promise.race(running);
      if (!(await due_tests.isDue(operator(), organization, ref, interval_ms))) continue;
      const test = testOne(options, organization, ref, counts).finally(() => running.delete(test));
      running.add(test);
      await sleep(spacing_ms * (0.5 + Math.random()), undefined, { signal, ref: false });
    }
  } catch (error) {
    if (!signal.aborted)
      log.error({ organization, failure: describeFailure(error) }, 'scheduled tests failed');
  }
}

/** Never rejects: a credential that cannot be tested, such as after its user made too many tests, is tested by a later run. */
async function testOne(
  { tests, onResult, log }: RetestOptions,
  organization: string,
  { user, service, stack, name }: CredentialRef,
  counts: Counts,
): Promise<void> {
  const caller = scheduledCaller(organization, user);
  let result: RetestResult = 'not_tested';
  try {
    const input = { service_id: service, stack_id: stack, ...(name === null ? {} : { name }) };
    result = (await tests.test(caller, input)).result;
  } catch (error) {
    log.debug({ request_id: caller.request_id, failure: describeFailure(error) }, 'not tested on schedule');
  }
  counts[result] += 1;
  onResult?.(result);
}
