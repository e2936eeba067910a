/**
 * Protected credentials: a person protects one; the values that others then give for it are kept
 * for a person to decide.
 */
import type { PendingApproval } from '../../contract/approval.ts';
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, isPerson } from '../../contract/caller.ts';
import { DeleteInput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { parseInput } from '../../contract/validation.ts';
import type { AccessRequests } from '../approvals/access_requests.ts';
import { type Mutation, TriedWriteError } from '../credentials/changes.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import { requestedRef } from '../credentials/name.ts';
import { CredentialMovedError, type CredentialWriter, type WriteRequest } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, mayDecideFor } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import type { CredentialValues } from '../records/record_codec.ts';
import type { Candidates, TriedWrite } from '../uses/candidates.ts';
import type { TestFinding } from '../uses/use.ts';
import {
  describePending,
  type GivenValues,
  type PendingValues,
  type RelatedWrites,
} from './pending_values.ts';
import { ProtectedValuesError } from './rule.ts';

export interface WriteOptions {
  /** Whether only a person may change the credential afterwards. Only of persons. */
  readonly protect?: boolean | undefined;
  /** Rejects with FORBIDDEN, reason `credential_protected`, instead of keeping the values for a person to decide. */
  readonly refuse_protected?: boolean;
  /** Further writes in the same transaction. */
  readonly also?: RelatedWrites | undefined;
}

export interface ProtectionState {
  readonly credential_id: string;
  readonly protected: boolean;
}

/** `pending`: the credential is unchanged, and the values wait. `tested`: what the test before it found. */
export interface ValuesWritten {
  readonly meta: CredentialMeta;
  readonly pending?: PendingApproval | undefined;
  readonly tested?: TestFinding | undefined;
}

/** `verify`: whether the values are tested first, and only stored if the service accepts them. */
type ValuesWrite = Pick<WriteRequest, 'caller' | 'keyring' | 'action' | 'ref' | 'change'> & {
  readonly verify?: boolean | undefined;
};

type Parts = Pick<VaultDependencies, 'services' | 'protects' | 'verify'>;

export class Protection {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #writer: CredentialWriter;
  readonly #pending: PendingValues;
  readonly #candidates: Candidates;
  readonly #access_requests: Pick<AccessRequests, 'acceptedPolicy'>;

  constructor(
    parts: Parts,
    guard: Guard,
    writer: CredentialWriter,
    pending: PendingValues,
    candidates: Candidates,
    access_requests: Pick<AccessRequests, 'acceptedPolicy'>,
  ) {
    this.#access_requests = access_requests;
    this.#parts = parts;
    this.#guard = guard;
    this.#writer = writer;
    this.#pending = pending;
    this.#candidates = candidates;
  }

  /** Protects a credential, or ends that. FORBIDDEN unless the caller is a person. */
  async set(caller: Caller, raw: DeleteInput, is_protected: boolean): Promise<ProtectionState> {
    const input = parseInput(DeleteInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'set_protected');
    await this.#assertPerson(caller, keyring, 'set_protected', ref);
    const change: Mutation = (current) => {
      if (current === undefined) throw new VaultError('NOT_FOUND', 'There is no such credential.');
      return { type: current.meta.type, values: current.values(), protected: is_protected };
    };
    const { id } = await this.#writer.write({
      caller,
      keyring,
      action: 'set_protected',
      ref,
      fields: [],
      needs_values: true,
      unprotects: !is_protected,
      change,
    });
    return { credential_id: id, protected: is_protected };
  }

  /**
   * Writes values, or keeps them for a person to decide if the credential is protected. With `verify`, rejects with CONFLICT
   * if the credential was changed during the test.
   */
  async write(
    { verify = false, ...request }: ValuesWrite,
    given: GivenValues,
    { protect, refuse_protected = false, also }: WriteOptions,
  ): Promise<ValuesWritten> {
    const { caller, keyring, action, ref } = request;
    if (protect !== undefined) await this.#assertPerson(caller, keyring, action, ref);
    // A new credential has the limits that a person accepted it with.
    const accepted = await this.#access_requests.acceptedPolicy(keyring, ref);
    const write: WriteRequest = {
      ...request,
      fields: [...given.values.keys()],
      nonces: given.nonces,
      needs_values: true,
      may_wait: !refuse_protected,
      also,
      unprotects: protect === false,
      change: (current) => {
        const change = request.change(current);
        if (change === 'delete') return change;
        const use_policy = current === undefined ? (change.use_policy ?? accepted) : change.use_policy;
        return { ...change, use_policy, protected: this.#protectionAfter(caller, current?.meta, protect) };
      },
    };
    if (!verify) return this.#write(write, given);
    const { before, tested } = await this.#verify(write, given);
    try {
      return { ...(await this.#write(ifUnchanged(write, before), given)), tested };
    } catch (error) {
      if (!(error instanceof CredentialMovedError)) throw error;
      const message =
        'The credential was changed or deleted while its new values were tested. Nothing was stored. Call again.';
      throw new VaultError('CONFLICT', message, { next: 'Repeat the same call.', retry: true });
    }
  }

  #write(write: WriteRequest, given: GivenValues): Promise<ValuesWritten> {
    return retryOnConflict(async () => {
      try {
        return { meta: await this.#writer.write(write) };
      } catch (error) {
        if (!(error instanceof ProtectedValuesError)) throw error;
        const kept = await this.#pending.keep(write.caller, write.keyring, error, given);
        return { meta: error.before, pending: describePending(kept) };
      }
    });
  }

  /** Tests what the write would store, after everything that refuses the write. Rejects unless the service accepts it. */
  async #verify(
    write: WriteRequest,
    given: GivenValues,
  ): Promise<{ readonly before: CredentialMeta | undefined; readonly tested: TestFinding }> {
    const { verify } = this.#parts;
    if (verify === undefined)
      throw new VaultError('INVALID_INPUT', 'Values cannot be tested here. Store them without verify.');
    const tried = await this.#try(write);
    const candidate = await this.#candidates.ofWrite(write.caller, write.ref, tried, given.values.keys());
    return { before: tried.before, tested: await verify(write.caller, candidate) };
  }

  /** Plans the write with all its checks. Writes nothing. */
  async #try(write: WriteRequest): Promise<TriedWrite> {
    let before: CredentialMeta | undefined;
    let values: CredentialValues = new Map();
    const change: Mutation = (current) => {
      const change = write.change(current);
      before = current?.meta;
      if (change !== 'delete') values = change.values;
      return change;
    };
    try {
      await this.#writer.write({ ...write, change, is_trial: true });
    } catch (error) {
      if (error instanceof TriedWriteError) return { before, after: error.after, values };
      if (!(error instanceof ProtectedValuesError)) throw error;
      await this.#pending.assertBelowLimits(write.keyring, write.ref);
      return { before, after: error.after, values };
    }
    throw new Error('a trial was written');
  }

  /** The values that wait for a credential, for its status. */
  async pendingOf(keyring: OrganizationKeyring, meta: CredentialMeta | undefined) {
    return meta?.protected === true ? this.#pending.pendingOf(keyring, meta) : null;
  }

  /** What a person stores becomes protected if KEYHOLD_PROTECT is on, unless a person has ended the protection. */
  #protectionAfter(
    caller: Caller,
    before: CredentialMeta | undefined,
    protect: boolean | undefined,
  ): boolean | undefined {
    if (protect !== undefined) return protect;
    return this.#parts.protects && isPerson(caller) ? (before?.protected ?? true) : undefined;
  }

  async #assertPerson(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    ref: CredentialRef,
  ): Promise<void> {
    if (mayDecideFor(caller, ref.user)) return;
    await this.#guard.recordDenial(caller, keyring, action, ref, 'not a person');
    const message =
      'Only a person protects a credential or ends that, on the pages of Keyhold or with `keyhold update` at the machine of the vault.';
    throw new VaultError('FORBIDDEN', message);
  }
}

/** The write, if the credential is the one that was tested. */
function ifUnchanged(write: WriteRequest, before: CredentialMeta | undefined): WriteRequest {
  const change: Mutation = (current) => {
    const { id, revision } = current?.meta ?? {};
    if (id !== before?.id || revision !== before?.revision) throw new CredentialMovedError();
    return write.change(current);
  };
  return { ...write, change };
}
