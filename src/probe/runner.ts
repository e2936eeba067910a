/**
 * Plans and runs a test of one credential: its connections, or the test request of its definition. Callers authorize the test,
 * have it in the audit log before the values are opened, and log the outcome.
 */
import type { Caller } from '../contract/caller.ts';
import { TEST_TIMEOUT_MS } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import type { ConnectionRule } from '../contract/service/connection.ts';
import type { Service } from '../contract/service/service.ts';
import type { Egress } from '../egress/egress.ts';
import { PatternSet } from '../egress/redaction/pattern_set.ts';
import { withDefaults } from '../use/call/request/templates.ts';
import type { ProducedValues, ValueProducer } from '../use/values/value_producer.ts';
import type { OpenedUse, UsableCredential, UseRequest } from '../vault/uses/use.ts';
import { passwordsIn } from './connection_string.ts';
import { connectionsOf, originOfUrl, testConnection } from './connections.ts';
import { findingOf } from './failures.ts';
import { httpUse, testRequest } from './http/http.ts';
import { httpTestOf } from './http/request.ts';
import type { Tested } from './probe.ts';
import { isRefusal, resultOf } from './reasons.ts';

export interface PlannedTest {
  readonly use: UseRequest;
  /** As an origin of https, for the check of its addresses; absent if only a value that is not opened yet names the host. */
  readonly server?: string | undefined;
  /** The server that only the opened values name. */
  readonly originOf: (values: ReadonlyMap<string, Secret>) => string | undefined;
  /** Makes the connections, with opened values. */
  readonly run: (
    values: ReadonlyMap<string, Secret>,
    patterns: PatternSet,
    timeout_ms: number,
  ) => Promise<Tested>;
}

export interface TestRun {
  readonly tested: Tested;
  /** For the redaction of texts of the service. */
  readonly patterns?: PatternSet | undefined;
}

interface RunnerParts {
  readonly egress: Egress;
  readonly values: ValueProducer;
  readonly timeout_ms?: number | undefined;
}

export class TestRunner {
  readonly #egress: Egress;
  readonly #values: ValueProducer;
  readonly #timeout_ms: number;

  constructor({ egress, values, timeout_ms = TEST_TIMEOUT_MS }: RunnerParts) {
    this.#egress = egress;
    this.#values = values;
    this.#timeout_ms = timeout_ms;
  }

  /** `undefined` if the definition has no test for this credential. */
  plan(caller: Caller, credential: UsableCredential): PlannedTest | undefined {
    const { service, destination, fields } = credential;
    const shared = { egress: this.#egress, principal: principalOf(caller) };
    const rules = connectionsOf(service, (id) => fields.includes(id));
    const [rule] = rules;
    if (rule !== undefined) {
      const bound = destination.fields;
      const run: PlannedTest['run'] = async (values, _patterns, timeout_ms) => {
        const results = [];
        for (const one of rules)
          results.push(await testConnection({ rule: one, values, bound, ...shared, timeout_ms }));
        return worstOf(results);
      };
      const server = serverOf(credential, rule);
      const origin = server?.replace(/^https/, rule.protocol);
      const use = { kind: 'test', origin, hash: '', summary: `test of ${service.slug}` } as const;
      return { use, server, originOf: (values) => originOfUrl(rule, values), run };
    }
    const http_test = httpTestOf(credential);
    if (http_test === undefined) return undefined;
    const run: PlannedTest['run'] = (values, patterns, timeout_ms) =>
      testRequest(http_test, { values, patterns, ...shared, timeout_ms });
    const use = httpUse(http_test);
    return { use, server: use.origin, originOf: () => undefined, run };
  }

  /**
   * Rejects with VaultError if the test could not be made, such as without the value of a command. `timeout_ms`: of each
   * connection.
   */
  async run(
    { service }: UsableCredential,
    { run }: PlannedTest,
    opened: OpenedUse,
    timeout_ms = this.#timeout_ms,
  ): Promise<TestRun> {
    const produced = await this.#values.produceAll(service, opened.values);
    const patterns = new PatternSet(secretsOf(service, opened, produced));
    const tested = await run(withDefaults(service, produced.values), patterns, timeout_ms).catch(
      (error): Tested => ({ finding: findingOf(error) }),
    );
    if (isRefusal(tested.finding.reason)) produced.dropStored();
    return { tested, patterns };
  }
}

export function principalOf({ organization, user }: Caller): string {
  return `${organization}/${user}`;
}

/** The bound host and port; undefined for a connection string, which is secret and comes before them. */
function serverOf(
  { service, destination, fields: stored }: UsableCredential,
  { fields }: ConnectionRule,
): string | undefined {
  if (fields.url !== undefined && stored.includes(fields.url)) return undefined;
  const textOf = (id: string | undefined) =>
    id === undefined
      ? undefined
      : (destination.fields[id] ?? service.fields.find(({ field_id }) => field_id === id)?.default);
  const [host, port = ''] = [textOf(fields.host), textOf(fields.port)];
  const url = `https://${host}:${port}`;
  return host !== undefined && URL.canParse(url) ? new URL(url).origin : undefined;
}

/**
 * The values that no text of the service may contain, and the passwords in connection strings. Plain fields, such as a user name,
 * may be shown.
 */
function secretsOf(service: Service, opened: OpenedUse, produced: ProducedValues): readonly Secret[] {
  const plain = new Set(
    service.fields.filter(({ secret }) => !secret).map(({ field_id }) => opened.values.get(field_id)),
  );
  const urls = (service.connections ?? []).map(({ fields: { url } }) => url && produced.values.get(url));
  const passwords = urls.flatMap((url) => (url ? passwordsIn(url) : []));
  return [...produced.secrets.filter((value) => !plain.has(value)), ...passwords];
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
