/**
 * Handles that wait for a person: finds one for the person at a page or at a provider, and makes the writes that consume it in
 * the transaction of the credential. Never reads a value.
 */
import type { AuditAction } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { definitionDigest } from '../../services/destination.ts';
import type { LoadedRow } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { type EntryFacts, newEntry } from '../audit/entry.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import { requestedRef } from '../credentials/name.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { RelatedWrites } from '../protection/pending_values.ts';
import { endedHandle, type FoundHandle, HandleRecords, noSuchHandle } from './records.ts';

/** A handle with the keys of its organization and the credential that it is for. */
export interface OpenedHandle {
  readonly keyring: OrganizationKeyring;
  readonly found: FoundHandle;
  readonly service: Service;
  readonly ref: CredentialRef;
}

export class PendingHandles {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #valid_keys: ApiKeySet;
  readonly records: HandleRecords;

  constructor(parts: VaultDependencies, guard: Guard, valid_keys: ApiKeySet) {
    this.#parts = parts;
    this.#guard = guard;
    this.#valid_keys = valid_keys;
    this.records = new HandleRecords(parts);
  }

  /** Finds a pending handle of the user, and authorizes the write that it is for. `handle`: itself, or its hash. */
  async open(
    person: Caller,
    handle: string | { readonly hash: string },
    action: AuditAction,
  ): Promise<OpenedHandle> {
    const keyring = await this.#guard.authorize(person, 'credentials:write', NO_SINGLE_STACK, action);
    const found = await this.records.find(keyring, handle);
    if (found === undefined) throw noSuchHandle();
    // A person at a page may have another key than the program that requested it; a program may not.
    if (found.meta.user !== person.user || (person.edge !== 'web' && !isRequester(person, found))) {
      await this.#guard.recordDenial(person, keyring, action, NO_SINGLE_STACK, 'handle of another caller');
      throw noSuchHandle();
    }
    const { service: slug, stack, name } = found.meta;
    this.records.assertPending(found);
    const service = this.#parts.services.find(slug);
    if (service === undefined || !(await this.isUsable(keyring, found))) throw endedHandle('expired');
    const input = { service_id: slug, stack_id: stack, name: name ?? undefined };
    const ref = await requestedRef(this.#guard, person, service, input);
    await this.#guard.authorize(person, 'credentials:write', ref, action);
    return { keyring, found, service, ref };
  }

  /** Whether the API key that requested the handle is valid, and the service is defined as it was then. */
  async isUsable(keyring: OrganizationKeyring, { meta }: FoundHandle): Promise<boolean> {
    const service = this.#parts.services.find(meta.service);
    if (service === undefined || definitionDigest(service) !== meta.definition) return false;
    const { api_key_id } = meta.requested_by;
    if (api_key_id === undefined) return true;
    return (await this.#valid_keys.idsOf(keyring, meta.user)).includes(api_key_id);
  }

  /** The writes that consume the handle in the transaction of the credential. */
  consume(
    person: Caller,
    { keyring, found, ref }: Pick<OpenedHandle, 'keyring' | 'found' | 'ref'>,
    fields: readonly string[],
  ): RelatedWrites {
    const { audit_log, now } = this.#parts;
    const requester: Caller = { ...person, api_key_id: found.meta.requested_by.api_key_id };
    return {
      reads: [this.records.read(keyring, found), ...this.#valid_keys.reads(requester, keyring)],
      writes: ([loaded, key_set]) => {
        const present = this.records.openPending(keyring, loaded);
        this.#assertKeyValid(requester, keyring, key_set);
        return [this.records.setState(keyring, present, 'done')];
      },
      audit: () => {
        const facts = { ...factsOfHandle(found, ref), fields };
        return [audit_log.append(keyring, newEntry(person, 'complete_handle', now(), facts))];
      },
    };
  }

  /** Throws EXPIRED if the API key that requested the handle was revoked since it was opened. */
  #assertKeyValid(requester: Caller, keyring: OrganizationKeyring, key_set: LoadedRow | undefined): void {
    try {
      this.#valid_keys.assertNotRevoked(requester, keyring, key_set);
    } catch (error) {
      const is_revoked = error instanceof VaultError && error.code === 'UNAUTHENTICATED';
      throw is_revoked ? endedHandle('expired') : error;
    }
  }
}

/** Whether this user requested it, with the same API key. */
export function isRequester(caller: Caller, { meta }: FoundHandle): boolean {
  return meta.user === caller.user && meta.requested_by.api_key_id === caller.api_key_id;
}

/** How the audit log names a handle. */
export function factsOfHandle(
  { id, revision, meta }: FoundHandle,
  ref: CredentialRef,
  present?: CredentialMeta,
): EntryFacts {
  return {
    ref,
    ...(present === undefined ? {} : { credential_id: present.id }),
    record_id: id,
    revision,
    fields: meta.fields,
  };
}
