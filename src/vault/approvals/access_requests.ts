/**
 * Access requests: an agent requests a service, and a person of the same user accepts or denies within a day. Accepting adds a
 * definition for a service that is not in the catalogue, and keeps the use policy that the person chose for the credential:
 * it is set when its values are stored first. Stores no value.
 */

import { AcceptAccessInput, type AccessRequest, RequestAccessInput } from '../../contract/access_request.ts';
import type { Approval } from '../../contract/approval.ts';
import type { Caller } from '../../contract/caller.ts';
import { CredentialStatusInput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { ACCESS_REQUEST_AGE_MS, ACCESS_REQUESTS_PER_USER_MAX } from '../../contract/limits.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import type { UsePolicy } from '../../contract/use/policy.ts';
import { parseInput } from '../../contract/validation.ts';
import type { ChangePlan, RecordWrite } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import { type CredentialRef, isSameRef } from '../credentials/codec.ts';
import { requestedRef } from '../credentials/name.ts';
import type { DefinitionApprovals } from '../definitions/definition_approvals.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { newConfirmationCode } from '../records/confirmation_code.ts';
import { EntityRepository, NO_WRITES, removal } from '../records/entity_repository.ts';
import { idBytes, idText } from '../records/record_codec.ts';
import type { StackRecords } from '../stacks/repository.ts';
import { requestedDefinition, requestedService } from './access_definition.ts';
import {
  type AccessMeta,
  acceptedRef,
  accessDenied,
  alreadyStored,
  describeAccess,
  type FoundAccess as Found,
  factsOf,
  keyOf,
  notYours,
  resultOf,
  tooMany,
  waitingAccess,
} from './access_record.ts';
import { noSuchApproval } from './destination_approvals.ts';
import type { FoundApproval } from './value_approvals.ts';

export class AccessRequests {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #valid_keys: ApiKeySet;
  readonly #definitions: DefinitionApprovals;
  readonly #records: EntityRepository<AccessMeta>;

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    stacks: StackRecords,
    valid_keys: ApiKeySet,
    definitions: DefinitionApprovals,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#valid_keys = valid_keys;
    this.#definitions = definitions;
    this.#records = new EntityRepository(parts, 'access_request');
  }

  /** Requests access. A request for the same credential that waits is returned again. Throws RATE_LIMITED, and FORBIDDEN if a person denied it. */
  async request(caller: Caller, raw: RequestAccessInput): Promise<AccessRequest> {
    const input = parseInput(RequestAccessInput, raw);
    const { services, store, audit_log, now } = this.#parts;
    const custom =
      input.base_url === undefined
        ? undefined
        : requestedService(input.base_url, input.fields, services.list());
    const service_id = custom?.slug ?? services.get(input.service_id ?? '').slug;
    const ref = await requestedRef(this.#guard, caller, services.find(service_id), { ...input, service_id });
    const keyring = await this.#guard.authorize(caller, 'credentials:use', ref, 'request_access');
    await this.#stacks.assertReadable(keyring, ref.user, ref.stack);
    const all = await this.#all(keyring);
    const expired = all.filter((one) => this.#isExpired(one));
    const waiting = all.filter((one) => one.meta.user === caller.user && this.#isPending(one));
    const at = now();
    const meta: AccessMeta = {
      ...ref,
      api_key_id: caller.api_key_id ?? null,
      edge: caller.edge,
      claimed_client: caller.claimed_client ?? null,
      base_url: custom?.base_url ?? null,
      fields: custom?.fields ?? [],
      reason: input.reason,
      code: newConfirmationCode(this.#parts.random),
      created_at: at.toISOString(),
      expires_at: new Date(at.getTime() + ACCESS_REQUEST_AGE_MS).toISOString(),
      state: 'pending',
      decided_at: null,
      decided_by: null,
      use_policy: null,
    };
    const created: Found = { id: this.#parts.records.newRandomId(), revision: 1, meta };
    const reads = [
      { index: this.#records.indexOf(keyring, keyOf(ref)) },
      ...this.#valid_keys.reads(caller, keyring),
    ];
    const found = await store.change(reads, ([loaded, key_set]): ChangePlan<Found> => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const known = this.#records.openOwn(keyring, loaded?.row);
      if (known !== undefined && !this.#isExpired(known)) {
        if (known.meta.state === 'denied') throw accessDenied();
        return { batch: NO_WRITES, result: known };
      }
      if (waiting.length >= ACCESS_REQUESTS_PER_USER_MAX) throw tooMany();
      const former =
        loaded === undefined ? [] : [{ id: idText(loaded.row.id), revision: loaded.row.revision }];
      const others = expired.filter(({ id }) => id !== former[0]?.id);
      const entry = newEntry(caller, 'request_access', at, factsOf(created));
      const writes = [...others, ...former].map(removal);
      return {
        batch: {
          writes: [...writes, this.#put(keyring, created)],
          audit: [audit_log.append(keyring, entry)],
        },
        result: created,
      };
    });
    if (found === created) this.#parts.notify(waitingAccess(this.#describeFound(found, caller.organization)));
    return resultOf(found);
  }

  /**
   * The request for this credential that waits or was accepted; `undefined` without one, and once the credential is stored as
   * it was requested.
   */
  async statusFor(
    caller: Caller,
    input: Pick<CredentialStatusInput, 'service_id' | 'stack_id' | 'name'>,
  ): Promise<AccessRequest | undefined> {
    const { service_id, stack_id, name } = parseInput(CredentialStatusInput, input);
    const service = this.#parts.services.find(service_id);
    const ref = await requestedRef(this.#guard, caller, service, { service_id, stack_id, name });
    const keyring = await this.#guard.authorize(caller, 'credentials:read', ref);
    const found = await this.#records.find(keyring, keyOf(ref));
    if (found === undefined || this.#isExpired(found) || found.meta.state === 'denied') return undefined;
    const is_stored = (await this.#parts.store.find(this.#parts.codec.indexOf(keyring, ref))) !== undefined;
    return is_stored ? undefined : resultOf(found);
  }

  /** The limits for a credential that is created now, if a person accepted a request for it. */
  async acceptedPolicy(keyring: OrganizationKeyring, ref: CredentialRef): Promise<UsePolicy | undefined> {
    const accepted = (await this.#all(keyring)).filter(
      (one) =>
        one.meta.state === 'approved' && !this.#isExpired(one) && isSameRef(acceptedRef(one.meta), ref),
    );
    const [latest] = accepted.sort((a, b) =>
      (a.meta.decided_at ?? '') < (b.meta.decided_at ?? '') ? 1 : -1,
    );
    return latest?.meta.use_policy ?? undefined;
  }

  /** Those that were decided on and have not expired. */
  async listDecided(keyring: OrganizationKeyring, { organization }: Caller): Promise<readonly Approval[]> {
    const decided = (await this.#all(keyring)).filter(
      (one) => one.meta.state !== 'pending' && !this.#isExpired(one),
    );
    return decided.map((one) => this.#describeFound(one, organization));
  }

  async list(keyring: OrganizationKeyring, { organization }: Caller): Promise<readonly Approval[]> {
    const waiting = (await this.#all(keyring)).filter((one) => this.#isPending(one));
    return waiting.map((one) => this.#describeFound(one, organization));
  }

  async find(
    keyring: OrganizationKeyring,
    { organization }: Caller,
    id: string,
  ): Promise<FoundApproval | undefined> {
    const found = await this.#records.get(keyring, id);
    if (found === undefined || this.#isExpired(found)) return undefined;
    return { approval: this.#describeFound(found, organization), api_key_id: found.meta.api_key_id };
  }

  /**
   * Accepts a request of the caller's own user, with limits. FORBIDDEN for that of another user, and for a service that is not
   * in the catalogue unless the caller may add services; NOT_FOUND for a stack that the caller has no right to edit; CONFLICT if
   * it was decided before, and if the credential exists.
   */
  async accept(
    keyring: OrganizationKeyring,
    caller: Caller,
    id: string,
    raw: AcceptAccessInput,
  ): Promise<Approval> {
    const { use_policy = null, ...where } = parseInput(AcceptAccessInput, raw);
    const before = await this.#records.get(keyring, id);
    if (before === undefined || !this.#isPending(before)) throw noSuchApproval();
    if (before.meta.user !== caller.user) throw notYours();
    const { base_url, service: slug, fields } = before.meta;
    const ref = await this.#narrowedRef(caller, before.meta, where);
    const is_stored = (await this.#parts.store.find(this.#parts.codec.indexOf(keyring, ref))) !== undefined;
    if (is_stored && (use_policy !== null || !isSameRef(ref, before.meta))) throw alreadyStored();
    if (base_url !== null && this.#parts.services.find(slug) === undefined)
      await this.#definitions.addNew(caller, requestedDefinition({ slug, base_url, fields }));
    const { user, stack, name } = ref;
    const moved = isSameRef(ref, before.meta) ? {} : { accepted_as: { user, stack, name } };
    return this.#decide(keyring, caller, id, { state: 'approved', use_policy, ...moved });
  }

  async #narrowedRef(
    caller: Caller,
    requested: CredentialRef,
    { stack_id, name }: Pick<AcceptAccessInput, 'stack_id' | 'name'>,
  ): Promise<CredentialRef> {
    if (stack_id === undefined && name === undefined) return requested;
    const { service: service_id } = requested;
    const service = this.#parts.services.find(service_id);
    const ref = await requestedRef(this.#guard, caller, service, {
      service_id,
      stack_id: stack_id ?? requested.stack,
      name: (name === undefined ? requested.name : name) ?? undefined,
    });
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'approve_access');
    await this.#stacks.assertReadable(keyring, ref.user, ref.stack);
    if (ref.name !== null && ref.name !== requested.name) assertNewName('credential', ref.name);
    return ref;
  }

  deny(keyring: OrganizationKeyring, caller: Caller, id: string): Promise<Approval> {
    return this.#decide(keyring, caller, id, { state: 'denied', use_policy: null });
  }

  async #decide(
    keyring: OrganizationKeyring,
    caller: Caller,
    id: string,
    decision: Pick<AccessMeta, 'state' | 'use_policy' | 'accepted_as'>,
  ): Promise<Approval> {
    const { store, audit_log, now } = this.#parts;
    const reads = [{ id: idBytes(id) }, ...this.#valid_keys.reads(caller, keyring)];
    const decided = await store.change(reads, ([loaded, key_set]): ChangePlan<Found> => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const found = this.#records.openOwn(keyring, loaded?.row);
      if (found === undefined || this.#isExpired(found)) throw noSuchApproval();
      if (found.meta.state !== 'pending') {
        const message = `This request was ${found.meta.state === 'denied' ? 'denied' : 'accepted'} already.`;
        throw new VaultError('CONFLICT', message, { reason: 'approval_used' });
      }
      const at = now();
      const meta: AccessMeta = {
        ...found.meta,
        ...decision,
        decided_at: at.toISOString(),
        decided_by: caller.user,
        // The values are entered within a day.
        expires_at: new Date(at.getTime() + ACCESS_REQUEST_AGE_MS).toISOString(),
      };
      const changed = { id, revision: found.revision + 1, meta };
      const action = decision.state === 'approved' ? 'approve_access' : 'deny_access';
      const audit = [audit_log.append(keyring, newEntry(caller, action, at, factsOf(changed)))];
      return { batch: { writes: [this.#put(keyring, changed)], audit }, result: changed };
    });
    return this.#describeFound(decided, caller.organization);
  }

  #all(keyring: OrganizationKeyring): Promise<readonly Found[]> {
    return this.#records.list(keyring, this.#records.scope(keyring, []), Number.POSITIVE_INFINITY);
  }

  #isExpired({ meta }: Found): boolean {
    return Date.parse(meta.expires_at) <= this.#parts.now().getTime();
  }

  #isPending(found: Found): boolean {
    return found.meta.state === 'pending' && !this.#isExpired(found);
  }

  #put(keyring: OrganizationKeyring, { id, revision, meta }: Found): RecordWrite {
    const ref = { key: keyOf(meta), scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, id, revision, meta);
  }

  #describeFound(found: Found, organization: string): Approval {
    const { name = found.meta.service } = this.#parts.services.find(found.meta.service) ?? {};
    return describeAccess(found, name, organization);
  }
}
