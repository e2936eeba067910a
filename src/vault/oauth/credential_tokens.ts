/**
 * Refreshes of access tokens, as far as the vault is concerned: one process at a time gets the values for it, after the use is in
 * the audit log, and writes the tokens that the provider returned. Sends nothing itself.
 *
 * A lease per credential, in a separate record, keeps other processes out. It is written before the request, ends after half
 * a minute if its process was killed, and then another one sends the same refresh token: a provider that had accepted it before
 * and rotates may refuse it, and only then a person must connect again. After a failure the same record holds the time of the
 * next attempt.
 */
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import type { ChangePlan, LoadedRow } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { ExistingCredential, Mutation } from '../credentials/changes.ts';
import { type CredentialMeta, type CredentialRef, refOf as refOfMeta } from '../credentials/codec.ts';
import { CredentialMovedError, type CredentialWriter, type WriteRequest } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { withMode } from '../destinations/binding.ts';
import type { Guard } from '../guard.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { NO_WRITES } from '../records/entity_repository.ts';
import { loadedRecord, uuidBytes } from '../records/record_codec.ts';
import { auditedUse } from '../uses/audited_use.ts';
import { refOf, type UsableCredential, type UseOutcome, type UseRequest } from '../uses/use.ts';
import { changedMeanwhile, USE, type UseLog } from '../uses/use_log.ts';
import { RefreshLeases, type RefreshWait } from './refresh_leases.ts';

export type RefreshStart =
  /** The credential is another one than the caller found: it finds it again. */
  { readonly state: 'changed' } | RefreshWait | { readonly state: 'opened'; readonly refresh: OpenedRefresh };

/** The right to send one request for tokens. */
export interface OpenedRefresh {
  readonly owner: string;
  readonly values: ReadonlyMap<string, Secret>;
  /** The process that sent the last request ended before it stored the response. */
  readonly follows_interrupted: boolean;
  /** Logs the outcome, in the background. Never throws. */
  finish(outcome: UseOutcome): void;
}

/** What the provider returned. */
export interface ObtainedTokens {
  /** The access token, a refresh token if there is a new one, and captured fields. */
  readonly values: ReadonlyMap<string, Secret>;
  readonly expires_at: string | null;
}

/** A person or another process stored other tokens while the request was sent. */
class TokensReplacedError extends Error {}

const WRITE_ATTEMPTS_MAX = 5;
const WRITE_PAUSE_MS = 200;

type Parts = Pick<VaultDependencies, 'store' | 'codec' | 'records' | 'audit_log' | 'services' | 'now'>;

export class CredentialTokens {
  readonly #parts: Parts;
  readonly #guard: Guard;
  readonly #valid_keys: ApiKeySet;
  readonly #writer: CredentialWriter;
  readonly #log: UseLog;
  readonly #leases: RefreshLeases;

  constructor(parts: Parts, guard: Guard, valid_keys: ApiKeySet, writer: CredentialWriter, log: UseLog) {
    this.#parts = parts;
    this.#guard = guard;
    this.#valid_keys = valid_keys;
    this.#writer = writer;
    this.#log = log;
    this.#leases = new RefreshLeases(parts);
  }

  /**
   * Takes the lease, logs the request and opens the values, in one transaction. Throws FORBIDDEN or NOT_FOUND as a use does.
   * `address`: where the request will be sent to.
   */
  async begin(
    caller: Caller,
    credential: UsableCredential,
    request: UseRequest,
    address: string,
  ): Promise<RefreshStart> {
    const { store, codec, records, audit_log, now } = this.#parts;
    const { credential_id, revision, fields } = credential;
    const ref = refOf(credential);
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    const use = auditedUse(records.newId(), request, address);
    const key_reads = this.#valid_keys.reads(caller, keyring);
    const reads = [
      { index: codec.indexOf(keyring, ref), values: true },
      this.#leases.read(keyring, credential_id),
      ...key_reads,
    ];
    const plan = ([loaded, lease_row, key_set]: readonly (
      | LoadedRow
      | undefined
    )[]): ChangePlan<RefreshStart> => {
      if (key_reads.length > 0) this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      if (loaded === undefined) throw changedMeanwhile();
      const meta = codec.openFound(keyring, loaded.row);
      if (meta.id !== credential_id || meta.revision !== revision)
        return { batch: NO_WRITES, result: { state: 'changed' } };
      const waiting = this.#leases.waitOf(keyring, lease_row, revision);
      if (waiting !== undefined) return { batch: NO_WRITES, result: waiting };
      const { owner, follows_interrupted, write } = this.#leases.take(keyring, credential_id, lease_row);
      const facts = { ref, credential_id, fields, revision, use };
      return {
        batch: {
          writes: [write],
          audit: [audit_log.append(keyring, newEntry(caller, USE.action, now(), facts))],
        },
        result: {
          state: 'opened',
          refresh: {
            owner,
            values: codec.openValues(keyring, loadedRecord(loaded)),
            follows_interrupted,
            finish: this.#log.finisher({ caller, keyring, use, target: { ref, credential_id } }),
          },
        },
      };
    };
    return store.change(reads, plan);
  }

  /**
   * Stores what the provider returned and ends the lease. Without effect if a person stored other tokens, or deleted the
   * credential, meanwhile. Tries again while the store is busy: with rotation, the former refresh token is worth nothing.
   */
  async save(
    caller: Caller,
    credential: UsableCredential,
    refresh: OpenedRefresh,
    tokens: ObtainedTokens,
  ): Promise<void> {
    const { service, token } = credential;
    const change = ({ meta, values }: ExistingCredential) => {
      const after = new Map([...values(), ...tokens.values]);
      const { destination, token: before } = meta;
      return {
        type: meta.type,
        values: after,
        rejected: null,
        expires_at: token?.grant === 'refresh_token' ? null : meta.expires_at,
        token: {
          ...(token === undefined || token.grant === 'refresh_token' ? {} : { grant: token.grant }),
          expires_at: tokens.expires_at,
          obtained_at: formatTimestamp(this.#parts.now()),
          stable_revision: before?.stable_revision ?? meta.revision,
        },
        ...(destination === undefined ? {} : { destination: withMode(service, destination, after) }),
      };
    };
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#write(caller, credential, refresh, 'refresh', change);
      } catch (error) {
        const is_busy = error instanceof VaultError && error.code === 'UNAVAILABLE';
        if (!is_busy || attempt === WRITE_ATTEMPTS_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, WRITE_PAUSE_MS * attempt));
      }
    }
  }

  /** Marks the credential: the provider refused its refresh token. Ends the lease. Without effect as `save`. */
  async requireReconnect(
    caller: Caller,
    credential: UsableCredential,
    refresh: OpenedRefresh,
  ): Promise<void> {
    const needs_reconnect_since = formatTimestamp(this.#parts.now());
    await this.#write(caller, credential, refresh, 'require_reconnect', ({ meta, values }) => ({
      type: meta.type,
      values: values(),
      token: { expires_at: null, ...meta.token, needs_reconnect_since },
    }));
  }

  /** Ends the lease after a failure that says nothing about the credential. Returns when the next attempt may be made. */
  async postpone(
    caller: Caller,
    credential: UsableCredential,
    { owner }: OpenedRefresh,
    retry_after_ms = 0,
  ): Promise<number> {
    const keyring = await this.#guard.authorize(caller, USE.scope, refOf(credential), USE.action);
    const reads = [this.#leases.read(keyring, credential.credential_id)];
    return this.#parts.store.change(reads, ([row]) => {
      const { pause_ms, writes } = this.#leases.pause(keyring, credential, owner, row, retry_after_ms);
      return { batch: { writes, audit: [] }, result: pause_ms };
    });
  }

  async #write(
    caller: Caller,
    credential: UsableCredential,
    refresh: OpenedRefresh,
    action: 'refresh' | 'require_reconnect',
    changed: (current: ExistingCredential) => ReturnType<Mutation>,
  ): Promise<void> {
    const { credential_id: id, service } = credential;
    let ref: CredentialRef | undefined = refOf(credential);
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    const { access_token_field, refresh_token_field } = service.oauth ?? {};
    const compared = [access_token_field, refresh_token_field].filter((field) => field !== undefined);
    const change: Mutation = (current) => {
      if (current === undefined) throw new CredentialMovedError();
      const present = current.values();
      if (compared.some((field) => present.get(field)?.reveal() !== refresh.values.get(field)?.reveal()))
        throw new TokensReplacedError();
      return changed(current);
    };
    const also = this.#leases.end(keyring, id, refresh.owner);
    while (ref !== undefined) {
      const request: WriteRequest = {
        caller,
        keyring,
        action,
        ref,
        id,
        fields: [],
        needs_values: true,
        also,
        change,
      };
      try {
        await this.#writer.write(request);
        return;
      } catch (error) {
        if (error instanceof TokensReplacedError) return;
        if (!(error instanceof CredentialMovedError)) throw error;
        const moved_to: CredentialMeta | undefined = await this.#findById(keyring, id);
        // Renamed or moved while the request was sent; `undefined`: deleted.
        ref = moved_to && refOfMeta(moved_to);
      }
    }
  }

  async #findById(keyring: OrganizationKeyring, id: string): Promise<CredentialMeta | undefined> {
    const bytes = uuidBytes(id);
    const row = bytes && (await this.#parts.store.get(bytes));
    return this.#parts.codec.tryOpenMeta(keyring, row);
  }
}
