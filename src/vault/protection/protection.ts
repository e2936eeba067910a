/**
 * Protected credentials: a person at the machine of the vault protects one; the values that others then give for it are kept
 * for a person to decide.
 */
import type { PendingApproval } from '../../contract/approval.ts';
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { DeleteInput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { LastTest } from '../../contract/use/test_result.ts';
import { parseInput } from '../../contract/validation.ts';
import type { Mutation } from '../credentials/changes.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import { requestedRef } from '../credentials/name.ts';
import type { CredentialWriter, WriteRequest } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { retryOnConflict } from '../records/conflict_retry.ts';
import { describePending, type GivenValues, type PendingValues } from './pending_values.ts';
import { ProtectedValuesError } from './rule.ts';
import type { Verification } from './verification.ts';

export interface WriteOptions {
  /** Whether only a person may change the credential afterwards. Only of the local command line. */
  readonly protect?: boolean | undefined;
  /** Rejects with FORBIDDEN, reason `credential_protected`, instead of keeping the values for a person to decide. */
  readonly refuse_protected?: boolean;
  /** Stores the values only if the service accepts them. */
  readonly verify?: boolean | undefined;
}

export interface ProtectionState {
  readonly credential_id: string;
  readonly protected: boolean;
}

/** `pending`: the credential is unchanged, and the values wait. */
export interface ValuesWritten {
  readonly meta: CredentialMeta;
  readonly pending?: PendingApproval;
  /** With `verify`. */
  readonly test?: LastTest | undefined;
}

type Parts = Pick<VaultDependencies, 'services' | 'protects'>;

export class Protection {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #writer: CredentialWriter;
  readonly #pending: PendingValues;
  readonly #verification: Verification;

  constructor(
    parts: Parts,
    guard: Guard,
    writer: CredentialWriter,
    pending: PendingValues,
    verification: Verification,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#writer = writer;
    this.#pending = pending;
    this.#verification = verification;
  }

  /** Protects a credential, or ends that. FORBIDDEN over every interface but the local command line. */
  async set(caller: Caller, raw: DeleteInput, is_protected: boolean): Promise<ProtectionState> {
    const input = parseInput(DeleteInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const ref = requestedRef(caller, service, input);
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

  /** Writes values, or keeps them for a person to decide if the credential is protected. */
  async write(
    request: Pick<WriteRequest, 'caller' | 'keyring' | 'action' | 'ref' | 'change'>,
    given: GivenValues,
    { protect, refuse_protected = false, verify = false }: WriteOptions,
  ): Promise<ValuesWritten> {
    const { caller, keyring, action, ref } = request;
    if (protect !== undefined) await this.#assertPerson(caller, keyring, action, ref);
    const verified = verify ? await this.#verification.verify(request, given) : undefined;
    const write: WriteRequest = {
      ...request,
      fields: [...given.values.keys()],
      nonces: given.nonces,
      needs_values: true,
      may_wait: !refuse_protected,
      unprotects: protect === false,
      change: (current) => {
        verified?.assertUnchanged(current);
        const change = request.change(current);
        if (change === 'delete') return change;
        return { ...change, protected: this.#protectionAfter(caller, current?.meta, protect) };
      },
    };
    return retryOnConflict(async () => {
      try {
        const meta = await this.#writer.write(write);
        await verified?.keep(meta);
        return { meta, test: verified?.test };
      } catch (error) {
        if (!(error instanceof ProtectedValuesError)) throw error;
        const kept = await this.#pending.keep(caller, keyring, error, given);
        return { meta: error.before, pending: describePending(kept), test: verified?.test };
      }
    });
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
    return this.#parts.protects && isLocalCommandLine(caller) ? (before?.protected ?? true) : undefined;
  }

  async #assertPerson(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    ref: CredentialRef,
  ): Promise<void> {
    if (isLocalCommandLine(caller)) return;
    await this.#guard.recordDenial(caller, keyring, action, ref, 'not at the machine of the vault');
    const message =
      'Only a person protects a credential or ends that, with `keyhold update` at the machine of the vault.';
    throw new VaultError('FORBIDDEN', message);
  }
}
