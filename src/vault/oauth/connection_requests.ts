/**
 * Connections with OAuth, as far as the vault is concerned: who may start one, whose callback ends it, and the write of the
 * tokens. Sends nothing itself.
 *
 * A callback consumes its record, and the use is in the audit log, in one transaction before the code is sent: of two callbacks
 * with one state, the provider gets the code of one. The tokens, the end of `needs_reconnect` and of the handle follow
 * in a second transaction. If the process is killed between the two, the person connects again.
 */
import type { Caller } from '../../contract/caller.ts';
import { type ConnectGrant, ConnectInput } from '../../contract/connection.ts';
import type { Secret } from '../../contract/secret.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';
import { parseInput } from '../../contract/validation.ts';
import { definitionDigest } from '../../services/destination.ts';
import { assertConnectable } from '../../services/oauth/connect.ts';
import type { ChangePlan, LoadedRow } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import { newEntry } from '../audit/entry.ts';
import type { Mutation } from '../credentials/changes.ts';
import { type CredentialMeta, isSameRef } from '../credentials/codec.ts';
import type { CredentialLookup } from '../credentials/lookup.ts';
import { requestedRef } from '../credentials/name.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { reviewDestination } from '../destinations/binding.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import type { PendingHandles } from '../handles/pending_handles.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import type { Protection } from '../protection/protection.ts';
import { credentialProtected, isProtectedFrom } from '../protection/rule.ts';
import { loadedRecord } from '../records/record_codec.ts';
import type { StackRecords } from '../stacks/repository.ts';
import { auditedUse } from '../uses/audited_use.ts';
import type { UseRequest } from '../uses/use.ts';
import { changedMeanwhile, USE, type UseLog } from '../uses/use_log.ts';
import {
  ConnectionRecords,
  type ConnectionTarget,
  endedConnection,
  type FoundConnection,
  isSameTarget,
  type NewConnection,
  needsReview,
  type OpenedConnection,
  otherCredential,
  otherTarget,
  type StartedTarget,
  startedTarget,
  unknownConnection,
} from './connection_records.ts';
import type { ObtainedTokens } from './credential_tokens.ts';
import { DeviceRecords } from './device_records.ts';

/** A connection whose callback has arrived. */
export interface PendingConnection extends ConnectionTarget {
  readonly request: FoundConnection;
}

export class ConnectionRequests {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #lookup: CredentialLookup;
  readonly #valid_keys: ApiKeySet;
  readonly #handles: PendingHandles;
  readonly #protection: Protection;
  readonly #log: UseLog;
  readonly #records: ConnectionRecords;
  readonly devices: DeviceRecords;

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    stacks: StackRecords,
    lookup: CredentialLookup,
    valid_keys: ApiKeySet,
    handles: PendingHandles,
    protection: Protection,
    log: UseLog,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#lookup = lookup;
    this.#valid_keys = valid_keys;
    this.#handles = handles;
    this.#protection = protection;
    this.#log = log;
    this.#records = new ConnectionRecords(parts);
    this.devices = new DeviceRecords(parts);
  }

  /** The credential to connect. Throws as `Connections.start`, and FORBIDDEN for one that the caller must not change. */
  async find(
    caller: Caller,
    raw: ConnectInput,
    grant: ConnectGrant,
    handle?: string | { readonly hash: string },
  ): Promise<ConnectionTarget> {
    const input = parseInput(ConnectInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, 'credentials:write', ref, 'start_connection');
    await this.#guard.auditDenials(caller, keyring, 'start_connection', ['NOT_FOUND'], ref, () =>
      this.#stacks.assertReadable(keyring, ref.user, ref.stack),
    );
    const meta = await this.#lookup.find(keyring, ref);
    assertConnectable(service, grant, meta?.fields ?? []);
    if (meta === undefined) throw endedConnection('The credential was deleted.');
    if (isProtectedFrom(caller, meta)) {
      await this.#guard.recordDenial(caller, keyring, 'start_connection', ref, 'protected');
      throw credentialProtected();
    }
    const { bound, needs_review } = reviewDestination(this.#parts, service, meta);
    if (bound === undefined || needs_review) throw needsReview(meta.id);
    const opened = handle === undefined ? undefined : await this.#handles.open(caller, handle, 'connect');
    if (opened !== undefined && !isSameRef(opened.ref, ref)) throw otherCredential();
    return { keyring, service, ref, meta, destination: bound, handle: opened };
  }

  /** Throws FORBIDDEN for a caller that may not see how a connection ends. Returns the keys for `devices`. */
  assertMayRead(caller: Caller): Promise<OrganizationKeyring> {
    return this.#guard.authorize(caller, 'credentials:read', NO_SINGLE_STACK);
  }

  /** Creates the record that the callback is recognized by. Returns the values that are not secret. */
  async create(
    caller: Caller,
    target: ConnectionTarget,
    { state, ...request }: NewConnection,
  ): Promise<{ readonly values: ReadonlyMap<string, Secret>; readonly expires_at: string }> {
    const { store, codec, records, audit_log, now } = this.#parts;
    const { keyring, service, ref, meta, handle } = target;
    await this.#records.assertBelowLimit(keyring, caller.user);
    const id = records.newRandomId();
    const created = this.#records.create(
      keyring,
      id,
      state,
      { ...request, ...startedTarget(target), user: caller.user },
      handle?.found.meta.expires_at,
    );
    const reads = [
      { index: codec.indexOf(keyring, ref), values: true },
      ...this.#valid_keys.reads(caller, keyring),
    ];
    const values = await store.change(reads, ([loaded, key_set]) => {
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const facts = { ref, credential_id: meta.id, record_id: id, revision: 1 };
      const audit = [audit_log.append(keyring, newEntry(caller, 'start_connection', now(), facts))];
      return { batch: { writes: [created.write], audit }, result: this.#openSame(keyring, meta, loaded) };
    });
    this.#records.sweep(keyring);
    const is_secret = new Set(service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id));
    const plain = new Map([...values].filter(([field_id]) => !is_secret.has(field_id)));
    return { values: plain, expires_at: created.expires_at };
  }

  /**
   * The connection that a callback with this state ends. Throws NOT_FOUND for an unknown one and that of another user, which is
   * in the audit log, and EXPIRED for one that has ended, or whose service, credential or handle has changed.
   */
  async byState(caller: Caller, state: string): Promise<PendingConnection> {
    const keyring = await this.#guard.authorize(caller, 'credentials:write', NO_SINGLE_STACK, 'connect');
    const request = await this.#records.find(keyring, state);
    if (request === undefined) throw unknownConnection();
    if (request.meta.user !== caller.user) {
      await this.#guard.recordDenial(caller, keyring, 'connect', NO_SINGLE_STACK, 'state of another user');
      throw unknownConnection();
    }
    this.#records.assertPending(request);
    return { ...(await this.findStarted(caller, request.meta, 'authorization_code')), request };
  }

  /** The credential of a connection that was started. Throws as `find`, and EXPIRED if the service or credential has changed. */
  async findStarted(caller: Caller, started: StartedTarget, grant: ConnectGrant): Promise<ConnectionTarget> {
    const { service: service_id, stack: stack_id, name, definition, handle, credential_id } = started;
    const input = { service_id, stack_id, name: name ?? undefined };
    const target = await this.find(caller, input, grant, handle === null ? undefined : { hash: handle });
    if (definitionDigest(target.service) !== definition)
      throw endedConnection('The definition of the service has changed.');
    if (!isSameTarget(target.meta, { ...started, id: credential_id })) throw otherTarget();
    return target;
  }

  /** Consumes the record, if there is one, logs the use and opens the values, in one transaction. */
  async begin(
    caller: Caller,
    target: ConnectionTarget | PendingConnection,
    use_request: UseRequest,
    address: string,
  ): Promise<OpenedConnection> {
    const { store, codec, records, audit_log, now } = this.#parts;
    const { keyring, ref, meta } = target;
    const request = 'request' in target ? target.request : undefined;
    const use = auditedUse(records.newId(), use_request, address);
    const key_reads = this.#valid_keys.reads(caller, keyring);
    const reads = [
      { index: codec.indexOf(keyring, ref), values: true },
      ...key_reads,
      ...(request === undefined ? [] : [this.#records.read(keyring, request)]),
    ];
    const plan = ([loaded, ...others]: readonly (LoadedRow | undefined)[]): ChangePlan<
      ReadonlyMap<string, Secret>
    > => {
      const [key_set] = others.splice(0, key_reads.length);
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      const writes = request === undefined ? [] : [this.#records.end(keyring, others[0], 'used')];
      const values = this.#openSame(keyring, meta, loaded);
      const { id: credential_id, fields, revision } = meta;
      const entry = newEntry(caller, USE.action, now(), { ref, credential_id, fields, revision, use });
      return { batch: { writes, audit: [audit_log.append(keyring, entry)] }, result: values };
    };
    const values = await store.change(reads, plan);
    const finish = this.#log.finisher({ caller, keyring, use, target: { ref, credential_id: meta.id } });
    return { values, finish };
  }

  /** Ends a connection without tokens. Nothing is stored. `reason`: for the audit log, of a closed list. */
  async end(
    caller: Caller,
    { keyring, ref, meta, request }: PendingConnection,
    state: 'used' | 'declined',
    reason: string,
  ): Promise<void> {
    const { store, audit_log, now } = this.#parts;
    await store.change([this.#records.read(keyring, request)], ([loaded]): ChangePlan<void> => {
      const writes = [this.#records.end(keyring, loaded, state)];
      const facts = { ref, credential_id: meta.id, record_id: request.id, reason };
      const entry =
        state === 'declined'
          ? newEntry(caller, 'decline_connection', now(), facts)
          : newEntry(caller, 'connect', now(), { ...facts, outcome: 'denied' });
      return { batch: { writes, audit: [audit_log.append(keyring, entry)] }, result: undefined };
    });
  }

  /**
   * Writes the tokens in place of the present ones, and completes the handle, in one transaction. All else of the credential
   * stays. Throws as `update`, and EXPIRED if the credential has another id or destination, or the handle has ended.
   */
  async save(
    caller: Caller,
    { keyring, service, ref, meta: before, handle }: ConnectionTarget,
    tokens: ObtainedTokens,
  ): Promise<CredentialMeta> {
    const { access_token_field, refresh_token_field = '' } = service.oauth ?? {};
    const obtained_at = formatTimestamp(this.#parts.now());
    const change: Mutation = (current) => {
      if (current === undefined || !isSameTarget(current.meta, before)) throw otherTarget();
      const kept = [...current.values()].filter(
        // A refresh token of the connection before may be of another account.
        ([id]) => id !== access_token_field && id !== refresh_token_field,
      );
      return {
        type: service.credential_types.includes('oauth2') ? 'oauth2' : current.meta.type,
        values: new Map([...kept, ...tokens.values]),
        // Without a refresh token, the credential ends with its access token.
        expires_at: tokens.values.has(refresh_token_field) ? null : tokens.expires_at,
        token: { expires_at: tokens.expires_at, obtained_at },
      };
    };
    const also =
      handle === undefined ? undefined : this.#handles.consume(caller, handle, [...tokens.values.keys()]);
    const write = { caller, keyring, action: 'connect', ref, change } as const;
    const given = { mode: 'merge', values: tokens.values, nonces: [] } as const;
    const { meta } = await this.#protection.write(write, given, { refuse_protected: true, also });
    return meta;
  }

  /** Throws CONFLICT if the credential is another one than was found, or has another destination. */
  #openSame(
    keyring: OrganizationKeyring,
    found: CredentialMeta,
    loaded: LoadedRow | undefined,
  ): ReadonlyMap<string, Secret> {
    const { codec } = this.#parts;
    if (loaded === undefined || !isSameTarget(codec.openFound(keyring, loaded.row), found))
      throw changedMeanwhile();
    return codec.openValues(keyring, loadedRecord(loaded));
  }
}
