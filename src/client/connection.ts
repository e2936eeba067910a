/** The server of a client: builds requests with the API key, sends them, and checks that the response is one of Keyhold. */
import { VaultError } from '../contract/errors.ts';
import { parseServerUrl } from '../io/server_url.ts';
import { omitUndefined, toJson } from './inputs.ts';
import { KeyholdError, NOT_KEYHOLD } from './keyhold_error.ts';
import { type JsonResponse, send } from './transport.ts';

interface RequestOptions {
  readonly query?: object;
  readonly body?: object;
  readonly timeout_ms?: number;
}

/** Visible ASCII, which a header can carry. */
const KEY_PATTERN = /^[\x21-\x7e]{1,1024}$/;

export class ServerConnection {
  readonly #base_url: string;
  readonly #key: string;
  readonly #timeout_ms: number;

  /** Sends no request. Throws INVALID_INPUT for a URL that no key may be sent to, and for an invalid key or time. */
  constructor(url: string | URL, key: string, timeout_ms: number) {
    this.#base_url = baseUrlOf(url);
    if (typeof key !== 'string' || !KEY_PATTERN.test(key))
      throw new KeyholdError('INVALID_INPUT', 'key must be an API key, without spaces.');
    if (!Number.isInteger(timeout_ms) || timeout_ms < 1 || timeout_ms > 2 ** 31 - 1)
      throw new KeyholdError('INVALID_INPUT', 'timeout_ms must be a whole number of milliseconds from 1 on.');
    this.#key = key;
    this.#timeout_ms = timeout_ms;
  }

  /** Rejects if the server is unreachable or does not take requests. Sends no key. */
  async checkHealth(): Promise<void> {
    await send(new Request(`${this.#base_url}/readyz`), this.#timeout_ms);
  }

  /** Returns the body if it has `property`: JSON from a server other than Keyhold does not. */
  async call<Body extends object>(
    property: string,
    method: string,
    path: string,
    options?: RequestOptions,
  ): Promise<Body> {
    const { body, status } = await this.send(method, path, options);
    if (property in body) return body as Body;
    throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status });
  }

  send(method: string, path: string, options: RequestOptions = {}): Promise<JsonResponse> {
    return send(this.request(method, path, options), options.timeout_ms ?? this.#timeout_ms);
  }

  request(method: string, path: string, { query = {}, body }: RequestOptions): Request {
    const url = new URL(`${this.#base_url}${path}`);
    for (const [name, value] of Object.entries(omitUndefined(query)))
      url.searchParams.set(name, String(value));
    return new Request(url, {
      method,
      headers: {
        Authorization: `Bearer ${this.#key}`,
        Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: toJson(omitUndefined(body)) }),
    });
  }
}

/** Validates the URL and removes a trailing slash. */
function baseUrlOf(url: string | URL): string {
  try {
    const { origin, pathname } = parseServerUrl(String(url), 'url');
    return `${origin}${pathname}`.replace(/\/$/, '');
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    throw new KeyholdError(error.code, error.message, { reason: error.reason });
  }
}
