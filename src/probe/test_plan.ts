/** Decides how a credential is tested: over the connections of its definition, or with its test request. Opens no value. */
import type { Caller } from '../contract/caller.ts';
import { TEST_TIMEOUT_MS } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import type { ConnectionRule } from '../contract/service/connection.ts';
import type { Egress } from '../egress/egress.ts';
import type { PatternSet } from '../egress/redaction/pattern_set.ts';
import type { UsableCredential, UseRequest } from '../vault/uses/use.ts';
import { connectionsOf, testConnection } from './connections.ts';
import { httpUse, testRequest } from './http/http.ts';
import { httpTestOf } from './http/request.ts';
import type { Tested } from './probe.ts';
import { resultOf } from './reasons.ts';

export interface PlannedTest {
  readonly use: UseRequest;
  /** As an origin of https, for the check of its addresses; absent if only a value that is not opened yet names the host. */
  readonly server?: string | undefined;
  /** Makes the connections of the test with opened values. */
  readonly run: (values: ReadonlyMap<string, Secret>, patterns: PatternSet) => Promise<Tested>;
}

interface PlanOptions {
  readonly egress: Egress;
  readonly principal: string;
  /** Of a test over HTTP. */
  readonly timeout_ms?: number | undefined;
}

/** Undefined if the definition has no test for this credential. */
export function planTest(
  credential: UsableCredential,
  { egress, principal, timeout_ms = TEST_TIMEOUT_MS }: PlanOptions,
): PlannedTest | undefined {
  const { service, destination, fields } = credential;
  const rules = connectionsOf(service, (id) => fields.includes(id));
  const [rule] = rules;
  if (rule !== undefined) {
    const server = serverOf(credential, rule);
    const origin = server?.replace(/^https/, rule.protocol);
    return {
      use: { kind: 'test', origin, hash: '', summary: `test of ${service.slug}` },
      server,
      run: async (values) => {
        const results: Tested[] = [];
        for (const one of rules) {
          const test = { rule: one, values, bound: destination.fields, egress, principal };
          results.push(await testConnection(test));
        }
        return worstOf(results);
      },
    };
  }
  const http_test = httpTestOf(credential);
  if (http_test === undefined) return undefined;
  const use = httpUse(http_test);
  return {
    use,
    server: use.origin,
    run: (values, patterns) => testRequest(http_test, { values, patterns, egress, principal, timeout_ms }),
  };
}

/** Whose share of the limits of connections a test counts against. */
export function principalOf({ organization, user }: Caller): string {
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
