/**
 * Operations on the credential of a service in a stack of the caller: store, update, delete and status. The credential is
 * named by stack, service and name; `by_id.ts` has the operations of programs that know its id.
 */
import type { Caller } from '../../contract/caller.ts';
import {
  type CredentialStatus,
  CredentialStatusInput,
  DeleteInput,
  StoreInput,
  type StoreOutput,
  UpdateInput,
  type UpdateOutput,
} from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { parseInput } from '../../contract/validation.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { destinationOf, reviewDestination } from '../destinations/binding.ts';
import { type Guard, mayDecideFor, requestedStackId } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Protection, WriteOptions } from '../protection/protection.ts';
import type { Activity, CredentialActivity } from '../records/credential_activity.ts';
import { SealedValueReader } from '../sealed_values/reader.ts';
import type { StackContents } from '../stacks/contents.ts';
import type { StackRecords } from '../stacks/repository.ts';
import type { CredentialFindings } from '../uses/findings.ts';
import type { TestFinding } from '../uses/use.ts';
import { checkCommands } from '../values/command_values.ts';
import type { CommandSource } from '../values/value_source.ts';
import { type ApprovedDestination, checkedExpiry, type Mutation } from './changes.ts';
import type { CredentialMeta, CredentialRef } from './codec.ts';
import { requestedRef } from './name.ts';
import { mergeValues, replaceValue, type ValueReplacement } from './replace_value.ts';
import { credentialStatus } from './status.ts';
import { assertNoDroppedFields, checkValues, fieldForType } from './value_validation.ts';
import { type CredentialWriter, noSuchCredential } from './writer.ts';

export interface UpdateOptions extends WriteOptions {
  readonly require_service_in_stack?: boolean;
  /** Commands whose output is the value of a field, by field id. Only of the local command line. */
  readonly commands?: ReadonlyMap<string, CommandSource>;
  /** Changes fields that decide where the stored secrets are sent, to this destination. For the local command line. */
  readonly approved_destination?: ApprovedDestination;
}

/** What a person decides on. `null`: not bound, as long as a field is missing. */
export interface DestinationChange {
  readonly bound: ApprovedDestination;
  readonly next: ApprovedDestination;
}

const UPDATE = { scope: 'credentials:write', action: 'update' } as const;

export class CredentialsByService {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #writer: CredentialWriter;
  readonly #stacks: StackRecords;
  readonly #contents: StackContents;
  readonly #activity: CredentialActivity;
  readonly #protection: Protection;
  readonly #findings: CredentialFindings;

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    writer: CredentialWriter,
    stacks: StackRecords,
    contents: StackContents,
    activity: CredentialActivity,
    protection: Protection,
    findings: CredentialFindings,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#writer = writer;
    this.#stacks = stacks;
    this.#contents = contents;
    this.#activity = activity;
    this.#protection = protection;
    this.#findings = findings;
  }

  /**
   * Stores one value. Removes the fields that belong to the value it replaces, such as its refresh token, and keeps the
   * others, such as a client id. An existing credential keeps its id.
   */
  async store(caller: Caller, raw: StoreInput, options: WriteOptions): Promise<StoreOutput> {
    const input = parseInput(StoreInput, raw);
    const { services, now, references } = this.#parts;
    const service = services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'store');
    const field = fieldForType(service, input.credential_type);
    if (input.credential_value === undefined) {
      throw new VaultError(
        'INVALID_INPUT',
        `No value was given. Give one, best as "sealed:..." made by \`keyhold seal ${service.slug}\`, or have the user run \`keyhold store ${service.slug}\`.`,
      );
    }
    const texts = new Map([[field, input.credential_value]]);
    const sealed = await SealedValueReader.create(this.#parts, caller, keyring, ref, texts);
    const [value] = checkValues(service, texts, sealed.open, 'refuse', references).values();
    if (value === undefined) throw new Error('no value');
    const expires_at = checkedExpiry(input, now());
    let replaced: ValueReplacement | undefined;
    const change: Mutation = (current) => {
      replaced = replaceValue(current, service, field, value);
      return { type: input.credential_type, values: replaced.values, expires_at };
    };
    const given = { mode: 'store', values: new Map([[field, value]]), nonces: sealed.nonces } as const;
    const request = { caller, keyring, action: 'store', ref, change, verify: input.verify } as const;
    const { meta, pending, tested } = await this.#protection.write(
      request,
      given,
      writeOptions(input, options),
    );
    const shared = {
      success: true,
      service_id: input.service_id,
      service_name: service.name,
      credential_type: input.credential_type,
      credential_id: meta.id,
      ...(tested === undefined ? {} : { test: tested.test }),
    } as const;
    if (pending !== undefined) {
      const unchanged = { updated_fields: [], kept_fields: [...meta.fields], removed_fields: [] };
      return { ...shared, status: 'pending_approval', pending_approval: pending, ...unchanged };
    }
    await this.#keepTest(caller, service, meta, tested);
    return {
      ...shared,
      status: 'stored',
      updated_fields: [field],
      kept_fields: [...(replaced?.kept ?? [])],
      removed_fields: [...(replaced?.removed ?? [])],
    };
  }

  /** See `Vault.update`. */
  async update(caller: Caller, raw: UpdateInput, options: UpdateOptions): Promise<UpdateOutput> {
    const { require_service_in_stack, commands = new Map(), approved_destination } = options;
    const authorized = require_service_in_stack
      ? await this.#contents.authorizeService(
          caller,
          requestedStackId(caller, raw.stack_id),
          raw.service_id,
          UPDATE,
        )
      : undefined;
    const input = parseInput(UpdateInput, authorized ? { ...raw, service_id: authorized.service.slug } : raw);
    assertNoDroppedFields(raw, input);
    const { services, now, references } = this.#parts;
    const service = authorized?.service ?? services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring =
      authorized?.keyring ?? (await this.#guard.authorize(caller, UPDATE.scope, ref, UPDATE.action));
    if (approved_destination !== undefined) await this.#assertPerson(caller, keyring, ref);
    const given = new Map(Object.entries(input.credentials));
    const sealed = await SealedValueReader.create(this.#parts, caller, keyring, ref, given);
    const checked_commands = checkCommands(caller, service, commands);
    const expires_at = checkedExpiry(input, now());
    const has_no_texts = given.size === 0 && (commands.size > 0 || expires_at !== undefined);
    const checked = has_no_texts ? [] : checkValues(service, given, sealed.open, 'refuse', references);
    const values = new Map([...checked, ...checked_commands]);
    const change: Mutation = (current) => {
      if (current === undefined && values.size === 0) throw noSuchCredential();
      return {
        type: current?.meta.type ?? service.credential_types[0] ?? 'custom',
        values: mergeValues(current, values),
        approved: approved_destination,
        expires_at,
      };
    };
    const action = approved_destination === undefined ? 'update' : 'approve_destination';
    const given_values = { mode: 'merge', values, nonces: sealed.nonces } as const;
    const request = { caller, keyring, action, ref, change, verify: input.verify } as const;
    const { meta, pending, tested } = await this.#protection.write(
      request,
      given_values,
      writeOptions(input, options),
    );
    if (pending === undefined) await this.#keepTest(caller, service, meta, tested);
    const status = {
      ...(await this.#statusOf(keyring, service, meta, await this.#activity.of(keyring, meta))),
      ...(tested === undefined ? {} : { test: tested.test }),
    };
    if (pending !== undefined) {
      const message = 'The values wait for approval';
      return {
        message,
        updated_fields: [],
        ...status,
        pending_approval: pending,
        status: 'pending_approval',
      };
    }
    return { message: 'Credentials updated successfully', updated_fields: [...values.keys()], ...status };
  }

  /** Keeps the test that the values of a write have passed with the credential that has them now. Never rejects. */
  async #keepTest(
    caller: Caller,
    service: Service,
    meta: CredentialMeta,
    tested: TestFinding | undefined,
  ): Promise<void> {
    if (tested === undefined) return;
    const found = { ...meta, credential_id: meta.id, service, is_rejected: meta.rejected !== undefined };
    // After the commit nothing may fail: the values are stored.
    await this.#findings.keepTest(caller, found, tested).catch(() => undefined);
  }

  /** See `Vault.previewDestination`. */
  async previewDestination(caller: Caller, raw: UpdateInput): Promise<DestinationChange> {
    const input = parseInput(UpdateInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'approve_destination');
    await this.#assertPerson(caller, keyring, ref);
    const { store, codec } = this.#parts;
    const credentials = new Map(Object.entries(input.credentials));
    const sealed = await SealedValueReader.create(this.#parts, caller, keyring, ref, credentials);
    const given = checkValues(service, credentials, sealed.open, 'refuse', this.#parts.references);
    const found = await store.find(codec.indexOf(keyring, ref));
    const row = found && (await store.get(found.id));
    const stored = row === undefined ? [] : codec.openValues(keyring, row);
    const meta = row && codec.openMeta(keyring, row);
    const next = destinationOf(this.#parts, service, new Map([...stored, ...given]));
    const bound = meta && reviewDestination(this.#parts, service, meta).bound;
    return { bound: bound ?? null, next: next ?? null };
  }

  /** Throws FORBIDDEN, and audits it, unless the caller is a person: the owner or an administrator. */
  async #assertPerson(caller: Caller, keyring: OrganizationKeyring, ref: CredentialRef): Promise<void> {
    if (mayDecideFor(caller, ref.user)) return;
    await this.#guard.recordDenial(caller, keyring, 'approve_destination', ref, 'not a person');
    const message =
      'Only a person who owns the credential approves a destination, on the pages of Keyhold or with `keyhold update` at the machine of the vault.';
    throw new VaultError('FORBIDDEN', message);
  }

  /** Which fields of one credential are added or missing. Never opens values. */
  async status(caller: Caller, raw: CredentialStatusInput): Promise<CredentialStatus> {
    const input = parseInput(CredentialStatusInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:read', ref);
    await this.#stacks.assertReadable(keyring, ref.user, ref.stack);
    const { meta, activity } = await this.#activity.find(keyring, ref);
    return this.#statusOf(keyring, service, meta, activity);
  }

  async #statusOf(
    keyring: OrganizationKeyring,
    service: Service,
    meta: CredentialMeta | undefined,
    activity: Activity,
  ): Promise<CredentialStatus> {
    const review = meta && reviewDestination(this.#parts, service, meta);
    const pending_approval = await this.#protection.pendingOf(keyring, meta);
    const status = credentialStatus(service, meta, this.#parts.now(), review);
    return { ...status, pending_approval, ...activity };
  }

  /** Deletes a credential and destroys its values. */
  async delete(caller: Caller, raw: DeleteInput): Promise<void> {
    const input = parseInput(DeleteInput, raw);
    const { services } = this.#parts;
    // A service whose definition was removed may still have credentials.
    const service = services.find(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'delete');
    const deletion = this.#parts.revocations.deletion(caller);
    const change: Mutation = (current) => {
      if (current !== undefined) return deletion.change(current);
      // Throws NOT_FOUND for an unknown service.
      services.get(input.service_id);
      throw new VaultError('NOT_FOUND', 'There is no such credential to delete.');
    };
    const deleted = { action: 'delete', fields: [], needs_values: true } as const;
    const meta = await this.#writer.write({ caller, keyring, ref, change, ...deleted });
    deletion.revoke(keyring);
    await this.#activity.forget(keyring, meta.id);
  }
}

/** Only values wait for a person: an expiry is refused for a protected credential. */
function writeOptions({ expires_at }: Pick<StoreInput, 'expires_at'>, options: WriteOptions): WriteOptions {
  return expires_at === undefined ? options : { ...options, refuse_protected: true };
}
