/**
 * A service definition as Toolzz shows an integration, with the form of its fields and its icon. Definitions have no
 * dates and no pictures there: dates are those of the catalogue, and an icon is a letter on a colour.
 */
import { createHash } from 'node:crypto';
import type { CATEGORIES, FieldDefinition, Service } from '../../contract/service.ts';
import { SERVICE_NAMESPACE_UUID, serviceId } from '../../services/definition.ts';
import type { FormField, Icon, Integration, IntegrationType } from './schemas.ts';

/** When the catalogue came to be. */
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

/** Services among those of the category `ai` that speak and listen. */
const VOICES: ReadonlySet<string> = new Set(['assemblyai', 'deepgram', 'elevenlabs']);

/** What is left of a service whose definition was removed. */
export type KnownService = Pick<Service, 'id' | 'slug' | 'name' | 'fields'> &
  Partial<Pick<Service, 'category' | 'base_url' | 'test'>>;

/** Stands in for a service that is no longer defined. */
export function removedService(slug: string): KnownService {
  return { id: serviceId(slug), slug, name: slug, fields: [] };
}

export function integrationType({ slug, category = 'other' }: KnownService): IntegrationType {
  return VOICES.has(slug) ? 'voice' : TYPE_OF_CATEGORY[category];
}

export function formField({ field_id, secret, name, max_length, required }: FieldDefinition): FormField {
  return { name: field_id, type: secret ? 'password' : 'text', label: name, maxLenght: max_length, required };
}

/** `public_url`: where clients reach this server. */
export function toIntegration(service: KnownService, public_url: string): Integration {
  const icon = iconOf(service, public_url);
  return {
    id: service.id,
    name: service.name,
    iconId: icon.id,
    type: integrationType(service),
    status: true,
    validationEndpoint: validationEndpoint(service),
    slug: service.slug,
    form: service.fields.map(formField),
    createdAt: CATALOGUE_SINCE,
    updatedAt: CATALOGUE_SINCE,
    icon,
  };
}

function iconOf(service: KnownService, public_url: string): Icon {
  const path = `/api/v1/integration/${service.id}/icon`;
  // A slug has no slash, so this is no service's id.
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

/** The picture: the first letter of the name on a colour of the service's own. Nothing in it loads or runs anything. */
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

/** The request that tells whether a credential works; empty where there is none. */
function validationEndpoint({ test, base_url }: KnownService): string {
  if (test === undefined) return '';
  return test.path.startsWith('/') ? `${(base_url ?? '').replace(/\/$/, '')}${test.path}` : test.path;
}
