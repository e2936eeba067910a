/**
 * Ends the access of deleted credentials at their providers (RFC 7009), once the deletion is committed. Best effort: never delays or
 * fails the deletion. Each request is in the audit log before it is sent, and its outcome after. Sends nothing itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditedUse } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import type { Destination } from '../../contract/destination.ts';
import { TOKEN_REVOCATION_MAX_MS } from '../../contract/limits.ts';
import type { Secret } from '../../contract/secret.ts';
import type { Service } from '../../contract/service/service.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import type { Store } from '../../store/store.ts';
import { newEntry } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { ExistingCredential } from '../credentials/changes.ts';
import { type CredentialCodec, type CredentialMeta, refOf } from '../credentials/codec.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { RecordCodec } from '../records/record_codec.ts';
import { auditedUse } from '../uses/audited_use.ts';
import type { UseOutcome, UseRequest } from '../uses/use.ts';

/** A deleted credential that has tokens. */
export interface RevocableCredential {
  readonly service: Service;
  readonly destination: Destination;
  readonly values: ReadonlyMap<string, Secret>;
  /** Logs the request. Call it before it is sent. */
  begin(request: UseRequest, address: string): Promise<void>;
}

/** Sends one request, unless the credential is not bound to its origin. Rejects if the provider did not accept it. */
export type RevokeTokens = (caller: Caller, credential: RevocableCredential) => Promise<UseOutcome>;

interface Deleted {
  readonly meta: CredentialMeta;
  readonly service: Service;
  readonly destination: Destination;
  readonly values: ReadonlyMap<string, Secret>;
}

/** A deletion that is planned. It may be planned several times. */
export interface PlannedDeletion {
  readonly change: (current: ExistingCredential | undefined) => 'delete';
  /** Call it once the deletion is committed. */
  readonly revoke: (keyring: OrganizationKeyring) => void;
}

const AT_ONCE = 4;

interface Parts {
  readonly store: Store;
  readonly codec: CredentialCodec;
  readonly records: RecordCodec;
  readonly audit_log: AuditLog;
  readonly services: ServiceCatalogue;
  readonly now: () => Date;
}

export class Revocations {
  readonly #parts: Parts;
  readonly #send: RevokeTokens | undefined;
  readonly #running = new Set<Promise<void>>();

  /** Without `send`, nothing is revoked. */
  constructor(parts: Parts, send: RevokeTokens | undefined) {
    this.#parts = parts;
    this.#send = send;
  }

  /** Keeps the tokens of the credential that is deleted. The write must read its values. */
  deletion(caller: Caller): PlannedDeletion {
    let deleted: Deleted | undefined;
    return {
      change: (current) => {
        deleted = current && this.#withTokens(current.meta, current.values);
        return 'delete';
      },
      revoke: (keyring) => this.start(caller, keyring, deleted === undefined ? [] : [deleted]),
    };
  }

  /** Opens the tokens of a credential before its deletion. `undefined`: it has none that can be revoked. */
  async tokensOf(
    keyring: OrganizationKeyring,
    meta: CredentialMeta,
    id: Buffer,
  ): Promise<Deleted | undefined> {
    if (!this.#isRevocable(meta)) return undefined;
    const row = await this.#parts.store.get(id);
    return row && this.#withTokens(meta, () => this.#parts.codec.openValues(keyring, row));
  }

  /** Revokes the tokens in the background, as many as the time limit of all of them together permits. */
  start(caller: Caller, keyring: OrganizationKeyring, deleted: readonly Deleted[]): void {
    if (this.#send === undefined || deleted.length === 0) return;
    const waiting = [...deleted];
    const until_ms = performance.now() + TOKEN_REVOCATION_MAX_MS;
    const lane = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const remaining_ms = until_ms - performance.now();
        if (remaining_ms <= 0) return;
        await this.#revoke(caller, keyring, next, remaining_ms);
      }
    };
    const running = Promise.all(Array.from({ length: AT_ONCE }, lane)).then(() => undefined);
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Resolves when no revocation runs. Call it before the vault is closed. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Never rejects. */
  async #revoke(
    caller: Caller,
    keyring: OrganizationKeyring,
    { meta, ...credential }: Deleted,
    time_ms: number,
  ): Promise<void> {
    const { records, now } = this.#parts;
    const id = records.newId();
    let use: AuditedUse | undefined;
    let is_over = false;
    const facts = { ref: refOf(meta), credential_id: meta.id };
    const begin = async (request: UseRequest, address: string) => {
      if (is_over) throw new Error('the time limit has passed');
      use = auditedUse(id, request, address);
      await this.#log(keyring, newEntry(caller, 'use', now(), { ...facts, fields: meta.fields, use }));
    };
    const sent = this.#send?.(caller, { ...credential, begin });
    const late: UseOutcome = { reason: 'the provider did not respond in time' };
    const failed: UseOutcome = { reason: 'the provider did not revoke the tokens' };
    const outcome: UseOutcome | undefined = await Promise.race([
      sent?.catch(() => failed),
      sleep(time_ms, late, { ref: false }),
    ]);
    is_over = true;
    if (use === undefined) return;
    const { status = null, reason } = outcome ?? failed;
    const result = { ...facts, use: { ...use, status }, ...(reason === undefined ? {} : { reason }) };
    await this.#log(keyring, newEntry(caller, 'use_outcome', now(), result)).catch(() => undefined);
  }

  #log(keyring: OrganizationKeyring, entry: ReturnType<typeof newEntry>): Promise<void> {
    const { store, audit_log } = this.#parts;
    return store.commit({ writes: [], audit: [audit_log.append(keyring, entry)] });
  }

  #isRevocable({ service: slug, fields, destination }: CredentialMeta): boolean {
    const oauth = this.#parts.services.find(slug)?.oauth;
    if (this.#send === undefined || oauth?.revocation_url === undefined || destination === undefined)
      return false;
    return [oauth.access_token_field, oauth.refresh_token_field].some(
      (field) => field !== undefined && fields.includes(field),
    );
  }

  /** A damaged credential is deleted without revocation. */
  #withTokens(meta: CredentialMeta, open: () => ReadonlyMap<string, Secret>): Deleted | undefined {
    const service = this.#parts.services.find(meta.service);
    const { destination } = meta;
    if (service === undefined || destination === undefined || !this.#isRevocable(meta)) return undefined;
    try {
      return { meta, service, destination, values: open() };
    } catch {
      return undefined;
    }
  }
}
