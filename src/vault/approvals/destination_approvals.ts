/**
 * Approvals of destinations. A credential that needs a review is listed under its own id; approving it binds it to what its
 * service has now. The callers have passed the guard.
 */
import { Approval, NO_REQUEST } from '../../contract/approval.ts';
import type { Caller } from '../../contract/caller.ts';
import type { Destination } from '../../contract/destination.ts';
import { VaultError } from '../../contract/errors.ts';
import { CREDENTIALS_READ_MAX, LIST_PAGE_MAX, USERS_LISTED_MAX } from '../../contract/limits.ts';
import { type CredentialMeta, refOf } from '../credentials/codec.ts';
import { newestOf, stacksOf } from '../credentials/listing.ts';
import type { CredentialWriter } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { destinationOf, reviewDestination } from '../destinations/binding.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { OrganizationRegistry } from '../organizations/registry.ts';
import { uuidBytes } from '../records/record_codec.ts';
import type { StackRecords } from '../stacks/repository.ts';

export class DestinationApprovals {
  readonly #parts: VaultDependencies;
  readonly #writer: CredentialWriter;
  readonly #stacks: StackRecords;
  readonly #directory: OrganizationRegistry;

  constructor(
    parts: VaultDependencies,
    writer: CredentialWriter,
    stacks: StackRecords,
    directory: OrganizationRegistry,
  ) {
    this.#parts = parts;
    this.#writer = writer;
    this.#stacks = stacks;
    this.#directory = directory;
  }

  /** Of the caller's user, or of all users for an administrator. Newest first, 100 at most. */
  async list(keyring: OrganizationKeyring, caller: Caller): Promise<readonly Approval[]> {
    const is_admin = caller.scopes.has('org:admin');
    const users = is_admin ? await this.#directory.users(keyring, USERS_LISTED_MAX) : [];
    const stack_budget = { remaining: CREDENTIALS_READ_MAX };
    // The local user has no record.
    const names = new Set([caller.user, ...users.map(({ name }) => name)]);
    const stacks = await stacksOf(this.#stacks, keyring, names, stack_budget);
    const budget = { remaining: CREDENTIALS_READ_MAX };
    const needsReview = (meta: CredentialMeta) => this.#needsReview(meta);
    const found = await newestOf(this.#parts, keyring, stacks, needsReview, LIST_PAGE_MAX, budget);
    return Promise.all(found.map((meta) => this.#describe(keyring, meta, caller.organization)));
  }

  /** `undefined` unless a credential with this id needs a review. */
  async find(keyring: OrganizationKeyring, caller: Caller, id: string): Promise<Approval | undefined> {
    const meta = await this.#find(keyring, id);
    return meta && this.#describe(keyring, meta, caller.organization);
  }

  /** Binds the credential to the destination that its values have with the present definition. */
  async approve(keyring: OrganizationKeyring, caller: Caller, id: string): Promise<Approval> {
    const before = await this.#find(keyring, id);
    if (before === undefined) throw noSuchApproval();
    let approved: Destination | undefined;
    const meta = await this.#writer.write({
      caller,
      keyring,
      action: 'approve_destination',
      ref: refOf(before),
      id: before.id,
      fields: [],
      needs_values: true,
      change: (current) => {
        if (current === undefined || !this.#needsReview(current.meta)) throw noSuchApproval();
        const values = current.values();
        const service = this.#parts.services.get(current.meta.service);
        approved = destinationOf(this.#parts, service, values);
        if (approved === undefined) throw hostMissing(service.slug);
        return { type: current.meta.type, values, destination: approved };
      },
    });
    const described = await this.#describe(keyring, before, caller.organization);
    const origins = [...(meta.destination?.origins ?? [])];
    return { ...described, state: 'approved', new_origins: origins };
  }

  /** A destination that is not approved is never used: there is nothing to change. */
  deny({ service_id }: Approval): never {
    throw new VaultError(
      'INVALID_INPUT',
      `The credential is not used until its destination is approved, so nothing changes. Delete it with \`keyhold delete ${service_id}\`, or store it again.`,
    );
  }

  async #find(keyring: OrganizationKeyring, id: string): Promise<CredentialMeta | undefined> {
    const bytes = uuidBytes(id);
    const row = bytes && (await this.#parts.store.get(bytes));
    const meta = this.#parts.codec.tryOpenMeta(keyring, row?.kind === 'credential' ? row : undefined);
    return meta !== undefined && this.#needsReview(meta) ? meta : undefined;
  }

  #needsReview(meta: CredentialMeta): boolean {
    const service = this.#parts.services.find(meta.service);
    if (service === undefined) return false;
    const is_complete = service.fields.every(
      ({ field_id, required }) => !required || meta.fields.includes(field_id),
    );
    return is_complete && reviewDestination(this.#parts, service, meta).needs_review;
  }

  async #describe(
    keyring: OrganizationKeyring,
    meta: CredentialMeta,
    organization: string,
  ): Promise<Approval> {
    const service = this.#parts.services.get(meta.service);
    const bound = reviewDestination(this.#parts, service, meta).bound;
    const present = await this.#presentOrigins(keyring, meta);
    const where = present === null || present.length === 0 ? 'nowhere' : present.join(', ');
    return Approval.parse({
      id: meta.id,
      kind: 'destination',
      state: 'pending',
      created_at: meta.updated_at,
      expires_at: null,
      organization,
      user: meta.user,
      summary: `${service.name} may receive the values at ${where}`,
      service_id: meta.service,
      credential_id: meta.id,
      stack_id: meta.stack,
      name: meta.name,
      requested_by: null,
      bound_origins: bound === undefined ? null : [...bound.origins],
      new_origins: present,
      fields: [...meta.fields],
      ...NO_REQUEST,
    } satisfies Approval);
  }

  /** `null`: a value is missing or is no host that credentials may be sent to. */
  async #presentOrigins(keyring: OrganizationKeyring, { id, service }: CredentialMeta) {
    const bytes = uuidBytes(id);
    const row = bytes && (await this.#parts.store.get(bytes));
    if (row === undefined) return null;
    try {
      const values = this.#parts.codec.openValues(keyring, row);
      const resolved = destinationOf(this.#parts, this.#parts.services.get(service), values);
      return resolved === undefined ? null : [...resolved.origins];
    } catch (error) {
      if (error instanceof VaultError && error.code === 'INVALID_INPUT') return null;
      throw error;
    }
  }
}

export function noSuchApproval(): VaultError {
  return new VaultError(
    'NOT_FOUND',
    'Nothing with this id waits for a decision; it may have expired. List what does with `keyhold approvals list`.',
  );
}

function hostMissing(slug: string): VaultError {
  const message = `The credential has no value for its host. Store all of it again with \`keyhold store ${slug}\`.`;
  return new VaultError('INVALID_INPUT', message);
}
