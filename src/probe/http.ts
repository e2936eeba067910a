/** Tests a credential with the request of its definition, and reads the result from the status and the JSON of the response. */
import { TEST_TIMEOUT_MS } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import type { ResponseMatch, TestRequest } from '../contract/service/authentication.ts';
import type { Egress } from '../egress/egress.ts';
import type { PatternSet } from '../egress/redaction/pattern_set.ts';
import { authenticationOf } from '../services/authentication.ts';
import { authenticate } from '../use/call/request/authentication.ts';
import { type PreparedCall, prepareCall } from '../use/call/request/prepare.ts';
import { expand, knownValues } from '../use/call/request/templates.ts';
import { readContent } from '../use/call/response/content.ts';
import { valueAt } from '../use/call/response/list.ts';
import type { UsableCredential, UseRequest } from '../vault/uses/use.ts';
import type { Finding, Tested } from './probe.ts';

interface HttpTest {
  readonly values: ReadonlyMap<string, Secret>;
  readonly patterns: PatternSet;
  readonly egress: Egress;
  readonly principal: string;
}

/** The test for the policy and the audit log, without values that are opened for it. */
export function httpUse(credential: UsableCredential): UseRequest {
  const known = knownValues(credential.service, credential.destination.fields);
  const { use } = prepareTest(credential, (template) => expand(template, known) ?? template);
  return { ...use, kind: 'test' };
}

/** The finding and the status of the response. Rejects with VaultError if no response arrives. */
export async function testRequest(
  credential: UsableCredential,
  { values, patterns, egress, principal }: HttpTest,
): Promise<Tested> {
  const { placement, request, use, test } = prepareTest(
    credential,
    (template) => expand(template, values) ?? template,
  );
  const target = await egress.resolve(use.origin, principal);
  const { sent } = await authenticate(placement, values, request);
  const { method } = request;
  const headers = { ...sent.headers, 'accept-encoding': 'gzip, br, deflate' };
  const response = await egress.request(target, { ...sent, method, headers, timeout_ms: TEST_TIMEOUT_MS });
  const { status } = response;
  const { content } = await readContent(response, patterns);
  const json = content.kind === 'json' ? content.json : undefined;
  return { finding: judge(test, status, json), status };
}

function prepareTest(
  credential: UsableCredential,
  fill: (template: string) => string,
): PreparedCall & { readonly test: TestRequest } {
  const { service, destination } = credential;
  const { test } = authenticationOf(service, destination.mode);
  if (test === undefined) throw new Error('no test request');
  const headers = Object.entries(test.headers ?? {}).map(([name, text]) => [name, fill(text)] as const);
  const prepared = prepareCall(credential, {
    service_id: service.slug,
    method: test.method,
    path: fill(test.path),
    headers: Object.fromEntries(headers),
    ...(test.body === undefined ? {} : { body: fill(test.body) }),
  });
  return { ...prepared, test };
}

function judge({ accept, reject, identity }: TestRequest, status: number, json: unknown): Finding {
  const checked = ['the test request of the service'];
  if (accept.some((match) => matches(match, status, json))) {
    const names = [identity?.name, identity?.id].map((pointer) => pointer && valueAt(json, pointer));
    const account = names.find((value) => typeof value === 'string' || typeof value === 'number');
    return { reason: 'accepted', checked, account: account === undefined ? undefined : String(account) };
  }
  if (reject.some((match) => matches(match, status, json))) return { reason: 'refused_credentials', checked };
  if (status === 429) return { reason: 'rate_limited', checked };
  if (status >= 500) return { reason: 'service_failed', checked };
  return { reason: 'unexpected_response', checked, detail: `The status of the response is ${status}.` };
}

function matches(
  { status: statuses, json: conditions = [] }: ResponseMatch,
  status: number,
  json: unknown,
): boolean {
  return (
    statuses.includes(status) &&
    conditions.every(({ pointer, equals, prefix, exists }) => {
      const value = valueAt(json, pointer);
      if (equals !== undefined) return value === equals;
      if (prefix !== undefined) return typeof value === 'string' && value.startsWith(prefix);
      return (value !== undefined && value !== null) === exists;
    })
  );
}
