/** The credentials of a stack: whether a service has any, and their deletion together with the stack or service. */
import type { AuditAction } from '../../contract/audit.ts';
import { type Caller, DEFAULT_STACK, type Scope } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { STACK_CREDENTIALS_READ_MAX } from '../../contract/limits.ts';
import type { Service } from '../../contract/service/service.ts';
import type { StackRight } from '../../contract/stack.ts';
import type { AuditAppend, RecordWrite, StoredMeta } from '../../store/store.ts';
import type { CredentialMeta, CredentialRef } from '../credentials/codec.ts';
import type { CredentialLookup } from '../credentials/lookup.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, noSuchStack } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Revocations } from '../oauth/revocations.ts';
import type { PendingValues } from '../protection/pending_values.ts';
import { credentialProtected, isProtectedFrom } from '../protection/rule.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import { idText } from '../records/record_codec.ts';
import { scanRows } from '../records/scan.ts';
import type { StackRecords } from './repository.ts';

/** Deletions per transaction, so that other writers and the event loop are not blocked. */
const DELETED_AT_ONCE_MAX = 1_000;

/** All credentials of a stack, or those of the service with this slug. */
type Selection = 'all' | { readonly service: string };

/** The scope that an operation on a service of a stack needs, and its audit action if refusals are audited. */
export interface RequiredAccess {
  readonly scope: Scope;
  /** See `Touched`. */
  readonly right?: StackRight;
  readonly action?: AuditAction;
}

export interface Deletions {
  readonly writes: RecordWrite[];
  readonly audit: AuditAppend[];
  /** Ids of the credentials. */
  readonly ids: readonly string[];
  /** Call it after the commit. */
  readonly revoke: () => void;
}

type ContentsParts = Pick<VaultDependencies, 'store' | 'codec' | 'services' | 'revocations'>;

export class StackContents {
  readonly #parts: ContentsParts;
  readonly #guard: Guard;
  readonly #records: StackRecords;
  readonly #lookup: CredentialLookup;
  readonly #activity: CredentialActivity;
  readonly #pending: PendingValues;

  constructor(
    parts: ContentsParts,
    guard: Guard,
    records: StackRecords,
    lookup: CredentialLookup,
    activity: CredentialActivity,
    pending: PendingValues,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#records = records;
    this.#lookup = lookup;
    this.#activity = activity;
    this.#pending = pending;
  }

  /**
   * Authorizes an operation on a service that was added to the stack or has a credential in it. Throws NOT_FOUND: with
   * reason `stack_missing` if the stack is missing, which is checked first, without a reason if the service is.
   */
  async authorizeService(
    caller: Caller,
    stack_id: string,
    service_id: string,
    { scope, right, action }: RequiredAccess,
  ): Promise<{ readonly service: Service; readonly keyring: OrganizationKeyring }> {
    const { services } = this.#parts;
    const known = services.find(service_id);
    const { user } = await this.#guard.requestedStack(caller, stack_id);
    const ref = unnamedRef(user, stack_id, known?.slug ?? service_id);
    const touched = right === undefined ? ref : { ...ref, right };
    const keyring = await this.#guard.authorize(caller, scope, touched, action);
    try {
      const found = await this.#records.find(keyring, user, stack_id);
      if (found === undefined && stack_id !== DEFAULT_STACK) throw noSuchStack();
      const service = known ?? services.get(service_id);
      const is_in_stack =
        found?.meta.services.some((one) => one.service_id === service.slug) ||
        (await this.#lookup.has(keyring, unnamedRef(user, stack_id, service.slug))) ||
        (await this.#hasCredential(keyring, user, stack_id, service.slug));
      if (is_in_stack) return { service, keyring };
      throw new VaultError('NOT_FOUND', 'The service is not in this stack. Add it first.');
    } catch (error) {
      if (action !== undefined && error instanceof VaultError && error.code === 'NOT_FOUND')
        await this.#guard.recordDenial(caller, keyring, action, ref, 'not found');
      throw error;
    }
  }

  /**
   * Returns whether the service has a credential in the stack, under any name. Reads a bounded number, as the list of the
   * services of a stack does: past it, only the credential without a name counts, which is found by its index.
   */
  async #hasCredential(
    keyring: OrganizationKeyring,
    user: string,
    stack: string,
    slug: string,
  ): Promise<boolean> {
    let read = 0;
    for await (const row of this.#rowsOf(keyring, user, stack)) {
      if (read++ === STACK_CREDENTIALS_READ_MAX) return false;
      if (this.#parts.codec.tryOpenMeta(keyring, row)?.service === slug) return true;
    }
    return false;
  }

  /**
   * Deletes the selected credentials of a user in a stack, except for the last transaction's worth, which it returns
   * for the caller to commit together with the change of the stack. Rejects with FORBIDDEN, audited, and deletes none if
   * the caller may not delete one of them or it is protected. `removed`: the owner is removed as a whole.
   */
  async delete(
    caller: Caller,
    keyring: OrganizationKeyring,
    { user, stack }: Pick<CredentialRef, 'user' | 'stack'>,
    selection: Selection,
    removed?: 'owner_removed',
  ): Promise<Deletions> {
    const to_delete: {
      readonly row: StoredMeta;
      /** The values that wait for it. */
      readonly pending: readonly RecordWrite[];
      readonly facts: Parameters<StackRecords['auditEntry']>[3];
      readonly tokens: Awaited<ReturnType<Revocations['tokensOf']>>;
    }[] = [];
    const service = selection === 'all' ? {} : { service: selection.service };
    const nameless =
      selection === 'all'
        ? undefined
        : this.#parts.codec.indexOf(keyring, { user, stack, service: selection.service, name: null });
    for await (const row of this.#rowsOf(keyring, user, stack)) {
      const meta = this.#openSelected(caller, keyring, row, selection, nameless);
      if (meta === undefined) continue;
      const touched = meta === 'damaged' ? { user, stack, ...service } : meta;
      if (removed === undefined) await this.#guard.authorize(caller, 'credentials:write', touched, 'delete');
      if (removed === undefined && meta !== 'damaged' && isProtectedFrom(caller, meta)) {
        await this.#guard.recordDenial(caller, keyring, 'delete', meta, 'protected');
        throw credentialProtected();
      }
      const is_protected = meta !== 'damaged' && meta.protected === true;
      const pending = is_protected ? await this.#pending.removalNow(keyring, meta) : [];
      const known =
        meta === 'damaged' ? { owner: user, stack_id: stack } : { ref: meta, fields: meta.fields };
      const tokens =
        meta === 'damaged' ? undefined : await this.#parts.revocations.tokensOf(keyring, meta, row.id);
      to_delete.push({
        row,
        tokens,
        pending,
        facts: { ...known, credential_id: idText(row.id), revision: row.revision },
      });
    }
    for (;;) {
      const some = to_delete.splice(0, DELETED_AT_ONCE_MAX);
      const tokens = some.flatMap((one) => one.tokens ?? []);
      const deletions: Deletions = {
        writes: some.flatMap(({ row, pending }) => [
          { do: 'delete', expected_revision: row.revision, id: row.id },
          ...pending,
        ]),
        audit: some.map(({ facts }) => this.#records.auditEntry(caller, keyring, 'delete', facts)),
        ids: some.map(({ row }) => idText(row.id)),
        revoke: () => this.#parts.revocations.start(caller, keyring, tokens),
      };
      if (to_delete.length === 0) return deletions;
      await this.commit(keyring, deletions);
    }
  }

  /** Commits deletions, with the writes that the caller has added, and deletes what is known of the uses and tests of the credentials. */
  async commit(keyring: OrganizationKeyring, { writes, audit, ids, revoke }: Deletions): Promise<void> {
    await this.#parts.store.commit({ writes, audit });
    revoke();
    // Together, so that they share a transaction.
    await Promise.all(ids.map((id) => this.#activity.forget(keyring, id)));
  }

  /**
   * Decrypts a row if it is selected. A damaged credential is deleted with the whole stack, unless the caller is
   * restricted to services, or with its service if it is the one without a name; the service of others is unknown.
   */
  #openSelected(
    caller: Caller,
    keyring: OrganizationKeyring,
    row: StoredMeta,
    selection: Selection,
    nameless: Buffer | undefined,
  ): CredentialMeta | 'damaged' | undefined {
    try {
      const meta = this.#parts.codec.openMeta(keyring, row);
      return selection === 'all' || meta.service === selection.service ? meta : undefined;
    } catch (error) {
      const is_damaged = error instanceof VaultError && error.code === 'CORRUPT';
      if (!is_damaged || (selection === 'all' && caller.services !== undefined)) throw error;
      return nameless === undefined || row.index.equals(nameless) ? 'damaged' : undefined;
    }
  }

  #rowsOf(keyring: OrganizationKeyring, user: string, stack: string): AsyncGenerator<StoredMeta> {
    return scanRows(this.#parts.store, this.#parts.codec.scopeOf(keyring, user, stack));
  }
}

/** The credential of the service without a name. */
export function unnamedRef(user: string, stack: string, service: string): CredentialRef {
  return { user, stack, service, name: null };
}
