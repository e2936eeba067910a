/**
 * Handles: a caller requests one, and a person of the same user completes or declines it at a page. Completing writes the
 * values through the same operations as every caller, and consumes the handle in the same transaction. Never reads a value.
 */
import { hkdfSync } from 'node:crypto';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import {
  type CompletedHandle,
  HandleInput,
  type HandleStatus,
  type NewHandle,
  type OpenHandle,
} from '../../contract/handle.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import type { Service } from '../../contract/service/service.ts';
import { parseInput } from '../../contract/validation.ts';
import { definitionDigest } from '../../services/destination.ts';
import type { ChangePlan } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { CredentialsByService } from '../credentials/by_service.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import type { CredentialLookup } from '../credentials/lookup.ts';
import { requestedRef } from '../credentials/name.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { destinationOf, reviewDestination } from '../destinations/binding.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import { credentialProtected, isProtectedFrom } from '../protection/rule.ts';
import type { StackRecords } from '../stacks/repository.ts';
import { fieldsToEnter, givenValues, isDestinationAmong } from './fields.ts';
import { factsOfHandle, isRequester, PendingHandles } from './pending_handles.ts';
import { type HandleMeta, type HandleRecords, noSuchHandle } from './records.ts';

const REQUEST_STATE_KEY_BYTES = 32;

export class Handles {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #lookup: CredentialLookup;
  readonly #valid_keys: ApiKeySet;
  readonly #credentials: CredentialsByService;
  /** For connections, which complete handles too. */
  readonly pending: PendingHandles;
  readonly #records: HandleRecords;

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    stacks: StackRecords,
    lookup: CredentialLookup,
    valid_keys: ApiKeySet,
    credentials: CredentialsByService,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#lookup = lookup;
    this.#valid_keys = valid_keys;
    this.#credentials = credentials;
    this.pending = new PendingHandles(parts, guard, valid_keys);
    this.#records = this.pending.records;
  }

  /**
   * Requests values from a person. All restrictions of the caller apply as if it gave the values itself. RATE_LIMITED if too
   * many handles of the user wait.
   */
  async create(caller: Caller, raw: HandleInput): Promise<NewHandle> {
    const input = parseInput(HandleInput, raw);
    const { store, services, records, audit_log, now } = this.#parts;
    const service = services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'create_handle');
    await this.#guard.auditDenials(caller, keyring, 'create_handle', ['NOT_FOUND'], ref, () =>
      this.#stacks.assertReadable(keyring, ref.user, ref.stack),
    );
    const present = await this.#lookup.find(keyring, ref);
    if (present === undefined && ref.name !== null) assertNewName('credential', ref.name);
    const { fields, required } = fieldsToEnter(service, present, input, now());
    await this.#records.assertBelowLimit(keyring, caller.user);
    const handle = this.#records.newHandle();
    const meta = this.#records.newMeta(caller, handle, ref, {
      definition: definitionDigest(service),
      credential_type: input.credential_type ?? null,
      fields,
      required,
      verify: input.verify ?? false,
    });
    const id = records.newRandomId();
    const facts = factsOfHandle({ id, revision: 1, meta }, ref, present);
    await store.change(this.#valid_keys.reads(caller, keyring), ([key_set]): ChangePlan<void> => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const audit = [audit_log.append(keyring, newEntry(caller, 'create_handle', now(), facts))];
      return { batch: { writes: [this.#records.create(keyring, id, meta)], audit }, result: undefined };
    });
    this.#records.sweep(keyring);
    const { code, created_at, expires_at } = meta;
    // On the web, a person made it and is at the page.
    if (caller.edge !== 'web') {
      const { organization, user } = caller;
      const summary = `an agent requests values for ${service.name}: ${fields.join(', ')}`;
      const waiting = { kind: 'handle', approval_id: null, organization, user, summary } as const;
      this.#parts.notify({ ...waiting, code, created_at, expires_at });
    }
    const credential_id = present?.id ?? null;
    return { handle, code, expires_at, service_name: service.name, credential_id, fields };
  }

  /** The state of a handle, for the caller that requested it. NOT_FOUND for every other caller. */
  async status(caller: Caller, handle: string): Promise<HandleStatus> {
    const keyring = await this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
    const found = await this.#records.find(keyring, handle);
    if (found === undefined || !isRequester(caller, found)) throw noSuchHandle();
    const { code, expires_at, service: service_id, stack: stack_id, name } = found.meta;
    const state = this.#records.stateOf(found);
    const is_ended = state === 'pending' && !(await this.pending.isUsable(keyring, found));
    return { state: is_ended ? 'expired' : state, code, expires_at, service_id, stack_id, name };
  }

  /** How many handles of the user wait for a person. */
  async countPending(caller: Caller): Promise<number> {
    const keyring = await this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
    return this.#records.countPending(keyring, caller.user);
  }

  /** What the page shows. NOT_FOUND for another user; EXPIRED for a handle that was used, declined or has expired. */
  async open(person: Caller, handle: string): Promise<OpenHandle> {
    const { keyring, found, service, ref } = await this.pending.open(person, handle, 'complete_handle');
    const { meta } = found;
    const present = await this.#lookup.find(keyring, ref);
    if (present !== undefined && isProtectedFrom(person, present)) throw credentialProtected();
    const { edge, api_key_id = null, claimed_client = null } = meta.requested_by;
    return {
      code: meta.code,
      expires_at: meta.expires_at,
      service_id: meta.service,
      stack_id: meta.stack,
      name: meta.name,
      fields: meta.fields.map((field_id) => ({ field_id, required: meta.required.includes(field_id) })),
      replaces: present?.fields.some((field) => meta.fields.includes(field)) ?? false,
      edge,
      api_key_id,
      claimed_client,
      destination: this.#destination(service, meta, present),
      verify: meta.verify,
    };
  }

  /**
   * Stores the values that a person entered, by field id; empty ones are left out. Consumes the handle, or changes nothing.
   * Throws as `open`, and as `store` and `update` for the values.
   */
  async complete(
    person: Caller,
    handle: string,
    given: Readonly<Record<string, string>>,
  ): Promise<CompletedHandle> {
    const { keyring, found, service, ref } = await this.pending.open(person, handle, 'complete_handle');
    const { meta } = found;
    const values = givenValues(service, meta, given);
    const target = {
      service_id: meta.service,
      stack_id: meta.stack,
      name: meta.name ?? undefined,
      verify: meta.verify,
    };
    const options = {
      refuse_protected: true,
      also: this.pending.consume(person, { keyring, found, ref }, Object.keys(values)),
    };
    const [credential_value = ''] = Object.values(values);
    const { credential_type } = meta;
    const { credential_id } =
      credential_type === null
        ? await this.#credentials.update(person, { ...target, credentials: values }, options)
        : await this.#credentials.store(person, { ...target, credential_type, credential_value }, options);
    this.#records.sweep(keyring);
    return {
      credential_id: credential_id ?? '',
      service_name: service.name,
      fields: Object.keys(values),
    };
  }

  /** Ends a handle without values. Throws as `open`. Its caller declines it too, if the client refuses to open the page. */
  async decline(caller: Caller, handle: string): Promise<void> {
    const { keyring, found, ref } = await this.pending.open(caller, handle, 'decline_handle');
    const { store, audit_log, now } = this.#parts;
    const reads = [this.#records.read(keyring, found)];
    await store.change(reads, ([loaded]): ChangePlan<void> => {
      const present = this.#records.openPending(keyring, loaded);
      const entry = newEntry(caller, 'decline_handle', now(), factsOfHandle(present, ref));
      const writes = [this.#records.setState(keyring, present, 'declined')];
      return { batch: { writes, audit: [audit_log.append(keyring, entry)] }, result: undefined };
    });
  }

  /** The key that an interface signs the state of a request with; the same in all processes. Needs no scope. */
  async requestStateKey({ organization }: Caller): Promise<Buffer> {
    const keyring = await this.#parts.keys.organization(organization);
    if (keyring === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    const label = 'keyhold request state';
    return Buffer.from(hkdfSync('sha256', keyring.keys.index, '', label, REQUEST_STATE_KEY_BYTES));
  }

  /** Where the values will be sent, as far as it is known before they are entered. */
  #destination(
    service: Service,
    { fields }: HandleMeta,
    present: CredentialMeta | undefined,
  ): readonly string[] | null {
    if (isDestinationAmong(service, fields)) return null;
    const bound = present && reviewDestination(this.#parts, service, present).bound;
    return (bound ?? destinationOf(this.#parts, service, new Map()))?.origins ?? null;
  }
}
