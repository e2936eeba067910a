/**
 * Carries a change of one credential out: reads, lets the operation say what becomes of it, seals, and commits it
 * together with its audit entry. Decides nothing; only the vault's guard lets anybody get here.
 */
import type { AuditAction } from '../contract/audit.ts';
import type { Caller } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import type { NewAuditEntry } from './audit_log.ts';
import type { CredentialMeta, CredentialPlace, CredentialValues } from './credential_record.ts';
import type { OrganizationRing } from './key_ring.ts';
import { OneAtATime } from './one_at_a_time.ts';
import type { VaultParts } from './vault_parts.ts';

/** How often a write is tried again when other processes keep changing the same credential. */
const CONFLICT_RETRIES_MAX = 200;

/** What an operation makes of the credential as it stands. */
export type Change = { readonly type: string; readonly values: CredentialValues } | 'delete';

/** The credential as it stands. */
export interface Current {
  readonly meta: CredentialMeta;
  /** Opened only by an operation that merges. */
  values(): Promise<CredentialValues>;
}

export type ChangeOf = (current: Current | undefined) => Promise<Change>;

export class CredentialWriter {
  readonly #parts: Pick<VaultParts, 'store' | 'codec' | 'log' | 'now'>;
  readonly #one_at_a_time = new OneAtATime();

  constructor(parts: Pick<VaultParts, 'store' | 'codec' | 'log' | 'now'>) {
    this.#parts = parts;
  }

  /**
   * Resolves with the credential as written (as deleted, for a delete) once that is durable. `fields`: the ids that
   * the audit entry names. Does all again from the start when another process was faster; a change that throws
   * NOT_FOUND is logged as refused.
   */
  write(
    caller: Caller,
    ring: OrganizationRing,
    action: AuditAction,
    place: CredentialPlace,
    fields: readonly string[],
    change: ChangeOf,
  ): Promise<CredentialMeta> {
    const index = this.#parts.codec.indexOf(ring, place);
    return this.#one_at_a_time.run(`${caller.organization}\0${index.toString('latin1')}`, async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#writeOnce(caller, ring, action, place, index, fields, change);
        } catch (error) {
          if (!(error instanceof VaultError)) throw error;
          if (error.code === 'CONFLICT' && attempt <= CONFLICT_RETRIES_MAX) continue;
          if (error.code === 'NOT_FOUND') await this.logDenied(caller, ring, action, place, 'not found');
          throw error;
        }
      }
    });
  }

  /** Resolves once the refusal is in the audit log; if it cannot be, rejects. */
  async logDenied(
    caller: Caller,
    ring: OrganizationRing,
    action: AuditAction,
    place: CredentialPlace | undefined,
    reason: string,
  ): Promise<void> {
    const entry = { ...this.#entry(caller, action, place), outcome: 'denied' as const, reason };
    await this.#parts.store.commit({ writes: [], audit: [this.#parts.log.append(ring, entry)] });
  }

  async #writeOnce(
    caller: Caller,
    ring: OrganizationRing,
    action: AuditAction,
    place: CredentialPlace,
    index: Buffer,
    fields: readonly string[],
    change: ChangeOf,
  ): Promise<CredentialMeta> {
    const { store, codec, log } = this.#parts;
    const row = await store.find(index);
    const before = row && codec.openMeta(ring, row);
    const changed = await change(row && before && { meta: before, values: () => this.#values(ring, row) });
    const entry = this.#entry(caller, action, place);
    const expected_revision = before?.revision ?? 0;
    if (changed === 'delete') {
      if (row === undefined || before === undefined) throw new VaultError('NOT_FOUND', 'No such credential.');
      const deleted = {
        ...entry,
        credential_id: before.id,
        fields: [...before.fields],
        revision: before.revision,
      };
      await store.commit({
        writes: [{ do: 'delete', expected_revision, id: row.id }],
        audit: [log.append(ring, deleted)],
      });
      return before;
    }
    const meta: CredentialMeta = {
      ...place,
      id: before?.id ?? codec.newId(),
      revision: expected_revision + 1,
      type: changed.type,
      fields: [...changed.values.keys()],
      created_at: before?.created_at ?? entry.at,
      updated_at: entry.at,
      modified_by: caller.user,
      inactive: before?.inactive ?? false,
      expires_at: null,
      last_used_at: before?.last_used_at ?? null,
      last_test: null,
    };
    const scope = row?.scope ?? codec.scopeOf(ring, place.user, place.stack);
    const record = codec.seal(ring, index, scope, meta, changed.values);
    const written = { ...entry, credential_id: meta.id, fields: [...fields], revision: meta.revision };
    await store.commit({
      writes: [{ do: 'put', expected_revision, record }],
      audit: [log.append(ring, written)],
    });
    return meta;
  }

  /** The values of exactly this revision; CONFLICT when it is no longer the present one. */
  async #values(
    ring: OrganizationRing,
    row: { readonly id: Buffer; readonly revision: number },
  ): Promise<CredentialValues> {
    const whole = await this.#parts.store.get(row.id);
    if (whole?.revision !== row.revision)
      throw new VaultError('CONFLICT', 'The credential was just changed.');
    return this.#parts.codec.openValues(ring, whole);
  }

  #entry(caller: Caller, action: AuditAction, place: CredentialPlace | undefined): NewAuditEntry {
    return {
      at: this.#parts.now().toISOString(),
      user: caller.user,
      edge: caller.edge,
      action,
      credential_id: null,
      service_id: place?.service ?? null,
      stack_id: place?.stack ?? null,
      name: place?.name ?? null,
      fields: [],
      revision: null,
      outcome: 'allowed',
      reason: null,
      request_id: caller.request_id,
    };
  }
}
