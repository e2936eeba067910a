/**
 * The vault: every operation on credentials, for every edge. Each operation names its caller and passes one guard; a
 * write commits its audit entry in the same transaction. Only `credentials.reveal` returns a value.
 */
import {
  type AuditFilter,
  type AuditPage,
  AuditPaging,
  AuditQuery,
  type AuditReport,
} from '../contract/audit.ts';
import { type Caller, canUseService } from '../contract/caller.ts';
import {
  type CredentialStatus,
  CredentialStatusInput,
  type CredentialSummary,
  DeleteInput,
  type ListedService,
  ListServicesInput,
  StatusInput,
  StoreInput,
  type StoreOutput,
  UpdateInput,
  type UpdateOutput,
} from '../contract/credential.ts';
import { VaultError } from '../contract/errors.ts';
import { LIST_PAGE_MAX } from '../contract/limits.ts';
import { parseInput } from '../contract/validation.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';
import type { StoreHealth } from '../store/store.ts';
import { ApiKeys } from './api_keys/api_keys.ts';
import { AuditVerifier, type Pace, type Progress } from './audit/verifier.ts';
import { CredentialsById } from './credentials/by_id.ts';
import type { CredentialMeta, CredentialRef } from './credentials/codec.ts';
import { describeServices } from './credentials/connected_services.ts';
import { newestOfStack } from './credentials/listing.ts';
import { CredentialLookup } from './credentials/lookup.ts';
import { credentialStatus } from './credentials/status.ts';
import {
  assertNoDroppedFields,
  checkValues,
  fieldForType,
  unsealing,
} from './credentials/value_validation.ts';
import { CredentialWriter, type ExistingCredential, type Mutation } from './credentials/writer.ts';
import type { VaultDependencies } from './dependencies.ts';
import { authorizedStack, Guard, requestedStack } from './guard.ts';
import { Organizations } from './organizations/organizations.ts';
import { OrganizationRegistry } from './organizations/registry.ts';
import type { CredentialValues } from './records/record_codec.ts';
import { StackContents } from './stacks/contents.ts';
import { StackRecords } from './stacks/repository.ts';
import { Stacks } from './stacks/stacks.ts';

/** `more`: the stack has further credentials. */
export interface StatusList {
  readonly credentials: readonly CredentialSummary[];
  readonly more: boolean;
}

const UPDATE = { scope: 'credentials:write', action: 'update' } as const;

export class Vault {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #writer: CredentialWriter;
  readonly #stacks: StackRecords;
  readonly #lookup: CredentialLookup;
  readonly #contents: StackContents;
  /** Credentials by their ids. */
  readonly credentials: CredentialsById;
  readonly stacks: Stacks;
  readonly organizations: Organizations;
  readonly api_keys: ApiKeys;

  constructor(parts: VaultDependencies) {
    this.#parts = parts;
    this.#guard = new Guard(parts);
    this.#stacks = new StackRecords(parts);
    this.#lookup = new CredentialLookup(parts);
    this.#contents = new StackContents(parts, this.#guard, this.#stacks, this.#lookup);
    this.stacks = new Stacks(parts, this.#guard, this.#stacks, this.#contents);
    this.#writer = new CredentialWriter(parts, this.#guard, this.#stacks);
    const directory = new OrganizationRegistry(parts);
    this.credentials = new CredentialsById(parts, this.#guard, this.#writer, this.#stacks, directory);
    this.organizations = new Organizations(parts.keys, this.#guard, directory);
    this.api_keys = new ApiKeys(parts, this.#guard, directory, this.organizations);
  }

  /** The key that values are sealed to for the caller's organization: 32 bytes in base64. */
  async publicKey(caller: Caller): Promise<string> {
    return (await this.organizations.keyringFor(caller)).box().public_key.toString('base64');
  }

  get services(): ServiceCatalogue {
    return this.#parts.services;
  }

  /** Stores one value, replacing all values of an existing credential, whose id stays. */
  async store(caller: Caller, raw: StoreInput): Promise<StoreOutput> {
    const input = parseInput(StoreInput, raw);
    const service = this.services.get(input.service_id);
    const field = fieldForType(service, input.credential_type);
    if (input.credential_value === undefined) {
      throw new VaultError(
        'INVALID_INPUT',
        `No value was given. Pass credential_value, best as "sealed:BASE64" made by \`keyhold seal\`, or ask the user to run \`keyhold store ${service.slug}\`.`,
      );
    }
    const given = new Map([[field, input.credential_value]]);
    const ref = refOf(caller, service.slug, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', 'store', ref);
    const values = checkValues(service, given, unsealing(this.#parts.sodium, keyring));
    const change = () => ({ type: input.credential_type, values });
    const meta = await this.#writer.write({ caller, keyring, action: 'store', ref, fields: [field], change });
    return {
      success: true,
      service_id: input.service_id,
      service_name: service.name,
      credential_type: input.credential_type,
      credential_id: meta.id,
      status: 'stored',
    };
  }

  /**
   * Merges values into a credential, or creates it. Fields that are not named keep their values. With
   * `require_service_in_stack`, rejects with NOT_FOUND, before it validates the values, unless the service was added to
   * the stack or has a credential in it.
   */
  async update(
    caller: Caller,
    raw: UpdateInput,
    { require_service_in_stack }: { readonly require_service_in_stack?: boolean } = {},
  ): Promise<UpdateOutput> {
    const authorized = require_service_in_stack
      ? await this.#contents.authorizeService(
          caller,
          requestedStack(caller, raw.stack_id),
          raw.service_id,
          UPDATE,
        )
      : undefined;
    const input = parseInput(UpdateInput, authorized ? { ...raw, service_id: authorized.service.slug } : raw);
    assertNoDroppedFields(raw, input);
    const service = authorized?.service ?? this.services.get(input.service_id);
    const ref = refOf(caller, service.slug, input);
    const keyring =
      authorized?.keyring ?? (await this.#guard.authorize(caller, UPDATE.scope, UPDATE.action, ref));
    const values = checkValues(
      service,
      new Map(Object.entries(input.credentials)),
      unsealing(this.#parts.sodium, keyring),
    );
    const updated_fields = [...values.keys()];
    const change: Mutation = (current) => ({
      type: current?.meta.type ?? service.credential_types[0] ?? 'custom',
      values: merged(current, values),
    });
    const meta = await this.#writer.write({
      caller,
      keyring,
      action: 'update',
      ref,
      fields: updated_fields,
      needs_values: true,
      change,
    });
    const status = credentialStatus(service, meta, this.#parts.now());
    return { message: 'Credentials updated successfully', updated_fields, ...status };
  }

  /** Which fields of one credential are added or missing. Never opens values. */
  async status(caller: Caller, raw: CredentialStatusInput): Promise<CredentialStatus> {
    const input = parseInput(CredentialStatusInput, raw);
    const service = this.services.get(input.service_id);
    const ref = refOf(caller, service.slug, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:read', undefined, ref);
    await this.#stacks.assertReadable(keyring, ref.user, ref.stack);
    const meta = await this.#lookup.find(keyring, ref);
    return credentialStatus(service, meta, this.#parts.now());
  }

  /** The statuses of the credentials of a stack, newest first, 100 at most. */
  async listCredentials(caller: Caller, raw: Omit<StatusInput, 'service_id'>): Promise<StatusList> {
    const input = parseInput(StatusInput, raw);
    const stack = authorizedStack(caller, input.stack_id);
    const keyring = await this.#guard.authorize(caller, 'credentials:read');
    await this.#stacks.assertReadable(keyring, caller.user, stack);
    const found = await newestOfStack(
      this.#parts,
      keyring,
      { user: caller.user, stack },
      LIST_PAGE_MAX + 1,
      (meta) => (input.name === undefined || meta.name === input.name) && canUseService(caller, meta.service),
    );
    const credentials = found.slice(0, LIST_PAGE_MAX).map((meta) => this.#summarize(meta));
    return { credentials, more: found.length > LIST_PAGE_MAX };
  }

  /** The services that match the query, and whether the stack has all their required fields. */
  async listServices(caller: Caller, raw: ListServicesInput): Promise<readonly ListedService[]> {
    const input = parseInput(ListServicesInput, raw);
    const stack = authorizedStack(caller, input.stack_id);
    const keyring = await this.#guard.authorize(caller, 'credentials:read');
    await this.#stacks.assertReadable(keyring, caller.user, stack);
    const services = this.services.list(input.query).filter(({ slug }) => canUseService(caller, slug));
    return describeServices(this.#parts, keyring, caller.user, stack, services);
  }

  /** Deletes a credential and destroys its values. */
  async delete(caller: Caller, raw: DeleteInput): Promise<void> {
    const input = parseInput(DeleteInput, raw);
    // A service whose definition was removed may still have credentials.
    const service = this.services.find(input.service_id);
    const ref = refOf(caller, service?.slug ?? input.service_id, input);
    // An unknown service id is not audited: it may be a misplaced value.
    const keyring = await this.#guard.authorize(caller, 'credentials:write', 'delete', service && ref);
    if (service === undefined && !(await this.#lookup.has(keyring, ref))) this.services.get(input.service_id);
    const change: Mutation = (current) => {
      if (current !== undefined) return 'delete';
      throw new VaultError(
        'NOT_FOUND',
        'There is no such credential to delete. get_credential_status shows what there is.',
      );
    };
    await this.#writer.write({ caller, keyring, action: 'delete', ref, fields: [], change });
  }

  /** Audit entries of the caller's organization, newest first, 100 at most. */
  async listAudit(
    caller: Caller,
    raw: AuditFilter = {},
    limit = LIST_PAGE_MAX,
    before?: number,
  ): Promise<AuditPage> {
    const filter = parseInput(AuditQuery, raw);
    const page = parseInput(AuditPaging, { limit, before });
    // Entries have the slug, which is the only id of a service that is no longer defined.
    const service_id =
      filter.service_id && (this.services.find(filter.service_id)?.slug ?? filter.service_id);
    const keyring = await this.#guard.authorize(caller, 'audit:read');
    return this.#parts.audit_log.list(keyring, { ...filter, service_id }, page.limit, page.before);
  }

  /** Compares the whole audit log with the records. Changes nothing. */
  async verifyAudit(caller: Caller, progress?: Progress, pace?: Pace): Promise<AuditReport> {
    const keyring = await this.#guard.authorize(caller, 'audit:read');
    return new AuditVerifier(this.#parts, keyring, pace).run(progress);
  }

  /** Whether the store can be read and written to. Fast, unlike `health`. */
  async isReady(): Promise<boolean> {
    return this.#parts.store.isReady();
  }

  /** Checks all data of the store. Slow. */
  async health(): Promise<StoreHealth> {
    return this.#parts.store.check();
  }

  /** Overwrites replaced and deleted data now. The store also does so shortly after the last write. */
  async scrub(): Promise<void> {
    await this.#parts.store.scrub();
  }

  async close(): Promise<void> {
    await this.#parts.store.close();
  }

  #summarize(meta: CredentialMeta): CredentialSummary {
    const service = this.services.find(meta.service);
    return {
      service_id: meta.service,
      service_name: service?.name ?? meta.service,
      name: meta.name,
      ...credentialStatus(service, meta, this.#parts.now()),
    };
  }
}

/** Decrypts the present values only if some of them stay. */
function merged(current: ExistingCredential | undefined, given: CredentialValues): CredentialValues {
  if (current === undefined || current.meta.fields.every((field) => given.has(field))) return given;
  return new Map([...current.values(), ...given]);
}

function refOf(
  caller: Caller,
  service: string,
  input: { readonly stack_id?: string | undefined; readonly name?: string | undefined },
): CredentialRef {
  return {
    user: caller.user,
    stack: requestedStack(caller, input.stack_id),
    service,
    name: input.name ?? null,
  };
}
