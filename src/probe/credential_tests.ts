/**
 * Tests stored credentials: finds out whether their service accepts them. A test is a use: it needs the scope of uses, is in the
 * audit log before the values are opened, and sends them only where the credential is bound to.
 */
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { TESTS_PER_MINUTE_MAX } from '../contract/limits.ts';
import { isGeneratedStackId } from '../contract/stack.ts';
import { TestInput, type TestOutput, type Tests } from '../contract/use/test.ts';
import { parseInput } from '../contract/validation.ts';
import type { Egress } from '../egress/egress.ts';
import { type AccessTokens, withAccessToken } from '../use/access_tokens.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { UsableCredential } from '../vault/uses/use.ts';
import type { Vault } from '../vault/vault.ts';
import { findingOf } from './failures.ts';
import { TestLimit } from './limit.ts';
import { keptFinding, outputOf } from './output.ts';
import type { Finding } from './probe.ts';
import { isRefusal } from './reasons.ts';
import { principalOf, type TestRun, TestRunner } from './runner.ts';

export interface TestDependencies {
  readonly vault: Pick<Vault, 'uses' | 'credentials' | 'nodes'>;
  readonly egress: Egress;
  readonly values: ValueProducer;
  /** Absent: access tokens are tested as they are stored. */
  readonly tokens?: AccessTokens | undefined;
  readonly now: () => Date;
  /** Of each connection, if less than the limit. */
  readonly timeout_ms?: number | undefined;
}

export class CredentialTests implements Pick<Tests, 'test' | 'testById'> {
  readonly #parts: TestDependencies;
  readonly #runner: TestRunner;
  readonly #limit: TestLimit;

  constructor(parts: TestDependencies) {
    this.#parts = parts;
    this.#runner = new TestRunner(parts);
    this.#limit = new TestLimit(parts.vault.nodes, 'tests', TESTS_PER_MINUTE_MAX);
  }

  async test(caller: Caller, raw: TestInput): Promise<TestOutput> {
    const input = parseInput(TestInput, raw);
    return this.#test(caller, await this.#parts.vault.uses.find(caller, input, 'test'));
  }

  async testById(caller: Caller, credential_id: string): Promise<TestOutput> {
    const found = await this.#parts.vault.credentials.get(caller, credential_id);
    if (found.user !== caller.user && !isGeneratedStackId(found.stack_id)) throw notTheUser();
    const { service_id, stack_id, name } = found;
    const named = { service_id, stack_id, ...(name === null ? {} : { name }) };
    const usable = await this.#parts.vault.uses.find(caller, named, 'test');
    if (usable.user !== found.user) throw notTheUser();
    return this.#test(caller, usable);
  }

  async #test(caller: Caller, stored: UsableCredential): Promise<TestOutput> {
    const started = performance.now();
    const { vault, now } = this.#parts;
    const tested_at = now().toISOString();
    // A definition without a test for this credential needs no access token either.
    if (this.#runner.plan(caller, withAccessToken(stored)) === undefined)
      return outputOf(stored, { reason: 'not_testable', checked: [] }, { started, tested_at });
    this.#limit.count(caller);
    const { credential, run } = await this.#useFresh(caller, stored);
    const { finding } = run.tested;
    const output = outputOf(credential, finding, { started, tested_at }, run.patterns);
    await vault.uses.findings.keepTest(caller, credential, keptFinding(credential, finding, output));
    return output;
  }

  /** Tests with an access token that has not ended, and if it is refused with another one. */
  async #useFresh(
    caller: Caller,
    stored: UsableCredential,
  ): Promise<{ readonly credential: UsableCredential; readonly run: TestRun }> {
    const { tokens } = this.#parts;
    if (tokens === undefined || stored.token === undefined)
      return { credential: stored, run: await this.#use(caller, stored) };
    let credential = stored;
    try {
      credential = await tokens.fresh(caller, stored, 'test');
      const run = await this.#use(caller, credential);
      if (!isRefusal(run.tested.finding.reason)) return { credential, run };
      const replaced = await tokens.replace(caller, credential, 'test');
      if (replaced === undefined) return { credential, run };
      credential = replaced;
      return { credential, run: await this.#use(caller, replaced) };
    } catch (error) {
      // The provider of access tokens cannot be reached.
      return { credential, run: { tested: { finding: findingOf(error) } } };
    }
  }

  async #use(caller: Caller, credential: UsableCredential): Promise<TestRun> {
    const { vault, egress } = this.#parts;
    const { uses } = vault;
    const planned = this.#runner.plan(caller, credential);
    if (planned === undefined) return { tested: { finding: { reason: 'not_testable', checked: [] } } };
    const { use, server } = planned;
    await uses.authorize(caller, credential, use);
    let address: string | undefined;
    let unresolved: Finding | undefined;
    try {
      if (server !== undefined)
        address = (await egress.resolve(server, principalOf(caller))).addresses.join(' ');
    } catch (error) {
      unresolved = findingOf(error);
    }
    // Every test is in the audit log before its result is kept.
    const opened = await uses.begin(caller, credential, use, address);
    if (unresolved !== undefined) {
      opened.finish({ reason: unresolved.reason });
      return { tested: { finding: unresolved } };
    }
    try {
      const done = await this.#runner.run(credential, planned, opened);
      const { finding, ...facts } = done.tested;
      opened.finish({ ...facts, reason: finding.reason });
      return done;
    } catch (error) {
      opened.finish({ reason: error instanceof VaultError ? error.message : 'the test failed' });
      throw error;
    }
  }
}

function notTheUser(): VaultError {
  return new VaultError(
    'FORBIDDEN',
    'Only the user of a credential, and those who share its stack, can test it.',
  );
}
