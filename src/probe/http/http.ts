/** Tests a credential with a request over HTTP, and reads the result from the response. Redirects are not followed. */
import { TEST_RESPONSE_MAX_BYTES } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import type { Egress, EgressResponse } from '../../egress/egress.ts';
import type { PatternSet } from '../../egress/redaction/pattern_set.ts';
import { authenticate } from '../../use/call/request/authentication.ts';
import { knownValues } from '../../use/call/request/templates.ts';
import { type Content, headerOf, readContent } from '../../use/call/response/content.ts';
import type { UseRequest } from '../../vault/uses/use.ts';
import { findingOf } from '../failures.ts';
import type { Finding, Tested } from '../probe.ts';
import { type HttpTest, prepareTest } from './request.ts';
import { judge } from './response.ts';

interface RunOptions {
  readonly values: ReadonlyMap<string, Secret>;
  readonly patterns: PatternSet;
  readonly egress: Egress;
  readonly principal: string;
  /** For the whole response. */
  readonly timeout_ms: number;
}

/** The test for the policy and the audit log, without values that are opened for it. */
export function httpUse(http_test: HttpTest): UseRequest & { readonly origin: string } {
  const { service, destination } = http_test.credential;
  const { use } = prepareTest(http_test, knownValues(service, destination.fields), false);
  return { ...use, kind: 'test' };
}

/** The finding and the status of the response. Rejects with VaultError if no response arrives. */
export async function testRequest(
  http_test: HttpTest,
  { values, patterns, egress, principal, timeout_ms }: RunOptions,
): Promise<Tested> {
  const { placement, request, use } = prepareTest(http_test, values, true);
  const target = await egress.resolve(use.origin, principal);
  const { sent } = await authenticate(placement, values, request);
  const { method } = request;
  const headers = { ...sent.headers, 'accept-encoding': 'gzip, br, deflate' };
  const response = await egress.request(target, { ...sent, method, headers, timeout_ms });
  const finding = await readFinding(http_test, placement.rule.in === 'signer', response, patterns);
  return { finding, status: response.status, address: target.addresses.join(' ') };
}

async function readFinding(
  { test }: HttpTest,
  is_signed: boolean,
  response: EgressResponse,
  patterns: PatternSet,
): Promise<Finding> {
  let content: Content;
  try {
    ({ content } = await readContent(response, patterns, TEST_RESPONSE_MAX_BYTES));
  } catch (error) {
    response.discard();
    const finding = findingOf(error, ['the test request of the service']);
    if (finding.reason !== 'unreachable') return finding;
    const detail = 'The response is too large, incomplete, or in an encoding that cannot be decoded.';
    return { ...finding, reason: 'unexpected_response', detail };
  }
  return judge(test, {
    status: response.status,
    header: (name) => headerOf(response, name),
    content,
    is_signed,
  });
}
