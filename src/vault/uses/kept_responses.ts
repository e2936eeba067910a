/**
 * Responses to calls as records, so that every process of the vault gives a repeated call the same one and can show its next
 * page. A call with an idempotency key claims its record before it is sent: of several processes one sends. The text is
 * without values of the credential, and expires after some minutes.
 */
import type { Caller } from '../../contract/caller.ts';
import { KEPT_RESPONSES_MAX, KEPT_RESPONSES_MAX_BYTES } from '../../contract/limits.ts';
import { Secret } from '../../contract/secret.ts';
import { formatTimestamp, msUntil, timestampAfter } from '../../contract/timestamp.ts';
import type { LoadedRow, RecordPut, RecordWrite } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { EntityRepository, NO_WRITES } from '../records/entity_repository.ts';
import { HourlySweep } from '../records/hourly_sweep.ts';
import { type CredentialValues, idText, loadedRecord, NO_VALUES } from '../records/record_codec.ts';
import { scanRows } from '../records/scan.ts';
import { refOf, type UsableCredential } from './use.ts';
import { USE } from './use_log.ts';

/** A call of `owner`, and the name of its response. */
export interface KeptCall {
  readonly caller: Caller;
  readonly credential: UsableCredential;
  readonly owner: string;
  readonly name: string;
}

interface KeptMeta {
  readonly request_hash: string;
  /** `running`: claimed by the process with this id until the end of the lease, which is `expires_at`. */
  readonly run: string | null;
  readonly expires_at: string;
}

export type Claim =
  /** This process sends the request. */
  | { readonly state: 'claimed'; readonly run: string }
  | { readonly state: 'running'; readonly request_hash: string }
  /** The process that claimed it has ended, or cannot write: the request may have been sent. */
  | { readonly state: 'unknown'; readonly request_hash: string }
  | { readonly state: 'done'; readonly request_hash: string; readonly text: string | undefined };

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'now'>;

const TEXT = 'text';
/** How long it is known that the outcome of a call is not. */
const UNKNOWN_KEPT_MS = 5 * 60_000;
const DELETED_AT_ONCE_MAX = 100;

export class KeptResponses {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #records: EntityRepository<KeptMeta>;
  readonly #sweep = new HourlySweep();

  constructor(parts: Parts, guard: Guard) {
    this.#parts = parts;
    this.#guard = guard;
    this.#records = new EntityRepository(parts, 'kept_response');
  }

  /** The text of the response; `undefined` for one that is not kept or has expired. */
  async find(call: KeptCall): Promise<string | undefined> {
    const keyring = await this.#authorize(call);
    const row = await this.#records.rowAt(keyring, keyOf(call));
    const meta = this.#records.openOwn(keyring, row)?.meta;
    if (row === undefined || meta === undefined || meta.run !== null) return undefined;
    if (msUntil(meta.expires_at, this.#parts.now()) <= 0) return undefined;
    const record = await this.#parts.store.get(row.id);
    return record && textOf(this.#parts.records.openValues(keyring, record));
  }

  /** Keeps a response, in place of an earlier one. */
  async keep(call: KeptCall, request_hash: string, text: string, age_ms: number): Promise<void> {
    const keyring = await this.#authorize(call);
    await this.#makeRoom(keyring);
    await this.#change(call, keyring, () => ({
      meta: { request_hash, run: null, expires_at: this.#after(age_ms) },
      text,
    }));
  }

  /** Claims the call for this process for `lease_ms`, unless another one has sent it or is sending it. */
  async claim(call: KeptCall, request_hash: string, lease_ms: number): Promise<Claim> {
    const keyring = await this.#authorize(call);
    await this.#makeRoom(keyring);
    const run = this.#parts.records.newId();
    const { store } = this.#parts;
    const index = this.#records.indexOf(keyring, keyOf(call));
    return store.change<Claim>([{ index, values: true }], ([loaded]) => {
      const known = this.#claimOf(keyring, loaded, lease_ms);
      if (known !== undefined) return { batch: NO_WRITES, result: known };
      const meta = { request_hash, run, expires_at: this.#after(lease_ms) };
      const write = this.#put(call, keyring, loaded, meta, NO_VALUES);
      return { batch: { writes: [write], audit: [] }, result: { state: 'claimed', run } };
    });
  }

  /** Extends the claim. */
  async renew(call: KeptCall, run: string, lease_ms: number): Promise<void> {
    const keyring = await this.#authorize(call);
    await this.#change(call, keyring, (meta) =>
      meta?.run === run ? { meta: { ...meta, expires_at: this.#after(lease_ms) } } : undefined,
    );
  }

  /** Replaces the claim by the response. `text`: `undefined` for a response that is too large. */
  async finish(call: KeptCall, run: string, text: string | undefined, age_ms: number): Promise<void> {
    const keyring = await this.#authorize(call);
    await this.#change(call, keyring, (meta) =>
      meta?.run === run ? { meta: { ...meta, run: null, expires_at: this.#after(age_ms) }, text } : undefined,
    );
  }

  /** Ends the claim: nothing was executed. */
  async release(call: KeptCall, run: string): Promise<void> {
    const keyring = await this.#authorize(call);
    const row = await this.#records.rowAt(keyring, keyOf(call));
    if (row === undefined || this.#records.openOwn(keyring, row)?.meta.run !== run) return;
    const deletion = { do: 'delete', expected_revision: row.revision, id: row.id } as const;
    await this.#parts.store.commit({ writes: [deletion], audit: [] });
  }

  #authorize({ caller, credential }: KeptCall): Promise<OrganizationKeyring> {
    return this.#guard.authorize(caller, USE.scope, refOf(credential), USE.action);
  }

  /** `undefined`: the call can be claimed. */
  #claimOf(keyring: OrganizationKeyring, loaded: LoadedRow | undefined, lease_ms: number): Claim | undefined {
    const meta = this.#records.openOwn(keyring, loaded?.row)?.meta;
    if (meta === undefined) return undefined;
    const { request_hash, run, expires_at } = meta;
    const remaining_ms = msUntil(expires_at, this.#parts.now());
    if (run === null) {
      if (remaining_ms <= 0) return undefined;
      const text = textOf(this.#parts.records.openValues(keyring, loadedRecord(loaded)));
      return { state: 'done', request_hash, text };
    }
    // A time far ahead was written before the clock was set back.
    if (remaining_ms > 0 && remaining_ms <= 2 * lease_ms) return { state: 'running', request_hash };
    return Math.abs(remaining_ms) > UNKNOWN_KEPT_MS ? undefined : { state: 'unknown', request_hash };
  }

  /** Writes the result of `change`, which gets the present meta; `undefined`: writes nothing. */
  async #change(
    call: KeptCall,
    keyring: OrganizationKeyring,
    change: (
      meta: KeptMeta | undefined,
    ) => { readonly meta: KeptMeta; readonly text?: string | undefined } | undefined,
  ): Promise<void> {
    const index = this.#records.indexOf(keyring, keyOf(call));
    await this.#parts.store.change([{ index }], ([loaded]) => {
      const changed = change(this.#records.openOwn(keyring, loaded?.row)?.meta);
      if (changed === undefined) return { batch: NO_WRITES, result: undefined };
      const { meta, text } = changed;
      const values = text === undefined ? NO_VALUES : new Map([[TEXT, new Secret(text)]]);
      const write = this.#put(call, keyring, loaded, meta, values);
      return { batch: { writes: [write], audit: [] }, result: undefined };
    });
  }

  #put(
    call: KeptCall,
    keyring: OrganizationKeyring,
    loaded: LoadedRow | undefined,
    meta: KeptMeta,
    values: CredentialValues,
  ): RecordPut {
    const ref = { key: keyOf(call), scope: this.#records.scope(keyring, []) };
    const id = loaded === undefined ? this.#parts.records.newId() : idText(loaded.row.id);
    return this.#records.put(keyring, ref, id, (loaded?.row.revision ?? 0) + 1, meta, values);
  }

  #after(ms: number): string {
    const now = this.#parts.now();
    return timestampAfter(now, ms) ?? formatTimestamp(now);
  }

  /** Deletes expired records once an hour, and the oldest ones if an organization has too many. */
  async #makeRoom(keyring: OrganizationKeyring): Promise<void> {
    const scope = this.#records.scope(keyring, []);
    this.#sweep.run(keyring, () => this.#deleteExpired(keyring));
    const { count, values_bytes } = await this.#parts.store.usage(scope);
    if (count < KEPT_RESPONSES_MAX && values_bytes < KEPT_RESPONSES_MAX_BYTES) return;
    const half = Math.floor(count / 2);
    let at = 0;
    await this.#deleteWhere(keyring, () => at++ >= half);
  }

  #deleteExpired(keyring: OrganizationKeyring): Promise<void> {
    const now = this.#parts.now();
    return this.#deleteWhere(keyring, (meta) => {
      const remaining_ms = meta === undefined ? 0 : msUntil(meta.expires_at, now);
      return remaining_ms <= (meta?.run == null ? 0 : -UNKNOWN_KEPT_MS);
    });
  }

  /** Gets the records from the newest to the oldest. A record that changes meanwhile stays. */
  async #deleteWhere(
    keyring: OrganizationKeyring,
    matches: (meta: KeptMeta | undefined) => boolean,
  ): Promise<void> {
    const writes: RecordWrite[] = [];
    for await (const row of scanRows(this.#parts.store, this.#records.scope(keyring, [])))
      if (matches(this.#records.openOwn(keyring, row)?.meta))
        writes.push({ do: 'delete', expected_revision: row.revision, id: row.id });
    while (writes.length > 0) {
      const batch = { writes: writes.splice(0, DELETED_AT_ONCE_MAX), audit: [] };
      await this.#parts.store.commit(batch).catch(() => undefined);
    }
  }
}

function keyOf({ owner, credential, name }: KeptCall): readonly string[] {
  return [owner, credential.credential_id, name];
}

function textOf(values: CredentialValues): string | undefined {
  return values.get(TEXT)?.reveal();
}
