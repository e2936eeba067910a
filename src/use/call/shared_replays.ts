/**
 * The part of repeated calls and stored responses that other processes of the vault see. A call with an idempotency key is
 * sent by one process; the others wait for its response. Pages and approved calls are kept for others only while there
 * are other nodes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import {
  IDEMPOTENCY_AGE_MS,
  KEPT_RESPONSE_MAX_BYTES,
  STORED_RESPONSE_AGE_MS,
} from '../../contract/limits.ts';
import type { Nodes } from '../../vault/nodes/nodes.ts';
import type { KeptCall, KeptResponses } from '../../vault/uses/kept_responses.ts';
import type { UsableCredential } from '../../vault/uses/use.ts';
import { otherRequest } from './replays.ts';
import type { Content } from './response/content.ts';
import { ownerOf, type ResponseOwner, type StoredResponse } from './response/stored_responses.ts';

export interface SharedReplaysParts {
  readonly kept: KeptResponses;
  /** Absent: no other node serves the vault. */
  readonly nodes?: Pick<Nodes, 'hasOthers'> | undefined;
}

interface Run {
  readonly response: StoredResponse;
  readonly replayed: boolean;
}

/** A response as JSON. */
interface KeptText extends Omit<StoredResponse, 'content'> {
  readonly content:
    | Exclude<Content, { readonly kind: 'json' | 'binary' }>
    | { readonly kind: 'json'; readonly text: string }
    | {
        readonly kind: 'binary';
        readonly content_type: string;
        readonly bytes: string;
        readonly sha256: string;
      };
}

const LEASE_MS = 15_000;
const RENEWED_EVERY_MS = 5_000;
const POLL_MIN_MS = 100;
const POLL_MAX_MS = 1_000;

export class SharedReplays {
  readonly #parts: SharedReplaysParts;

  constructor(parts: SharedReplaysParts) {
    this.#parts = parts;
  }

  /** Runs the call unless another process has: then returns its response. Throws CONFLICT for a key of another request. */
  async runOnce(
    caller: Caller,
    credential: UsableCredential,
    key: string,
    request_hash: string,
    run: () => Promise<Run>,
  ): Promise<Run> {
    const { kept } = this.#parts;
    const call = callOf(caller, credential, `key ${key}`);
    for (let pause_ms = POLL_MIN_MS; ; pause_ms = Math.min(pause_ms * 2, POLL_MAX_MS)) {
      const claim = await kept.claim(call, request_hash, LEASE_MS);
      if (claim.state === 'claimed') return this.#runClaimed(call, claim.run, run);
      if (claim.request_hash !== request_hash) throw otherRequest();
      if (claim.state === 'unknown') throw unknownOutcome();
      if (claim.state === 'done') {
        if (claim.text === undefined) throw tooLarge();
        return { response: parseResponse(claim.text), replayed: true };
      }
      await sleep(pause_ms);
    }
  }

  /** A failure and a refusal of the credential end the claim: nothing was executed. */
  async #runClaimed(call: KeptCall, id: string, run: () => Promise<Run>): Promise<Run> {
    const { kept } = this.#parts;
    const timer = setInterval(
      () => void kept.renew(call, id, LEASE_MS).catch(() => undefined),
      RENEWED_EVERY_MS,
    ).unref();
    try {
      const done = await run();
      // The request was executed: what cannot be written now is an unknown outcome to others.
      if (done.response.status === 401) await kept.release(call, id).catch(() => undefined);
      else await kept.finish(call, id, textOf(done.response), IDEMPOTENCY_AGE_MS).catch(() => undefined);
      return done;
    } catch (error) {
      await kept.release(call, id).catch(() => undefined);
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  /** The response to the same call, which a person approved for one use. */
  async findApproved(
    caller: Caller,
    credential: UsableCredential,
    hash: string,
  ): Promise<StoredResponse | undefined> {
    if (this.#parts.nodes?.hasOthers !== true) return undefined;
    return this.#find(callOf(caller, credential, `approved ${hash}`));
  }

  async keepApproved(
    caller: Caller,
    credential: UsableCredential,
    hash: string,
    response: StoredResponse,
  ): Promise<void> {
    if (response.status !== 401) await this.#keep(callOf(caller, credential, `approved ${hash}`), response);
  }

  /** A response that this process does not have. */
  findResponse(
    caller: Caller,
    credential: UsableCredential,
    response_id: string,
  ): Promise<StoredResponse | undefined> {
    return this.#find(callOf(caller, credential, `response ${response_id}`));
  }

  async keepResponse(
    caller: Caller,
    credential: UsableCredential,
    response_id: string,
    response: StoredResponse,
  ): Promise<void> {
    await this.#keep(callOf(caller, credential, `response ${response_id}`), response);
  }

  async #find(call: KeptCall): Promise<StoredResponse | undefined> {
    const text = await this.#parts.kept.find(call);
    return text === undefined ? undefined : parseResponse(text);
  }

  /** A failure is ignored: this process has the response. */
  async #keep(call: KeptCall, response: StoredResponse): Promise<void> {
    if (this.#parts.nodes?.hasOthers !== true) return;
    const text = textOf(response);
    if (text === undefined) return;
    await this.#parts.kept.keep(call, '', text, STORED_RESPONSE_AGE_MS).catch(() => undefined);
  }
}

function callOf(caller: Caller, credential: UsableCredential, name: string): KeptCall {
  const { caller: owner }: ResponseOwner = ownerOf(caller, credential.credential_id);
  return { caller, credential, owner, name };
}

/** `undefined` for a response that is too large for a record. */
function textOf(response: StoredResponse): string | undefined {
  const { content } = response;
  const size =
    content.kind === 'empty' ? 0 : content.kind === 'binary' ? content.bytes.length : content.text.length;
  if (size > KEPT_RESPONSE_MAX_BYTES) return undefined;
  const kept: KeptText = { ...response, content: textContent(content) };
  const text = JSON.stringify(kept);
  return text.length > 2 * KEPT_RESPONSE_MAX_BYTES ? undefined : text;
}

function textContent(content: Content): KeptText['content'] {
  switch (content.kind) {
    case 'json':
      return { kind: 'json', text: content.text };
    case 'binary':
      return { ...content, bytes: content.bytes.toString('base64') };
    default:
      return content;
  }
}

function parseResponse(text: string): StoredResponse {
  const kept: KeptText = JSON.parse(text);
  return { ...kept, content: parseContent(kept.content) };
}

function parseContent(kept: KeptText['content']): Content {
  switch (kept.kind) {
    case 'json':
      return { ...kept, json: JSON.parse(kept.text) };
    case 'binary':
      return { ...kept, bytes: Buffer.from(kept.bytes, 'base64') };
    default:
      return kept;
  }
}

function unknownOutcome(): VaultError {
  return new VaultError(
    'CONFLICT',
    'An earlier call with this idempotency_key may have been executed: the server that sent it ended before the response was stored.',
    {
      next: 'Check at the service whether it was executed. If it was not, call again with a new idempotency_key.',
      retry: false,
    },
  );
}

function tooLarge(): VaultError {
  return new VaultError(
    'CONFLICT',
    'The call with this idempotency_key was executed. Its response is too large to be kept for other servers.',
    { next: 'Do not repeat it. Read the result with another request.', retry: false },
  );
}
