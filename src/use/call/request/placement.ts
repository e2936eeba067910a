/** Where the credential goes in a request, so that the caller cannot send anything in its place. Opens no value. */
import { VaultError } from '../../../contract/errors.ts';
import type { InjectionRule } from '../../../contract/service/authentication.ts';
import { fieldsIn } from '../../../contract/service/texts.ts';
import { authenticationOf, injectionFor } from '../../../services/authentication.ts';
import type { UsableCredential } from '../../../vault/uses/use.ts';
import { SIGNER_BY_NAME } from '../../signers/signers.ts';
import type { CallBody } from './body.ts';
import { expand, hasField, knownValues } from './templates.ts';
import type { CallUrl } from './url.ts';

export interface Placement {
  readonly rule: InjectionRule;
  /** Names of headers that carry the credential, in lower case. */
  readonly headers: readonly string[];
  readonly parameters: readonly string[];
  readonly body_fields: readonly string[];
  /** Templates, by name in lower case; sent unless the caller sends a header of the name. */
  readonly default_headers: Readonly<Record<string, string>>;
  /** For people: `header authorization`. */
  readonly described: readonly string[];
}

/** The base URL of the credential's mode, with its fields; `undefined` without one. */
export function baseUrlOf({ service, destination }: UsableCredential): string | undefined {
  const { base_url } = authenticationOf(service, destination.mode);
  return base_url === undefined ? undefined : expand(base_url, knownValues(service, destination.fields));
}

/** All query parameters that may carry the credential, whatever the URL of the request is. */
export function ownParameters({ service }: UsableCredential): readonly string[] {
  const modes = service.modes ?? [];
  const rules = [service, ...modes, ...(service.host_rules ?? [])].map(({ injection }) => injection);
  return rules.flatMap((rule) => (rule.in === 'query' ? Object.keys(rule.query) : []));
}

/** Throws INVALID_INPUT for a service, such as a database, whose credentials only programs use. */
export function assertUsedOverHttp({ service, destination }: UsableCredential): void {
  const rules = [authenticationOf(service, destination.mode), ...(service.host_rules ?? [])];
  if (rules.some(({ injection }) => injection.in !== 'none')) return;
  const message = `Credentials of ${service.name} are not used over HTTP, so it cannot be called. A program gets them from \`keyhold run --service ${service.slug} -- COMMAND\`.`;
  throw new VaultError('INVALID_INPUT', message);
}

/** Throws INVALID_INPUT if the service is not used over HTTP, or the credential has no field that authenticates. */
export function placementOf(credential: UsableCredential, url: CallUrl): Placement {
  const { service, destination } = credential;
  const { injection, default_headers } = authenticationOf(service, destination.mode);
  const fields = knownValues(service, destination.fields);
  const { host } = new URL(url.origin);
  const rule = injectionFor(service, injection, { host, pathname: url.path }, (template) =>
    expand(template, fields),
  );
  if (rule.in === 'none')
    throw new VaultError('INVALID_INPUT', 'Credentials of this service are not sent to that host.');
  assertAuthenticates(rule, credential);
  const templates = 'headers' in rule ? (rule.headers ?? {}) : {};
  const own = Object.keys(templates).filter((name) => hasField(templates[name] ?? ''));
  const fixed = Object.entries(templates).filter(([name]) => !own.includes(name));
  const headers = [...own.map((name) => name.toLowerCase()), ...impliedHeaders(rule)];
  const parameters = rule.in === 'query' ? Object.keys(rule.query) : [];
  const body_fields = rule.in === 'body_fields' ? Object.keys(rule.fields) : [];
  const defaults = [...fixed, ...Object.entries(default_headers)];
  return {
    rule,
    headers,
    parameters,
    body_fields,
    default_headers: Object.fromEntries(defaults.map(([name, template]) => [name.toLowerCase(), template])),
    described: [
      ...headers.map((name) => `header ${name}`),
      ...parameters.map((name) => `query parameter ${name}`),
      ...body_fields.map((name) => `body field ${name}`),
      ...(rule.in === 'path' ? ['prefix of the path'] : []),
      ...(rule.in === 'body' ? ['the whole body'] : []),
    ],
  };
}

function impliedHeaders(rule: InjectionRule): readonly string[] {
  if (rule.in === 'basic') return ['authorization'];
  return rule.in === 'signer' ? SIGNER_BY_NAME[rule.signer].owned_headers : [];
}

/** Not every optional field authenticates: a client id and its secret alone would leave the request without any. */
function assertAuthenticates(rule: InjectionRule, { service, fields }: UsableCredential): void {
  const with_default = service.fields.filter((one) => one.default !== undefined);
  const known = new Set([...fields, ...with_default.map(({ field_id }) => field_id)]);
  const missing = templatesOf(rule)
    .filter(hasField)
    .map((template) => fieldsIn(template).filter((id) => !known.has(id)));
  const [first] = missing;
  if (first === undefined || missing.some((ids) => ids.length === 0)) return;
  const command = `keyhold update ${service.slug} ${first.join(' ')}`;
  throw invalid(
    `The credential has no ${first.join(', ')}, which requests need. Add it with \`${command}\`.`,
  );
}

/** What a rule places in a request. Each signer checks its own parameters. */
function templatesOf(rule: InjectionRule): readonly string[] {
  if (rule.in === 'header') return Object.values(rule.headers);
  if (rule.in === 'query') return [...Object.values(rule.query), ...Object.values(rule.headers ?? {})];
  if (rule.in === 'basic') return [rule.username, rule.password];
  return rule.in === 'body_fields' ? Object.values(rule.fields) : [];
}

/** Throws INVALID_INPUT if the body of the caller leaves no room for the credential. */
export function assertPlaceable({ rule, body_fields }: Placement, body: CallBody): void {
  if (rule.in === 'body' && body.bytes !== undefined)
    throw invalid('The body of requests to this service is the credential. Leave body out.');
  if (rule.in !== 'body_fields') return;
  const { json, bytes } = body;
  if (bytes !== undefined && (json === undefined || Array.isArray(json)))
    throw invalid('The service takes the credential in the body, so body must be an object, or absent.');
  if (Object.keys(json ?? {}).some((name) => body_fields.includes(name)))
    throw invalid('body has a field that carries the credential. Leave it out: Keyhold adds it.');
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
