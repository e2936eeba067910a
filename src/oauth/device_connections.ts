/**
 * Connections with a device code (RFC 8628): the person enters a code at the provider, and one node polls for the tokens in the
 * background. The state is a record of the vault, so that each node can return it, and poll if the node before has ended.
 */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '../contract/caller.ts';
import type { ConnectInput, DeviceState, StartedDevice } from '../contract/connection.ts';
import { VaultError } from '../contract/errors.ts';
import { DEVICE_CODE_AGE_MAX_MS } from '../contract/limits.ts';
import { msUntil, timestampAfter } from '../contract/timestamp.ts';
import { knownValues } from '../use/call/request/templates.ts';
import type { OrganizationKeyring } from '../vault/keys/keyring.ts';
import {
  type ConnectionTarget,
  startedTarget,
  unknownConnection,
} from '../vault/oauth/connection_records.ts';
import type { FoundDevice } from '../vault/oauth/device_records.ts';
import { endpointUrl, oauthOf } from './provider.ts';
import { type ConnectionParts, requestOfConnection, saveConnection } from './provider_request.ts';
import {
  authorizeDevice,
  type DeviceAuthorization,
  type GrantedTokens,
  pollDevice,
} from './token_request.ts';
import { TokenRequestError } from './token_request_error.ts';

/** Polled for by this process at a time. */
const DEVICES_MAX = 1_000;
/** RFC 8628, section 3.2. */
const INTERVAL_DEFAULT_S = 5;
const INTERVAL_MAX_S = 60;
/** RFC 8628, section 3.5. */
const SLOW_DOWN_MS = 5_000;
const URL_MAX_CHARACTERS = 500;
const USER_CODE = /^[\x20-\x7E]{1,40}$/;

export class DeviceConnections {
  readonly #parts: ConnectionParts;
  #polling = 0;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  async start(caller: Caller, input: ConnectInput, handle: string | undefined): Promise<StartedDevice> {
    const { vault, now } = this.#parts;
    const { devices } = vault.connections;
    const target = await vault.connections.find(caller, input, 'device_code', handle);
    await devices.assertBelowLimit(target.keyring, caller.user);
    if (this.#polling >= DEVICES_MAX) throw tooManyDevices();
    const scopes = input.scopes ?? oauthOf(target.service).scopes;
    const url = endpointOf(target, 'device_authorization_url');
    // Before the person goes to the provider: without it, no token could be requested afterwards.
    endpointOf(target, 'token_url');
    const given = await requestOfConnection(this.#parts, caller, target, url, async (request) =>
      checked(await authorizeDevice(request, scopes)),
    );
    const interval_s = Math.min(INTERVAL_MAX_S, Math.max(1, given.interval ?? INTERVAL_DEFAULT_S));
    const interval_ms = interval_s * 1_000;
    const { user_code, verification_uri, device_code } = given;
    const started = {
      device_id: randomUUID(),
      user_code,
      verification_uri,
      verification_uri_complete: given.verification_uri_complete ?? null,
      expires_at: timestampAfter(now(), Math.min(DEVICE_CODE_AGE_MAX_MS, given.expires_in * 1_000)) ?? '',
      interval_ms,
    };
    const { device_id, expires_at } = started;
    const state = { state: 'pending', device: started } as const;
    const { user, api_key_id = null } = caller;
    const facts = { device_id, user, api_key_id, scopes, device_code, state, expires_at };
    const found = await devices.create(target.keyring, { ...startedTarget(target), ...facts }, interval_ms);
    void this.#run(caller, target, found, interval_ms);
    return started;
  }

  /** Polls in the background from now on if the node that did so has ended. */
  async state(caller: Caller, device_id: string): Promise<DeviceState> {
    const { connections } = this.#parts.vault;
    const keyring = await connections.assertMayRead(caller);
    const device = await connections.devices.find(keyring, caller, device_id);
    if (device === undefined) throw unknownConnection();
    if (this.#polling < DEVICES_MAX) {
      const taken = await connections.devices.takeOver(keyring, device);
      if (taken !== undefined) void this.#resume(caller, keyring, taken);
    }
    return connections.devices.stateOf(device);
  }

  /** Never rejects. */
  async #resume(caller: Caller, keyring: OrganizationKeyring, found: FoundDevice): Promise<void> {
    const { connections } = this.#parts.vault;
    try {
      const target = await connections.findStarted(caller, found.meta, 'device_code');
      // More than the interval has passed.
      await this.#run(caller, target, found, 0);
    } catch (error) {
      await connections.devices.end(keyring, found, endOf(error)).catch(() => undefined);
    }
  }

  /** Never rejects. */
  async #run(
    caller: Caller,
    target: ConnectionTarget,
    found: FoundDevice,
    first_pause_ms: number,
  ): Promise<void> {
    this.#polling++;
    const lease = new PollLease(this.#parts, target, found);
    let state: DeviceState;
    try {
      const url = endpointOf(target, 'token_url');
      const tokens = await requestOfConnection(this.#parts, caller, target, url, (request) =>
        lease.poll(first_pause_ms, (device_code) => pollDevice(request, device_code)),
      );
      const { scopes } = found.meta;
      state = {
        state: 'connected',
        connected: await saveConnection(this.#parts, caller, target, scopes, tokens),
      };
    } catch (error) {
      state = endOf(error);
    }
    this.#polling--;
    // Without it, for example because the store is not available, the state is `expired` later.
    await lease.end(state).catch(() => undefined);
  }
}

/** The lease of this node for one device code, which it renews while it polls. */
class PollLease {
  readonly #parts: ConnectionParts;
  readonly #target: ConnectionTarget;
  #found: FoundDevice;
  #is_taken_over = false;

  constructor(parts: ConnectionParts, target: ConnectionTarget, found: FoundDevice) {
    this.#parts = parts;
    this.#target = target;
    this.#found = found;
  }

  /** Polls until the person has decided or the code has expired. A provider that fails is polled again, less often. */
  async poll(
    first_pause_ms: number,
    request: (device_code: string) => Promise<GrantedTokens>,
  ): Promise<GrantedTokens> {
    const { state, device_code, expires_at } = this.#found.meta;
    if (state.state !== 'pending' || device_code === null) throw expiredCode();
    const end_ms = performance.now() + msUntil(expires_at, this.#parts.now());
    let pause_ms = state.device.interval_ms;
    for (let wait_ms = first_pause_ms; ; wait_ms = pause_ms) {
      // The process may end while it waits.
      await sleep(wait_ms, undefined, { ref: false });
      if (performance.now() >= end_ms) throw expiredCode();
      await this.#renew(pause_ms);
      try {
        return await request(device_code);
      } catch (error) {
        pause_ms = pauseAfter(error, pause_ms);
      }
    }
  }

  /** Stores the end, unless another node polls now. */
  async end(state: DeviceState): Promise<void> {
    if (this.#is_taken_over) return;
    await this.#parts.vault.connections.devices.end(this.#target.keyring, this.#found, state);
  }

  async #renew(pause_ms: number): Promise<void> {
    const { devices } = this.#parts.vault.connections;
    const renewed = await devices.renew(this.#target.keyring, this.#found, pause_ms);
    this.#is_taken_over = renewed === undefined;
    if (renewed === undefined) throw new TokenRequestError('polling', 'another node polls');
    this.#found = renewed;
  }
}

function endpointOf(
  { service, destination }: ConnectionTarget,
  name: 'device_authorization_url' | 'token_url',
): URL {
  const url = endpointUrl(service, name, knownValues(service, destination.fields), destination.origins);
  if (url === undefined) throw new Error('the endpoints are in the definition');
  return url;
}

/** Until the next poll. Throws an error that ends the polling. */
function pauseAfter(error: unknown, pause_ms: number): number {
  if (!(error instanceof TokenRequestError)) throw error;
  const { failure, code, retry_after_ms = 0 } = error;
  if (code === 'slow_down') return pause_ms + SLOW_DOWN_MS;
  if (failure === 'failed') return Math.min(INTERVAL_MAX_S * 1_000, Math.max(pause_ms * 2, retry_after_ms));
  if (code !== 'authorization_pending') throw error;
  return pause_ms;
}

function tooManyDevices(): VaultError {
  const message = `This server polls for ${DEVICES_MAX} device codes. Connect again in some minutes.`;
  return new VaultError('RATE_LIMITED', message);
}

function expiredCode(): TokenRequestError {
  return new TokenRequestError('polling', 'the code has expired', { code: 'expired_token' });
}

function endOf(error: unknown): DeviceState {
  if (error instanceof TokenRequestError && error.code === 'access_denied') return { state: 'declined' };
  if (error instanceof TokenRequestError && error.code === 'expired_token') return { state: 'expired' };
  const message =
    error instanceof VaultError ? error.message : 'Something failed inside Keyhold. Start again.';
  return { state: 'failed', message };
}

/** The response, with a code and addresses that a page can show. Throws TokenRequestError. */
function checked(given: DeviceAuthorization): DeviceAuthorization {
  const { user_code, verification_uri, verification_uri_complete } = given;
  const urls = [verification_uri, verification_uri_complete ?? verification_uri];
  if (USER_CODE.test(user_code) && urls.every(isHttpsUrl)) return given;
  throw new TokenRequestError('failed', 'the provider returned an unexpected response');
}

function isHttpsUrl(text: string): boolean {
  if (text.length > URL_MAX_CHARACTERS || !URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === 'https:' && username === '' && password === '';
}
