/**
 * Tests values that are not stored: before they are stored, or only to find out whether they work. A test of values that name
 * their own server must not serve as a port scanner: before a handshake of the protocol,
 * each failure has the same reason and message, after the same time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Caller, isLocalCommandLine } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { GIVEN_TEST_DELAY_MS, GIVEN_TESTS_PER_MINUTE_MAX, TESTS_PER_MINUTE_MAX } from '../contract/limits.ts';
import { GivenTestInput, type TestOutput } from '../contract/use/test.ts';
import type { TestReason } from '../contract/use/test_result.ts';
import { parseInput } from '../contract/validation.ts';
import { destinationFields } from '../services/destination.ts';
import type { Candidate, OpenedUse, TestFinding } from '../vault/uses/use.ts';
import type { TestDependencies } from './credential_tests.ts';
import { TestLimit } from './limit.ts';
import { keptFinding, outputOf } from './output.ts';
import type { Tested } from './probe.ts';
import { resultOf } from './reasons.ts';
import { type PlannedTest, type TestRun, TestRunner } from './runner.ts';

export interface ValueTestOptions extends TestDependencies {
  /** When a failure to reach a server that the values name is reported; shorter in tests. */
  readonly given_test_delay_ms?: number | undefined;
}

/** For the end of a connection before that time. */
const CLOSING_SHARE = 0.9;

/** Of the uncertain ones, those that only a server of the protocol can cause. A server of another kind may cause the others. */
const AFTER_HANDSHAKE: ReadonlySet<TestReason> = new Set([
  'host_key_changed',
  'rate_limited',
  'service_failed',
  'not_testable',
]);

export class ValueTests {
  readonly #parts: ValueTestOptions;
  readonly #runner: TestRunner;
  readonly #limit: TestLimit;
  readonly #named_server_limit: TestLimit;

  constructor(parts: ValueTestOptions) {
    this.#parts = parts;
    this.#runner = new TestRunner(parts);
    const { nodes } = parts.vault;
    this.#limit = new TestLimit(nodes, 'tests_of_values', TESTS_PER_MINUTE_MAX);
    this.#named_server_limit = new TestLimit(nodes, 'tests_at_named_servers', GIVEN_TESTS_PER_MINUTE_MAX);
  }

  /** See `Tests.testGiven`. */
  async testGiven(caller: Caller, raw: GivenTestInput): Promise<TestOutput> {
    const { service_id, credentials } = parseInput(GivenTestInput, raw);
    const candidate = await this.#parts.vault.uses.candidates.ofValues(caller, service_id, credentials);
    const { output } = await this.#test(caller, candidate, { is_named: true });
    return { ...output, credential_id: null, next: nextStepOf(output, 'test') };
  }

  /** Tests what a write would store. Rejects with the reason `not_verified` unless the service accepts it. */
  async verify(caller: Caller, candidate: Candidate): Promise<TestFinding> {
    const is_named = namesServer(candidate) && !isLocalCommandLine(caller);
    const { output, finding } = await this.#test(caller, candidate, { is_named });
    if (output.result !== 'valid') throw notVerified(output);
    return keptFinding(candidate.credential, finding, output);
  }

  async #test(caller: Caller, candidate: Candidate, { is_named }: { readonly is_named: boolean }) {
    const started = performance.now();
    const { credential } = candidate;
    const tested_at = this.#parts.now().toISOString();
    const planned = this.#runner.plan(caller, credential);
    if (planned === undefined) {
      const finding = { reason: 'not_testable', checked: [] } as const;
      return { finding, output: outputOf(credential, finding, { started, tested_at }) };
    }
    (is_named ? this.#named_server_limit : this.#limit).count(caller);
    const opened = await candidate.begin(planned.use);
    const { tested, patterns } = await this.#finish(opened, () =>
      is_named ? this.#runHiding(candidate, planned, opened) : this.#runner.run(credential, planned, opened),
    );
    const { finding } = tested;
    return { finding, output: outputOf(credential, finding, { started, tested_at }, patterns) };
  }

  /** Logs the outcome. */
  async #finish(opened: OpenedUse, run: () => Promise<TestRun>): Promise<TestRun> {
    try {
      const done = await run();
      const { finding, ...where } = done.tested;
      opened.finish({ ...where, reason: finding.reason });
      return done;
    } catch (error) {
      opened.finish({ reason: error instanceof VaultError ? error.message : 'the test failed' });
      throw error;
    }
  }

  /** Runs the test, and hides how a server could not be reached, and when. */
  async #runHiding({ credential }: Candidate, planned: PlannedTest, opened: OpenedUse): Promise<TestRun> {
    const { given_test_delay_ms = GIVEN_TEST_DELAY_MS } = this.#parts;
    const ended = new AbortController();
    const over = sleep(given_test_delay_ms, undefined, { signal: ended.signal });
    over.catch(() => undefined);
    const run = this.#runner.run(credential, planned, opened, given_test_delay_ms * CLOSING_SHARE);
    // An address that may not be used. Thrown before anything was sent.
    const refused = (error: unknown) => {
      if (error instanceof VaultError && error.code === 'FORBIDDEN') return undefined;
      throw error;
    };
    try {
      const done = await Promise.race([run.catch(refused), over]);
      if (done !== undefined && isReached(done.tested)) return done;
      await over;
    } finally {
      ended.abort();
    }
    const origin = planned.originOf(opened.values);
    return { tested: { finding: { reason: 'unreachable', checked: [] }, origin } };
  }
}

/** Whether the caller chose the server with the values of this call. */
function namesServer({ given, credential: { service } }: Candidate): boolean {
  const urls = (service.connections ?? []).map(({ fields }) => fields.url);
  const deciding = new Set<string | undefined>([...destinationFields(service), ...urls]);
  return [...given].some((field_id) => deciding.has(field_id));
}

/** An HTTP response has a status, whatever it is. */
function isReached({ finding, status }: Tested): boolean {
  const { reason } = finding;
  return status !== undefined || resultOf(reason) !== 'unknown' || AFTER_HANDSHAKE.has(reason);
}

/** `again`: what the caller does then. */
function nextStepOf({ result, reason }: TestOutput, again: 'test' | 'call'): string {
  if (result === 'valid') return 'The values are not stored. Store them to use them.';
  if (result === 'invalid') return `Correct the values, then ${again} again.`;
  if (reason === 'unreachable') return `Check host and port, then ${again} again.`;
  return `Wait, then ${again} again.`;
}

/** `unknown` may also be the fault of the network, so that its error describes how to store the values untested. */
function notVerified(output: TestOutput): VaultError {
  const { reason, result, message } = output;
  const text = `Nothing was stored. ${message} (${reason})`;
  if (reason === 'not_testable') {
    const next = 'Leave verify out to store the values without a test.';
    return new VaultError('INVALID_INPUT', text, { reason: 'not_verified', next, retry: false });
  }
  const next = nextStepOf(output, 'call');
  if (result === 'invalid')
    return new VaultError('INVALID_INPUT', text, { reason: 'not_verified', next, retry: false });
  return new VaultError('UPSTREAM', text, {
    reason: 'not_verified',
    next: `${next} Without verify, the values are stored untested.`,
    retry: true,
  });
}
