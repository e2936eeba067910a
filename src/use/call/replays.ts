/**
 * Runs a call once for each idempotency key or approval: a repeated call gets the same response, or waits for the one that
 * is running. Only for the same owner, and for the same request.
 */
import { VaultError } from '../../contract/errors.ts';
import type { ResponseOwner, StoredResponse } from './response/stored_responses.ts';

interface Replay {
  readonly request_hash: string;
  readonly response: Promise<StoredResponse>;
  readonly expires_at: number;
}

const REPLAYS_MAX = 500;

export class Replays {
  /** The oldest first. */
  readonly #replays = new Map<string, Replay>();
  readonly #age_ms: number;
  readonly #now: () => number;

  constructor(age_ms: number, now: () => number = () => performance.now()) {
    this.#age_ms = age_ms;
    this.#now = now;
  }

  /** The response to an earlier call with the key. Throws CONFLICT if it had another request. */
  find(owner: ResponseOwner, key: string, request_hash: string): Promise<StoredResponse> | undefined {
    this.#dropExpired();
    const replay = this.#replays.get(idOf(owner, key));
    if (replay === undefined) return undefined;
    if (replay.request_hash === request_hash) return replay.response;
    throw otherRequest();
  }

  /** Keeps the response for later calls. A failure and a refusal of the credential are not kept: nothing was executed. */
  keep(owner: ResponseOwner, key: string, request_hash: string, response: Promise<StoredResponse>): void {
    const id = idOf(owner, key);
    const [oldest] = this.#replays.keys();
    if (this.#replays.size >= REPLAYS_MAX && oldest !== undefined) this.#replays.delete(oldest);
    const replay = { request_hash, response, expires_at: this.#now() + this.#age_ms };
    this.#replays.set(id, replay);
    const drop = () => {
      if (this.#replays.get(id) === replay) this.#replays.delete(id);
    };
    response.then(({ status }) => (status === 401 ? drop() : undefined), drop);
  }

  #dropExpired(): void {
    for (const [id, { expires_at }] of this.#replays) {
      if (expires_at > this.#now()) return;
      this.#replays.delete(id);
    }
  }
}

export function otherRequest(): VaultError {
  return new VaultError(
    'CONFLICT',
    'Another request was made with this idempotency_key. Use a new key for a new request.',
    { next: 'Call again with a new idempotency_key.', retry: false },
  );
}

function idOf({ caller, credential_id }: ResponseOwner, key: string): string {
  return JSON.stringify([caller, credential_id, key]);
}
