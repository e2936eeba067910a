/** The custom definition of a service that an agent requested: one https host, with a bearer token or a password. Pure functions. */
import { VaultError } from '../../contract/errors.ts';
import type { Service, ServiceDefinition } from '../../contract/service/service.ts';

const FIELD_VALUE_MAX_CHARACTERS = 10_000;
const HTTPS_DEFAULT_FIELDS = ['api_key'];

/** The service as the request names it: the slug is the host name. */
export interface RequestedService {
  readonly slug: string;
  readonly base_url: string;
  readonly fields: readonly string[];
}

/** Throws INVALID_INPUT unless the URL is an https origin without user info, and for a host of a known service. */
export function requestedService(
  base_url: string,
  fields: readonly string[] | undefined,
  known: readonly Service[],
): RequestedService {
  const url = URL.canParse(base_url) ? new URL(base_url) : undefined;
  if (url === undefined || url.protocol !== 'https:' || url.username !== '' || url.password !== '')
    throw invalid('must be an https URL without user name and password');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    throw invalid('must have no path and no query: give the path with each call');
  const owner = known.find(({ hosts }) => hosts.includes(url.host));
  if (owner !== undefined)
    throw new VaultError(
      'INVALID_INPUT',
      `This host belongs to the service ${owner.slug}. Call again with service_id.`,
    );
  return { slug: url.host.replace(':', '-'), base_url: url.origin, fields: fields ?? HTTPS_DEFAULT_FIELDS };
}

/** The definition that accepting the request adds. It is validated as one that a person adds. */
export function requestedDefinition({ slug, base_url, fields }: RequestedService): ServiceDefinition {
  const { host } = new URL(base_url);
  const [first = '', second] = fields;
  return {
    slug,
    name: host,
    description: 'Added when a person accepted the access request of an agent.',
    category: 'other',
    fields: fields.map((field_id) => ({
      field_id,
      name: field_id,
      description: `The ${field_id} of ${host}.`,
      required: true,
      secret: true,
      max_length: FIELD_VALUE_MAX_CHARACTERS,
    })),
    value_field: second === undefined ? { bearer: first } : {},
    credential_types: second === undefined ? ['bearer'] : ['custom'],
    hosts: [host],
    base_url,
    injection:
      second === undefined
        ? { in: 'header', headers: { Authorization: `Bearer {${first}}` } }
        : { in: 'basic', username: `{${first}}`, password: `{${second}}` },
  };
}

function invalid(what: string): VaultError {
  return new VaultError('INVALID_INPUT', `base_url ${what}.`);
}
