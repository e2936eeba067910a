/**
 * Connections with a device code (RFC 8628): the person enters a code at the provider, and this process polls for the tokens in
 * the background. Their states are in memory and end with the process.
 */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '../contract/caller.ts';
import type { ConnectInput, DeviceState, StartedDevice } from '../contract/connection.ts';
import { VaultError } from '../contract/errors.ts';
import {
  CONNECTION_KEPT_MS,
  CONNECTIONS_PENDING_PER_USER_MAX,
  DEVICE_CODE_AGE_MAX_MS,
} from '../contract/limits.ts';
import { timestampAfter } from '../contract/timestamp.ts';
import { BoundedMap } from '../io/bounded_map.ts';
import { knownValues } from '../use/call/request/templates.ts';
import { tooManyConnections, unknownConnection } from '../vault/oauth/connection_records.ts';
import type { ConnectionTarget } from '../vault/oauth/connection_requests.ts';
import { endpointUrl, oauthOf } from './provider.ts';
import { type ConnectionParts, requestOfConnection, saveConnection } from './provider_request.ts';
import {
  authorizeDevice,
  type DeviceAuthorization,
  type GrantedTokens,
  pollDevice,
} from './token_request.ts';
import { TokenRequestError } from './token_request_error.ts';

interface Device {
  /** Organization and user. */
  readonly owner: string;
  /** Of the caller that started it; the only one that may see the state. */
  readonly api_key_id: string | undefined;
  /** `undefined`: the provider has not returned a code yet. */
  state: DeviceState | undefined;
}

interface Polling {
  readonly connection: ConnectionTarget;
  readonly url: URL;
  readonly scopes: readonly string[];
  readonly device_code: string;
  readonly interval_ms: number;
  readonly age_ms: number;
}

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
  readonly #devices = new BoundedMap<string, Device>(DEVICES_MAX);

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  async start(caller: Caller, input: ConnectInput, handle: string | undefined): Promise<StartedDevice> {
    const owner = ownerOf(caller);
    const waiting = [...this.#devices.values()].filter(
      (one) => one.owner === owner && (one.state === undefined || one.state.state === 'pending'),
    );
    if (waiting.length >= CONNECTIONS_PENDING_PER_USER_MAX) throw tooManyConnections();
    const device_id = randomUUID();
    const device: Device = { owner, api_key_id: caller.api_key_id, state: undefined };
    this.#devices.set(device_id, device);
    try {
      return await this.#start(caller, input, handle, device_id, device);
    } catch (error) {
      this.#devices.delete(device_id);
      throw error;
    }
  }

  state(caller: Caller, device_id: string): DeviceState {
    const device = this.#devices.get(device_id);
    const is_own = device?.owner === ownerOf(caller) && device.api_key_id === caller.api_key_id;
    if (device?.state === undefined || !is_own) throw unknownConnection();
    return device.state;
  }

  async #start(
    caller: Caller,
    input: ConnectInput,
    handle: string | undefined,
    device_id: string,
    device: Device,
  ): Promise<StartedDevice> {
    const { vault, now } = this.#parts;
    const connection = await vault.connections.find(caller, input, 'device_code', handle);
    const { service, destination } = connection;
    const fields = knownValues(service, destination.fields);
    const device_url = endpointUrl(service, 'device_authorization_url', fields, destination.origins);
    const url = endpointUrl(service, 'token_url', fields, destination.origins);
    if (device_url === undefined || url === undefined) throw new Error('the endpoints are in the definition');
    const scopes = input.scopes ?? oauthOf(service).scopes;
    const given = await requestOfConnection(this.#parts, caller, connection, device_url, async (request) =>
      checked(await authorizeDevice(request, scopes)),
    );
    const interval_s = Math.min(INTERVAL_MAX_S, Math.max(1, given.interval ?? INTERVAL_DEFAULT_S));
    const age_ms = Math.min(DEVICE_CODE_AGE_MAX_MS, given.expires_in * 1_000);
    const interval_ms = interval_s * 1_000;
    const { device_code } = given;
    const started = {
      device_id,
      user_code: given.user_code,
      verification_uri: given.verification_uri,
      verification_uri_complete: given.verification_uri_complete ?? null,
      expires_at: timestampAfter(now(), age_ms) ?? '',
      interval_ms,
    };
    device.state = { state: 'pending', device: started };
    void this.#run(caller, device_id, device, { connection, url, scopes, device_code, interval_ms, age_ms });
    return started;
  }

  /** Never rejects. */
  async #run(caller: Caller, device_id: string, device: Device, polling: Polling): Promise<void> {
    const { connection, url, scopes } = polling;
    try {
      const tokens = await requestOfConnection(this.#parts, caller, connection, url, (request) =>
        pollUntil(polling, () => pollDevice(request, polling.device_code)),
      );
      const connected = await saveConnection(this.#parts, caller, connection, scopes, tokens);
      device.state = { state: 'connected', connected };
    } catch (error) {
      device.state = endOf(error);
    }
    setTimeout(() => this.#devices.delete(device_id), CONNECTION_KEPT_MS).unref();
  }
}

/** Polls until the person has decided or the code has expired. A provider that fails is polled again, less often. */
async function pollUntil(
  { interval_ms, age_ms }: Pick<Polling, 'interval_ms' | 'age_ms'>,
  poll: () => Promise<GrantedTokens>,
): Promise<GrantedTokens> {
  const end_ms = performance.now() + age_ms;
  let pause_ms = interval_ms;
  for (;;) {
    // The process may end while it waits.
    await sleep(pause_ms, undefined, { ref: false });
    if (performance.now() >= end_ms) throw expiredCode();
    try {
      return await poll();
    } catch (error) {
      if (!(error instanceof TokenRequestError)) throw error;
      const { failure, code, retry_after_ms = 0 } = error;
      if (code === 'slow_down') pause_ms += SLOW_DOWN_MS;
      else if (failure === 'failed')
        pause_ms = Math.min(INTERVAL_MAX_S * 1_000, Math.max(pause_ms * 2, retry_after_ms));
      else if (code !== 'authorization_pending') throw error;
    }
  }
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

function ownerOf({ organization, user }: Caller): string {
  return `${organization}/${user}`;
}
