/**
 * Maps credentials and service definitions to the JSON of Toolzz. Definitions have no dates and no icons: the date is
 * that of the catalogue, and the icon is a letter on a colour. Never maps a value.
 */
import { createHash } from 'node:crypto';
import type { CredentialInfo } from '../../contract/credential.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { CATEGORIES, Service } from '../../contract/service/service.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import { SERVICE_NAMESPACE_UUID, serviceId } from '../../services/definition.ts';
import type { BareCredential, Credential, FormField, Icon, Integration, IntegrationType } from './schemas.ts';

type Dependencies = Pick<HttpDependencies, 'vault' | 'public_url'>;

/** The date of the catalogue. */
const CATALOGUE_SINCE = '2025-01-01T00:00:00.000Z';

const TYPE_OF_CATEGORY: Readonly<Record<(typeof CATEGORIES)[number], IntegrationType>> = {
  ai: 'llm',
  analytics: 'analytics',
  automation: 'dataset',
  cloud: 'dataset',
  communication: 'phone',
  crm: 'dataset',
  data: 'dataset',
  design: 'dataset',
  developer: 'dataset',
  email: 'dataset',
  finance: 'monetization',
  identity: 'dataset',
  monitoring: 'analytics',
  other: 'dataset',
  productivity: 'dataset',
  search: 'dataset',
  social: 'dataset',
  storage: 'dataset',
};

/** The services of category `ai` that process speech. */
const VOICES: ReadonlySet<string> = new Set(['assemblyai', 'deepgram', 'elevenlabs']);

/** A service, or the id and slug of one whose definition was removed. */
export type KnownService = Pick<Service, 'id' | 'slug' | 'name' | 'fields'> &
  Partial<Pick<Service, 'category' | 'base_url' | 'test'>>;

function removedService(slug: string): KnownService {
  return { id: serviceId(slug), slug, name: slug, fields: [] };
}

export function integrationType({ slug, category = 'other' }: KnownService): IntegrationType {
  return VOICES.has(slug) ? 'voice' : TYPE_OF_CATEGORY[category];
}

export function formField({ field_id, secret, name, max_length, required }: FieldDefinition): FormField {
  return { name: field_id, type: secret ? 'password' : 'text', label: name, maxLenght: max_length, required };
}

export function toIntegration(service: KnownService, public_url: string): Integration {
  const icon = iconOf(service, public_url);
  return {
    id: service.id,
    name: service.name,
    iconId: icon.id,
    type: integrationType(service),
    status: true,
    validationEndpoint: `${public_url}/api/v1/integration/${service.id}/validation`,
    slug: service.slug,
    form: service.fields.map(formField),
    createdAt: CATALOGUE_SINCE,
    updatedAt: CATALOGUE_SINCE,
    icon,
  };
}

function iconOf(service: KnownService, public_url: string): Icon {
  const path = `/api/v1/integration/${service.id}/icon`;
  // A slug has no slash, so this id differs from every service's.
  const id = serviceId(`${service.slug}/icon`);
  return {
    id,
    createdAt: CATALOGUE_SINCE,
    updatedAt: CATALOGUE_SINCE,
    institutionId: SERVICE_NAMESPACE_UUID,
    type: 'image',
    fileName: `${service.slug}.svg`,
    internalStorageUrl: path,
    url: `${public_url}${path}`,
    size: Buffer.byteLength(iconSvg(service)),
    extension: 'svg',
    maskName: `${id}.svg`,
  };
}

/** The first letter of the name on a colour derived from the id. Loads and runs nothing. */
export function iconSvg({ id, name }: KnownService): string {
  const letter = /[\p{L}\p{N}]/u.exec(name)?.[0].toUpperCase() ?? '?';
  const hue = createHash('sha256').update(id).digest().readUInt16BE() % 360;
  return [
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">',
    `<rect width="64" height="64" rx="12" fill="hsl(${hue},55%,42%)"/>`,
    '<text x="32" y="43" font-family="sans-serif" font-size="32" fill="#fff" text-anchor="middle">',
    `${letter}</text></svg>`,
  ].join('');
}

export function serviceOf(
  { service_id }: Pick<CredentialInfo, 'service_id'>,
  { vault }: Dependencies,
): KnownService {
  return vault.services.find(service_id) ?? removedService(service_id);
}

export function toBareCredential(info: CredentialInfo, service: KnownService): BareCredential {
  return {
    id: info.id,
    name: info.name ?? service.name,
    userId: info.user_id,
    unityId: info.unit_id,
    integrationId: service.id,
    // Secrets have no separate id.
    secretId: info.id,
    status: !info.inactive,
    virtualKey: info.virtual_key,
    createdAt: info.created_at,
    updatedAt: info.updated_at,
  };
}

export function toCredential(info: CredentialInfo, dependencies: Dependencies): Credential {
  const service = serviceOf(info, dependencies);
  const { createdAt, updatedAt, ...rest } = toBareCredential(info, service);
  const integration = toIntegration(service, dependencies.public_url);
  return { ...rest, credentials: {}, createdAt, updatedAt, integration };
}
