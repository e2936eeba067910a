/**
 * Keeps responses, without values, for some minutes in memory, so that a caller can read on in one and a repeated call
 * gets the same one. A response is found only by the caller that received it, for the same credential.
 */
import { randomBytes } from 'node:crypto';
import type { Caller } from '../../../contract/caller.ts';
import {
  STORED_RESPONSE_AGE_MS,
  STORED_RESPONSES_MAX_BYTES,
  STORED_RESPONSES_PER_CALLER_MAX,
} from '../../../contract/limits.ts';
import type { Content } from './content.ts';
import type { Advice } from './hints.ts';
import type { NextCall } from './next_call.ts';

/** A response as it can be shown again. */
export interface StoredResponse {
  readonly status: number;
  /** Those that a result shows. */
  readonly headers: Readonly<Record<string, string>>;
  readonly content: Content;
  readonly redacted: number;
  /** The call for the next page. */
  readonly next: NextCall | undefined;
  readonly advice: Advice;
}

/** Who received a response, and with which credential. */
export interface ResponseOwner {
  readonly caller: string;
  readonly credential_id: string;
}

interface Entry {
  readonly owner: ResponseOwner;
  readonly response: StoredResponse;
  readonly bytes: number;
  readonly stored_at: number;
}

const OVERHEAD_BYTES = 2_000;
/** JSON in memory takes about so many times the bytes of its text. */
const JSON_FACTOR = 3;

export function ownerOf(caller: Caller, credential_id: string): ResponseOwner {
  const { organization, user, api_key_id = '', edge } = caller;
  return { caller: JSON.stringify([organization, user, api_key_id, edge]), credential_id };
}

export class StoredResponses {
  /** By id, the oldest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #clock: () => number;
  #bytes = 0;

  /** `clock`: milliseconds of a clock that never goes back. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Returns the id, or `undefined` for a response that is larger than all stored ones may be. */
  add(owner: ResponseOwner, response: StoredResponse): string | undefined {
    const bytes = sizeOf(response);
    if (bytes > STORED_RESPONSES_MAX_BYTES) return undefined;
    this.#dropExpired();
    const own = [...this.#entries].filter(([, entry]) => entry.owner.caller === owner.caller);
    if (own.length >= STORED_RESPONSES_PER_CALLER_MAX) this.#drop(own[0]?.[0] ?? '');
    for (const id of this.#entries.keys()) {
      if (this.#bytes + bytes <= STORED_RESPONSES_MAX_BYTES) break;
      this.#drop(id);
    }
    const id = `r_${randomBytes(16).toString('base64url')}`;
    this.#entries.set(id, { owner, response, bytes, stored_at: this.#clock() });
    this.#bytes += bytes;
    return id;
  }

  find(owner: ResponseOwner, id: string): StoredResponse | undefined {
    this.#dropExpired();
    const entry = this.#entries.get(id);
    const is_own = entry?.owner.caller === owner.caller && entry.owner.credential_id === owner.credential_id;
    return is_own ? entry?.response : undefined;
  }

  #dropExpired(): void {
    const oldest = this.#clock() - STORED_RESPONSE_AGE_MS;
    for (const [id, { stored_at }] of this.#entries) {
      if (stored_at > oldest) return;
      this.#drop(id);
    }
  }

  #drop(id: string): void {
    this.#bytes -= this.#entries.get(id)?.bytes ?? 0;
    this.#entries.delete(id);
  }
}

function sizeOf({ content }: StoredResponse): number {
  switch (content.kind) {
    case 'empty':
      return OVERHEAD_BYTES;
    case 'binary':
      return OVERHEAD_BYTES + content.bytes.length;
    case 'text':
      return OVERHEAD_BYTES + content.text.length * 2;
    case 'json':
      return OVERHEAD_BYTES + content.text.length * JSON_FACTOR;
  }
}
