/**
 * AWS Signature Version 4 with the body's hash. A region in the host name has precedence over the stored one, since AWS
 * accepts no other; the service is that of the host name unless the definition sets it.
 */
import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { requireParameter, type Signature, type Signer } from './signer.ts';

/** The name to sign with, by the name in the host, for services where these differ and aws4fetch does not know it. */
const SIGNING_NAMES: Readonly<Record<string, string>> = {
  appconfigdata: 'appconfig',
  'bedrock-agentcore-control': 'bedrock-agentcore',
  'cassandra-streams': 'cassandra',
  cloudsearchdomain: 'cloudsearch',
  'contact-lens': 'connect',
  'data-signer': 'signer',
  forecastquery: 'forecast',
  ivsrealtime: 'ivs',
  'mail-manager': 'ses',
  'memory-db': 'memorydb',
  'migrationhub-config': 'mgh',
  oidc: 'sso-oauth',
  'personalize-events': 'personalize',
  's3-control': 's3',
  'servicecatalog-appregistry': 'servicecatalog',
  sso: 'awsssoportal',
};
const SIGNING_NAME_PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/^bedrock-(?!agentcore)/, 'bedrock'],
  [/-chime$/, 'chime'],
  [/-lex$/, 'lex'],
  [/-marketplace$/, 'aws-marketplace'],
];
const NAME_PATTERN = /^[A-Za-z0-9-]{1,64}$/;
const DEFAULT_REGION = 'us-east-1';
const AWS_HOST = /\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;
/** Hosts for IPv4 and IPv6, which aws4fetch does not know: `[ID.]SERVICE.REGION.api.aws`. */
const API_AWS_HOST = /^(?:.*\.)?([^.]+)\.([^.]+)\.api\.aws$/;
const REGION_PATTERN = /^[a-z]{2,4}(?:-[a-z]+)+-\d+$/;
/** Added by HTTP clients and changed by proxies: not signed. */
const UNSIGNED_HEADERS = /^(?:accept|accept-.*|cache-control|pragma|referer|user-agent)$/;
const OWNED_HEADERS = ['authorization', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'];

/** Parameters: `access_key_id`, `secret_access_key`, optionally `session_token`, `region`, `service`. */
export const aws_sigv4: Signer = {
  owned_headers: OWNED_HEADERS,
  async sign({ method, url, headers, body }, parameters, now): Promise<Signature> {
    const scope = scopeOf(url, parameters.get('service')?.reveal(), parameters.get('region')?.reveal());
    const signed_headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(headers)) {
      const lower = name.toLowerCase();
      if (!OWNED_HEADERS.includes(lower) && !UNSIGNED_HEADERS.test(lower)) signed_headers[lower] = value;
    }
    if (scope.service === 's3')
      signed_headers['x-amz-content-sha256'] = createHash('sha256').update(body).digest('hex');
    const session_token = parameters.get('session_token')?.reveal();
    assertHeaderText('session_token', session_token ?? '');
    const access_key_id = requireParameter(parameters, 'access_key_id').reveal();
    assertHeaderText('access_key_id', access_key_id);
    const signer = new AwsV4Signer({
      ...scope,
      method,
      url: url.href,
      headers: signed_headers,
      body: new Uint8Array(body),
      accessKeyId: access_key_id,
      secretAccessKey: requireParameter(parameters, 'secret_access_key').reveal(),
      ...(session_token === undefined ? {} : { sessionToken: session_token }),
      datetime: now.toISOString().replaceAll(/[:-]|\.\d{3}/g, ''),
    });
    const { headers: result } = await signer.sign();
    const added: Record<string, string> = {};
    for (const name of OWNED_HEADERS) {
      const value = result.get(name);
      if (value !== null) added[name] = value;
    }
    const signature = added.authorization?.split('Signature=')[1] ?? '';
    return { headers: added, secrets: [new Secret(signature)] };
  },
};

/** A header cannot have other characters (RFC 9110, section 5.5), and no identifier or token of AWS has any. */
function assertHeaderText(name: string, text: string): void {
  if (/^[\x21-\x7e]*$/.test(text)) return;
  throw new VaultError(
    'INVALID_INPUT',
    `The request cannot be signed: ${name} has characters that AWS does not use. Copy it completely and store it again.`,
  );
}

/** The service and the region of the credential scope. Throws INVALID_INPUT if neither host nor parameters name the service. */
function scopeOf(
  url: URL,
  service: string | undefined,
  region: string | undefined,
): { readonly service: string; readonly region: string } {
  for (const name of [service, region])
    if (name !== undefined && !NAME_PATTERN.test(name))
      throw new VaultError('INVALID_INPUT', 'The AWS region or service of the credential is not a name.');
  const guess = apiAwsScope(url) ?? new AwsV4Signer({ url: url.href, accessKeyId: '', secretAccessKey: '' });
  const name = service ?? signingName(guess.service);
  if (name === '')
    throw new VaultError(
      'INVALID_INPUT',
      'The host names no AWS service. Use a host such as "sts.eu-central-1.amazonaws.com".',
    );
  const host_names_region = guess.region !== DEFAULT_REGION || url.hostname.includes(DEFAULT_REGION);
  // S3 has all regions under its global host; the global hosts of other services accept the default region only.
  const accepts_any_region = name === 's3' || !AWS_HOST.test(url.hostname);
  return {
    service: name,
    region: host_names_region || !accepts_any_region ? guess.region : (region ?? DEFAULT_REGION),
  };
}

/** `undefined` for other hosts. Throws INVALID_INPUT for one that does not name service and region. */
function apiAwsScope({ hostname }: URL): { readonly service: string; readonly region: string } | undefined {
  if (!hostname.endsWith('.api.aws')) return undefined;
  const [, service = '', region = ''] = API_AWS_HOST.exec(hostname) ?? [];
  // Global services are signed for the default region.
  if (region === 'global') return { service: withoutFips(service), region: DEFAULT_REGION };
  if (REGION_PATTERN.test(region)) return { service: withoutFips(service), region };
  throw new VaultError(
    'INVALID_INPUT',
    'The host names no AWS service and region, with which the request is signed. Use a host such as "lambda.eu-central-1.api.aws", with the stored region in it.',
  );
}

function withoutFips(service: string): string {
  return service.replace(/-fips$/, '');
}

function signingName(name: string): string {
  const [, by_pattern] = SIGNING_NAME_PATTERNS.find(([pattern]) => pattern.test(name)) ?? [];
  return SIGNING_NAMES[name] ?? by_pattern ?? name;
}
