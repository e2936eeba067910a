/**
 * Judges the response to a test request. Only the rules of the definition and codes of standards decide: those of bearer
 * tokens (RFC 6750, section 3.1), of AWS, and the status. A response of another kind than the definition expects, such as the
 * login page of a network, is never accepted.
 */
import type { ResponseMatch, TestRequest } from '../../contract/service/authentication.ts';
import type { TestReason } from '../../contract/use/test_result.ts';
import type { Content } from '../../use/call/response/content.ts';
import { valueAt } from '../../use/call/response/list.ts';
import type { Finding } from '../probe.ts';
import { awsReason } from './aws_errors.ts';

export interface TestResponse {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly content: Content;
  /** Whether the request was signed; only then codes of AWS are read. */
  readonly is_signed: boolean;
}

const CHECKED = ['the test request of the service'] as const;
const RETRY_AFTER_MAX_SECONDS = 86_400;

export function judge(test: TestRequest, response: TestResponse): Finding {
  const { status } = response;
  const checked = CHECKED;
  if (test.accept.some((match) => isAccepted(match, test, response))) {
    // A definition accepts these for a credential that the service knows, but that lacks a permission.
    const reason = status === 401 || status === 403 ? 'permission_missing' : 'accepted';
    return { reason, checked, account: accountOf(test, response) };
  }
  const by_code = reasonOfCode(response);
  if (by_code !== undefined) return { reason: by_code, checked };
  if (test.reject.some((match) => matches(match, response)))
    return { reason: 'refused_credentials', checked };
  return { checked, ...reasonOfStatus(response) };
}

function reasonOfCode(response: TestResponse): TestReason | undefined {
  if (response.is_signed) return awsReason(response);
  return response.status === 401 || response.status === 403 ? bearerReason(response) : undefined;
}

/** RFC 6750, section 3.1. The description only distinguishes between two ways in which the token is invalid. */
function bearerReason({ header }: TestResponse): TestReason | undefined {
  const challenge = /(?:^|,\s*)Bearer\s+(.{1,2000})/i.exec(header('www-authenticate') ?? '')?.[1] ?? '';
  const error = /(?:^|[,\s])error\s*=\s*"?([a-z_]{1,40})/i.exec(challenge)?.[1];
  if (error === 'insufficient_scope') return 'permission_missing';
  if (error !== 'invalid_token') return undefined;
  const description = /error_description\s*=\s*"([^"]{0,500})/i.exec(challenge)?.[1] ?? '';
  return /\bexpired?\b/i.test(description) ? 'expired' : 'refused_credentials';
}

function reasonOfStatus({ status, header }: TestResponse): Pick<Finding, 'reason' | 'detail'> {
  if (status === 429) return { reason: 'rate_limited', detail: retryDetail(header) };
  if (status >= 500) return { reason: 'service_failed', detail: retryDetail(header) };
  const detail =
    status < 300
      ? `The status of the response is ${status}, but its content is not what the service returns.`
      : status < 400
        ? `The service redirects the request with status ${status}. Redirects are not followed.`
        : status === 403
          ? 'The status of the response is 403: the credential may lack a permission.'
          : `The status of the response is ${status}.`;
  return { reason: 'unexpected_response', detail };
}

/** RFC 9110, section 10.2.3, in seconds. */
function retryDetail(header: TestResponse['header']): string | undefined {
  const seconds = Number(/^\d{1,5}$/.exec(header('retry-after') ?? '')?.[0]);
  return seconds <= RETRY_AFTER_MAX_SECONDS ? `It can be tested again after ${seconds} seconds.` : undefined;
}

function isAccepted(match: ResponseMatch, { method }: TestRequest, response: TestResponse): boolean {
  if (!matches(match, response)) return false;
  if (match.json !== undefined) return true;
  const type = response.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
  switch (match.content ?? 'json') {
    case 'json':
      // The response to HEAD has no body, but the same content type.
      return method === 'HEAD' ? /[/+]json$/.test(type) : response.content.kind === 'json';
    case 'xml':
      return response.content.kind !== 'empty' && /[/+]xml$/.test(type) && type !== 'application/xhtml+xml';
    case 'text':
      return response.content.kind !== 'empty' && type === 'text/plain';
    case 'any':
      return true;
  }
}

function matches(
  { status: statuses, json: conditions = [] }: ResponseMatch,
  response: TestResponse,
): boolean {
  const json = jsonOf(response);
  return (
    statuses.includes(response.status) &&
    conditions.every(({ pointer, equals, prefix, exists }) => {
      const value = valueAt(json, pointer);
      if (equals !== undefined) return value === equals;
      if (prefix !== undefined) return typeof value === 'string' && value.startsWith(prefix);
      return (value !== undefined && value !== null) === exists;
    }) &&
    // A body that is not JSON fulfils no condition, also not that a value is missing.
    (conditions.length === 0 || json !== undefined)
  );
}

function jsonOf({ content }: TestResponse): unknown {
  return content.kind === 'json' ? content.json : undefined;
}

/** Name and id, as far as the response has them. */
function accountOf({ identity }: TestRequest, response: TestResponse): string | undefined {
  const json = jsonOf(response);
  const [name, id] = [identity?.name, identity?.id].map((pointer) => {
    const value = pointer === undefined ? undefined : valueAt(json, pointer);
    return (typeof value === 'string' && value !== '') || typeof value === 'number'
      ? String(value)
      : undefined;
  });
  return name !== undefined && id !== undefined && name !== id ? `${name} (${id})` : (name ?? id);
}
