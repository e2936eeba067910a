/**
 * Tests credentials: finds out whether their service accepts them. A test is a use: it needs the scope of uses, is in the
 * audit log before the values are opened, and sends them only where the credential is bound to.
 */
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import { TESTS_PER_MINUTE_MAX } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import type { ConnectionRule } from '../contract/service/connection.ts';
import { TestInput, type TestOutput, type Tests } from '../contract/use/test.ts';
import { parseInput } from '../contract/validation.ts';
import type { Egress } from '../egress/egress.ts';
import { PatternSet } from '../egress/redaction/pattern_set.ts';
import { MinuteWindows } from '../io/minute_windows.ts';
import { authenticationOf } from '../services/authentication.ts';
import { withDefaults } from '../use/call/request/templates.ts';
import type { ProducedValues, ValueProducer } from '../use/values/value_producer.ts';
import type { OpenedUse, UsableCredential, UseRequest } from '../vault/uses/use.ts';
import type { Vault } from '../vault/vault.ts';
import { connectionsOf, testConnection } from './connections.ts';
import { findingOf } from './failures.ts';
import { httpUse, testRequest } from './http.ts';
import { outputOf } from './output.ts';
import type { Finding } from './probe.ts';
import { isRefusal, resultOf } from './reasons.ts';

export interface TestDependencies {
  readonly vault: Pick<Vault, 'uses' | 'credentials'>;
  readonly egress: Egress;
  readonly values: ValueProducer;
  readonly now: () => Date;
}

/** A finding, and the facts for the audit log. */
interface Tested {
  readonly finding: Finding;
  readonly status?: number | undefined;
  readonly origin?: string | undefined;
  readonly address?: string | undefined;
}

/** The connections that a test makes with opened values. */
type Run = (values: ReadonlyMap<string, Secret>, patterns: PatternSet) => Promise<Tested>;

interface PlannedTest {
  readonly use: UseRequest;
  /** As an origin of https, for the check of its addresses; absent if only a value that is not opened yet names the host. */
  readonly server?: string | undefined;
  readonly run: Run;
}

const PRINCIPALS_MAX = 10_000;

export class CredentialTests implements Tests {
  readonly #parts: TestDependencies;
  readonly #windows = new MinuteWindows(PRINCIPALS_MAX);

  constructor(parts: TestDependencies) {
    this.#parts = parts;
  }

  async test(caller: Caller, raw: TestInput): Promise<TestOutput> {
    const input = parseInput(TestInput, raw);
    return this.#test(caller, await this.#parts.vault.uses.find(caller, input, 'test'));
  }

  async testById(caller: Caller, credential_id: string): Promise<TestOutput> {
    const found = await this.#parts.vault.credentials.get(caller, credential_id);
    if (found.user !== caller.user)
      throw new VaultError('FORBIDDEN', 'Only the user of a credential can test it.');
    const { service_id, stack_id, name } = found;
    return this.test(caller, { service_id, stack_id, ...(name === null ? {} : { name }) });
  }

  async #test(caller: Caller, credential: UsableCredential): Promise<TestOutput> {
    const started = performance.now();
    const planned = this.#plan(caller, credential);
    const tested_at = this.#parts.now().toISOString();
    if (planned === undefined)
      return outputOf(credential, { reason: 'not_testable', checked: [] }, { started, tested_at });
    this.#count(caller);
    const { tested, patterns } = await this.#use(caller, credential, planned);
    const output = outputOf(credential, tested.finding, { started, tested_at }, patterns);
    await this.#keep(caller, credential, tested.finding, output);
    return output;
  }

  /** `undefined` if the definition has no test for this credential. */
  #plan(caller: Caller, credential: UsableCredential): PlannedTest | undefined {
    const { egress } = this.#parts;
    const { service, destination, fields } = credential;
    const principal = principalOf(caller);
    const rules = connectionsOf(service, (id) => fields.includes(id));
    const [rule] = rules;
    if (rule !== undefined) {
      const run: Run = async (values) => {
        const results = [];
        for (const one of rules)
          results.push(
            await testConnection({ rule: one, values, bound: destination.fields, egress, principal }),
          );
        return worstOf(results);
      };
      const server = serverOf(credential, rule);
      const origin = server?.replace(/^https/, rule.protocol);
      return { use: { kind: 'test', origin, hash: '', summary: `test of ${service.slug}` }, server, run };
    }
    if (authenticationOf(service, destination.mode).test === undefined) return undefined;
    const use = httpUse(credential);
    const run: Run = (values, patterns) => testRequest(credential, { values, patterns, egress, principal });
    return { use, server: use.origin, run };
  }

  async #use(
    caller: Caller,
    credential: UsableCredential,
    { use, server, run }: PlannedTest,
  ): Promise<{ readonly tested: Tested; readonly patterns?: PatternSet }> {
    const { vault, values, egress } = this.#parts;
    await vault.uses.authorize(caller, credential, use);
    let address: string | undefined;
    try {
      if (server !== undefined)
        address = (await egress.resolve(server, principalOf(caller))).addresses.join(' ');
    } catch (error) {
      // Nothing was opened or sent.
      return { tested: { finding: findingOf(error) } };
    }
    const opened = await vault.uses.begin(caller, credential, use, address);
    try {
      const produced = await values.produceAll(credential.service, opened.values);
      const patterns = new PatternSet(secretsOf(credential, opened, produced));
      const tested = await run(withDefaults(credential.service, produced.values), patterns).catch(
        (error): Tested => ({ finding: findingOf(error) }),
      );
      const { finding, ...facts } = tested;
      opened.finish({ ...facts, reason: finding.reason });
      if (isRefusal(finding.reason)) produced.dropStored();
      return { tested, patterns };
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

  /** Throws RATE_LIMITED. */
  #count({ organization, user }: Caller): void {
    const key = `${organization}\0${user}`;
    const now_ms = performance.now();
    const window = this.#windows.read(key, now_ms);
    if (window !== undefined && window.count >= TESTS_PER_MINUTE_MAX) {
      const seconds = Math.max(1, Math.ceil((window.ends_ms - now_ms) / 1000));
      const message = `Only ${TESTS_PER_MINUTE_MAX} tests a minute are allowed. Try again in ${seconds} seconds.`;
      throw new VaultError('RATE_LIMITED', message, { retry_after: seconds });
    }
    this.#windows.add(key, now_ms);
  }
}

function principalOf({ organization, user }: Caller): string {
  return `${organization}/${user}`;
}

/** The bound host and port; undefined for a connection string, which is secret and comes before them. */
function serverOf(
  { service, destination, fields: stored }: UsableCredential,
  { fields }: ConnectionRule,
): string | undefined {
  if (fields.url !== undefined && stored.includes(fields.url)) return undefined;
  const boundValue = (id: string | undefined) =>
    id === undefined
      ? undefined
      : (destination.fields[id] ?? service.fields.find(({ field_id }) => field_id === id)?.default);
  const [host, port = ''] = [boundValue(fields.host), boundValue(fields.port)];
  const url = `https://${host}:${port}`;
  return host !== undefined && URL.canParse(url) ? new URL(url).origin : undefined;
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

/** Of several connections: a refusal before an uncertain result before success. */
function worstOf(results: readonly Tested[]): Tested {
  const rank = { invalid: 0, unknown: 1, valid: 2 };
  const [worst] = [...results].sort(
    (a, b) => rank[resultOf(a.finding.reason)] - rank[resultOf(b.finding.reason)],
  );
  if (worst === undefined) throw new Error('no connection');
  const checked = [...new Set(results.flatMap(({ finding }) => finding.checked))];
  return { ...worst, finding: { ...worst.finding, checked } };
}
