/** Error codes of AWS and of services with its protocols, such as S3: in JSON, in XML, or in a header. */
import type { TestReason } from '../../contract/use/test_result.ts';
import type { Content } from '../../use/call/response/content.ts';
import { valueAt } from '../../use/call/response/list.ts';

/** Without the suffix `Exception`, which services with JSON add. */
const REASONS: ReadonlyMap<string, TestReason> = new Map([
  ['ExpiredToken', 'expired'],
  ['TokenRefreshRequired', 'expired'],
  ['SignatureDoesNotMatch', 'refused_credentials'],
  ['InvalidSignature', 'refused_credentials'],
  ['InvalidClientTokenId', 'refused_credentials'],
  ['InvalidAccessKeyId', 'refused_credentials'],
  ['UnrecognizedClient', 'refused_credentials'],
  ['AuthFailure', 'refused_credentials'],
  ['InvalidToken', 'refused_credentials'],
  ['AccessDenied', 'permission_missing'],
  ['UnauthorizedOperation', 'permission_missing'],
  // The clock of this machine differs from that of the service: the credential was not judged.
  ['RequestTimeTooSkewed', 'unexpected_response'],
  ['Throttling', 'rate_limited'],
  ['TooManyRequests', 'rate_limited'],
  ['SlowDown', 'rate_limited'],
]);
const POINTERS = ['/Error/Code', '/error/code', '/__type', '/code', '/Code'] as const;
const CODE_SEARCH_MAX_CHARACTERS = 4096;

interface AwsResponse {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly content: Content;
}

/** `undefined` without a known code, and for a successful response. */
export function awsReason({ status, header, content }: AwsResponse): TestReason | undefined {
  if (status < 400 || status >= 500) return undefined;
  const json = content.kind === 'json' ? content.json : undefined;
  const codes: unknown[] = [header('x-amzn-errortype'), ...POINTERS.map((pointer) => valueAt(json, pointer))];
  if (content.kind === 'text') {
    const begin = content.text.slice(0, CODE_SEARCH_MAX_CHARACTERS);
    codes.push(/<Error>[\s\S]{0,500}?<Code>([A-Za-z]{1,60})<\/Code>/.exec(begin)?.[1]);
  }
  const code = codes.find((value) => typeof value === 'string');
  return typeof code === 'string' ? REASONS.get(nameOf(code)) : undefined;
}

/** `com.amazon#AccessDeniedException:http://...` is `AccessDenied`. */
function nameOf(code: string): string {
  const [name = ''] = code.slice(0, 200).replace(/^.*#/, '').split(':');
  return name.replace(/Exception$/, '');
}
