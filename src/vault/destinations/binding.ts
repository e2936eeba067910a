/**
 * Binds a credential to a destination when its secrets are stored, and compares that with the present definition of its
 * service. Pure functions; the values of destination fields are not secret.
 */
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { chooseMode } from '../../services/authentication.ts';
import {
  allowedByDefinition,
  baseOrigin,
  definitionDigest,
  destinationFields,
  isCovered,
  resolveDestination,
} from '../../services/destination.ts';
import { EARLIER_HOSTS } from '../../services/hosts/earlier_hosts.ts';
import type { ApprovedDestination, ExistingCredential } from '../credentials/changes.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { CredentialValues } from '../records/record_codec.ts';

export type BindingParts = Pick<VaultDependencies, 'services' | 'isHostAllowed'>;

/**
 * The destination after a write of `given` fields. If all secrets are given, it follows from the values; otherwise the
 * credential keeps the one that it has. Throws INVALID_INPUT, reason `destination_changed`, if some secret stays and a
 * field changes that decides where it is sent, unless a person approved the result: CONFLICT if it is another one.
 */
export function bindDestination(
  parts: BindingParts,
  slug: string,
  given: readonly string[],
  before: ExistingCredential | undefined,
  after: CredentialValues,
  approved?: ApprovedDestination,
): Destination | undefined {
  const service = parts.services.find(slug);
  const bound = before?.meta.destination;
  if (service === undefined || given.length === 0) return bound;
  const secrets = service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id);
  // A field that a changed definition calls plain may have been a secret when it was stored.
  const isSecret = (id: string) =>
    secrets.includes(id) || (isChanged(parts, service, bound) && bound?.fields[id] === undefined);
  const is_kept = [...after.keys()].some((id) => !given.includes(id) && isSecret(id));
  if (before === undefined || !is_kept) return destinationOf(parts, service, after);
  const changed = [...destinationFields(service)].filter((id) => {
    return given.includes(id) && before.values().get(id)?.reveal() !== after.get(id)?.reveal();
  });
  if (changed.length > 0) {
    const stored = secrets.filter((id) => after.has(id));
    if (approved === undefined) throw destinationChanged(changed, stored);
    const destination = destinationOf(parts, service, after);
    if (!isApproved(approved, destination)) throw approvedAnother();
    return destination;
  }
  return bound && withMode(service, bound, after);
}

/** The destination that these values have with the present definition; `undefined` if a field is missing. */
export function destinationOf(
  { services, isHostAllowed }: BindingParts,
  service: Service,
  values: CredentialValues,
): Destination | undefined {
  const texts = new Map<string, string>();
  for (const id of destinationFields(service)) {
    const value = values.get(id);
    if (value !== undefined) texts.set(id, value.reveal());
  }
  const resolved = resolveDestination(service, texts, isHostAllowed, modeOf(service, values));
  if (resolved === undefined || services.customFileOf(service.slug) === undefined) return resolved;
  return { ...resolved, definition: definitionDigest(service) };
}

/** The destination with the mode that these values choose. */
export function withMode(service: Service, destination: Destination, values: CredentialValues): Destination {
  return { ...destination, mode: modeOf(service, values) };
}

function modeOf(service: Service, values: CredentialValues): string | undefined {
  return chooseMode(service, {
    has: (id) => values.has(id),
    startsWith: (id, prefix) => values.get(id)?.reveal().startsWith(prefix) === true,
    endsWith: (id, suffix) => values.get(id)?.reveal().endsWith(suffix) === true,
  })?.id;
}

/** Whether a write of these fields stores a secret. */
export function storesSecret({ services }: BindingParts, slug: string, given: readonly string[]): boolean {
  const fields = services.find(slug)?.fields ?? [];
  return fields.some(({ field_id, secret }) => secret && given.includes(field_id));
}

export interface DestinationReview {
  /** `undefined`: not bound. */
  readonly bound: Destination | undefined;
  /** What a use may reach: bound and allowed by the present definition. */
  readonly allowed: readonly string[];
  /** Whether a person must approve the destination before the next use. */
  readonly needs_review: boolean;
}

/** Compares the bound destination with the present definition. */
export function reviewDestination(
  { services, isHostAllowed }: BindingParts,
  service: Service,
  meta: Pick<CredentialMeta, 'destination' | 'fields'>,
): DestinationReview {
  const is_custom = services.customFileOf(service.slug) !== undefined;
  const bound = meta.destination ?? (is_custom ? undefined : earlierDestination(service, meta.fields));
  if (bound === undefined) return { bound, allowed: [], needs_review: true };
  const allowed = allowedByDefinition(bound, service, isHostAllowed);
  if (isChanged({ services }, service, bound)) return { bound, allowed, needs_review: true };
  const base = baseOrigin(service, bound);
  const is_reachable = base === undefined ? allowed.length > 0 : isCovered(base, allowed);
  return { bound, allowed, needs_review: !is_reachable && (base !== undefined || bound.origins.length > 0) };
}

/** Whether a custom definition is another one than the credential was bound with. */
function isChanged(
  { services }: Pick<BindingParts, 'services'>,
  service: Service,
  bound: Destination | undefined,
): boolean {
  const is_custom = services.customFileOf(service.slug) !== undefined;
  return is_custom && bound?.definition !== definitionDigest(service);
}

/** The destination of a credential that an earlier version stored, if no field of it decides where it is sent. */
function earlierDestination(service: Service, fields: readonly string[]): Destination | undefined {
  const hosts = EARLIER_HOSTS.get(service.slug);
  const decisive = destinationFields(service);
  if (hosts === undefined || fields.some((id) => decisive.has(id))) return undefined;
  // The values are not opened here, so that modes which depend on their text are not found.
  const no = () => false;
  const mode = chooseMode(service, { has: (id) => fields.includes(id), startsWith: no, endsWith: no })?.id;
  return {
    origins: hosts.map((host) => `https://${host}`),
    fields: {},
    ...(mode === undefined ? {} : { mode }),
  };
}

function isApproved(approved: ApprovedDestination, destination: Destination | undefined): boolean {
  if (approved === null || destination === undefined) return approved === null && destination === undefined;
  const textOf = ({ origins, fields }: Pick<Destination, 'origins' | 'fields'>) =>
    JSON.stringify([[...origins].sort(), Object.entries(fields).sort()]);
  return textOf(approved) === textOf(destination);
}

function approvedAnother(): VaultError {
  const message = 'The credential has changed since the destination was shown. Run the command again.';
  // With a reason: no retry helps.
  return new VaultError('CONFLICT', message, { reason: 'destination_changed' });
}

function destinationChanged(changed: readonly string[], secrets: readonly string[]): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    `${changed.join(' and ')} decides where the stored secrets are sent. To change it, give all secret values in the same call: ${secrets.join(', ')}.`,
    { reason: 'destination_changed' },
  );
}

/** The review of a credential whose service definition is not approved. */
export function unapprovedReview({
  destination: bound,
}: Pick<CredentialMeta, 'destination'>): DestinationReview {
  return { bound, allowed: [], needs_review: true };
}
