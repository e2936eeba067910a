/**
 * Tests credentials: finds out whether their service accepts them. A test is a use: it needs the scope of uses, is in the
 * audit log before the values are opened, and sends them only where the credential is bound to.
 */
import { type Caller, isLocalCommandLine } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { GIVEN_TEST_DELAY_MS, GIVEN_TESTS_PER_MINUTE_MAX, TESTS_PER_MINUTE_MAX } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import { GivenTestInput, TestInput, type TestOutput, type Tests } from '../contract/use/test.ts';
import type { LastTest } from '../contract/use/test_result.ts';
import { parseInput } from '../contract/validation.ts';
import { arePublic } from '../egress/address_rules.ts';
import type { Egress } from '../egress/egress.ts';
import { PatternSet } from '../egress/redaction/pattern_set.ts';
import { MinuteWindows } from '../io/minute_windows.ts';
import { withDefaults } from '../use/call/request/templates.ts';
import type { ProducedValues, ValueProducer } from '../use/values/value_producer.ts';
import type { Candidate } from '../vault/uses/candidate.ts';
import type { OpenedUse, UsableCredential } from '../vault/uses/use.ts';
import type { Vault } from '../vault/vault.ts';
import { findingOf } from './failures.ts';
import { outputOf } from './output.ts';
import type { Finding, Tested } from './probe.ts';
import { isBeforeProtocol, isRefusal, resultOf } from './reasons.ts';
import { type PlannedTest, planTest, principalOf } from './test_plan.ts';

export interface TestDependencies {
  readonly vault: Pick<Vault, 'uses' | 'credentials'>;
  readonly egress: Egress;
  readonly values: ValueProducer;
  readonly now: () => Date;
  /** Default: `GIVEN_TEST_DELAY_MS`; shorter in tests. */
  readonly given_test_delay_ms?: number | undefined;
  /** Of a test over HTTP, if less than the limit. */
  readonly timeout_ms?: number | undefined;
}

/** Opens the values of a test, after its entry is in the audit log. */
type Begin = (address: string | undefined) => Promise<OpenedUse>;

interface FinishedTest {
  readonly tested: Tested;
  /** Of the values, for texts of the server. Absent: no value was opened. */
  readonly patterns?: PatternSet;
}

const PRINCIPALS_MAX = 10_000;

export class CredentialTests implements Tests {
  readonly #parts: TestDependencies;
  readonly #stored = new MinuteWindows(PRINCIPALS_MAX);
  readonly #given = new MinuteWindows(PRINCIPALS_MAX);

  constructor(parts: TestDependencies) {
    this.#parts = parts;
  }

  async test(caller: Caller, raw: TestInput): Promise<TestOutput> {
    const input = parseInput(TestInput, raw);
    const { uses } = this.#parts.vault;
    const credential = await uses.find(caller, input, 'test');
    const started = performance.now();
    const planned = this.#plan(caller, credential);
    const times = { started, tested_at: this.#parts.now().toISOString() };
    if (planned === undefined) return outputOf(credential, { reason: 'not_testable', checked: [] }, times);
    count(this.#stored, caller, TESTS_PER_MINUTE_MAX);
    await uses.authorize(caller, credential, planned.use);
    const begin: Begin = (address) => uses.begin(caller, credential, planned.use, address);
    const { tested, patterns } = await this.#run(caller, credential, planned, begin);
    const output = outputOf(credential, tested.finding, times, patterns);
    await this.#keep(caller, credential, tested.finding, output);
    return output;
  }

  async testById(caller: Caller, credential_id: string): Promise<TestOutput> {
    const found = await this.#parts.vault.credentials.get(caller, credential_id);
    if (found.user !== caller.user)
      throw new VaultError('FORBIDDEN', 'Only the user of a credential can test it.');
    const { service_id, stack_id, name } = found;
    return this.test(caller, { service_id, stack_id, ...(name === null ? {} : { name }) });
  }

  async testGiven(caller: Caller, raw: GivenTestInput): Promise<TestOutput> {
    const input = parseInput(GivenTestInput, raw);
    return this.#testCandidate(caller, await this.#parts.vault.uses.candidates.ofValues(caller, input));
  }

  #plan(caller: Caller, credential: UsableCredential): PlannedTest | undefined {
    const { egress, timeout_ms } = this.#parts;
    return planTest(credential, { egress, principal: principalOf(caller), timeout_ms });
  }

  /** Rejects with VaultError, reason `not_verified`, unless the service accepts the values. */
  async verify(caller: Caller, candidate: Candidate): Promise<LastTest> {
    const output = await this.#testCandidate(caller, candidate);
    const { result, reason, message, account, tested_at: at } = output;
    if (result === 'valid') return { at, result, reason, message, account };
    const next =
      result === 'invalid' ? output.next : `${output.next} Or store the values without verify, untested.`;
    throw new VaultError('INVALID_INPUT', `Nothing was stored. ${message} ${next}`, {
      reason: 'not_verified',
      next,
      retry: result === 'unknown',
    });
  }

  /**
   * Before a private server has spoken its protocol, every failure looks the same and takes the same time, so that a caller cannot
   * search a network for servers. A person at the machine of the vault sees the failure as it is.
   */
  async #testCandidate(caller: Caller, candidate: Candidate): Promise<TestOutput> {
    const started = performance.now();
    const credential = asUsable(candidate);
    const planned = this.#plan(caller, credential);
    const times = { started, tested_at: this.#parts.now().toISOString() };
    if (planned === undefined) return outputOf(candidate, { reason: 'not_testable', checked: [] }, times);
    count(this.#given, caller, GIVEN_TESTS_PER_MINUTE_MAX);
    const begin: Begin = (address) => candidate.begin(planned.use, address);
    const { tested, patterns } = await this.#run(caller, credential, planned, begin).catch(
      (error): FinishedTest => {
        const is_refused_address = error instanceof VaultError && error.code === 'FORBIDDEN';
        if (isLocalCommandLine(caller) || !is_refused_address) throw error;
        return { tested: { finding: { reason: 'unreachable', checked: [] } } };
      },
    );
    const { finding, is_public = false } = tested;
    if (isLocalCommandLine(caller) || is_public || !isBeforeProtocol(finding.reason))
      return outputOf(candidate, finding, times, patterns);
    const delay_ms = this.#parts.given_test_delay_ms ?? GIVEN_TEST_DELAY_MS;
    await new Promise((resolve) => setTimeout(resolve, started + delay_ms - performance.now()));
    return outputOf(candidate, { reason: 'unreachable', checked: [] }, times);
  }

  async #run(
    caller: Caller,
    credential: UsableCredential,
    { server, run }: PlannedTest,
    begin: Begin,
  ): Promise<FinishedTest> {
    const { values, egress } = this.#parts;
    let addresses: readonly string[] | undefined;
    try {
      if (server !== undefined) ({ addresses } = await egress.resolve(server, principalOf(caller)));
    } catch (error) {
      // Nothing was opened or sent.
      return { tested: { finding: findingOf(error) } };
    }
    const opened = await begin(addresses?.join(' '));
    try {
      const produced = await values.produceAll(credential.service, opened.values);
      const patterns = new PatternSet(secretsOf(credential, opened, produced));
      const all = withDefaults(credential.service, produced.values);
      const tested = await run(all, patterns).catch((error): Tested => ({ finding: findingOf(error) }));
      const { finding, status, origin, address, is_public = addresses && arePublic(addresses) } = tested;
      opened.finish({ status, origin, address, reason: finding.reason });
      if (isRefusal(finding.reason)) produced.dropStored();
      return { tested: { ...tested, is_public }, patterns };
    } catch (error) {
      opened.finish({ reason: error instanceof VaultError ? error.message : 'the test failed' });
      throw error;
    }
  }

  async #keep(
    caller: Caller,
    credential: UsableCredential,
    finding: Finding,
    { tested_at: at, result, reason, message, account }: TestOutput,
  ): Promise<void> {
    const { host_key } = finding;
    const field_id = credential.service.connections?.find(({ fields }) => fields.host_key)?.fields.host_key;
    await this.#parts.vault.uses.findings.keepTest(caller, credential, {
      test: { at, result, reason, message, account },
      verdict: isRefusal(reason) ? 'refused' : resultOf(reason) === 'valid' ? 'accepted' : undefined,
      host_key:
        host_key === undefined || field_id === undefined ? undefined : { field_id, fingerprint: host_key },
    });
  }
}

/** Counts a test of the caller. Throws RATE_LIMITED. */
function count(windows: MinuteWindows, caller: Caller, per_minute_max: number): void {
  const key = principalOf(caller);
  const now_ms = performance.now();
  const window = windows.read(key, now_ms);
  if (window !== undefined && window.count >= per_minute_max) {
    const seconds = Math.max(1, Math.ceil((window.ends_ms - now_ms) / 1000));
    const message = `Only ${per_minute_max} tests a minute are allowed. Try again in ${seconds} seconds.`;
    throw new VaultError('RATE_LIMITED', message, { retry_after: seconds });
  }
  windows.add(key, now_ms);
}

/** A candidate for the code that builds requests. */
function asUsable({ credential_id, begin: _, ...candidate }: Candidate): UsableCredential {
  return {
    ...candidate,
    credential_id: credential_id ?? '',
    revision: 0,
    policy: undefined,
    is_rejected: false,
  };
}

/** The values that no text of the service may contain. Plain fields, such as a user name, may be shown. */
function secretsOf(
  { service }: UsableCredential,
  opened: OpenedUse,
  produced: ProducedValues,
): readonly Secret[] {
  const plain = new Set(
    service.fields.filter(({ secret }) => !secret).map(({ field_id }) => opened.values.get(field_id)),
  );
  return produced.secrets.filter((value) => !plain.has(value));
}
