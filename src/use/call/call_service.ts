/**
 * Sends a request of a caller to a service with a stored credential, and returns the response without its values. The
 * order is fixed: find the credential, build the request, authorize, resolve and check the host, write the audit entry,
 * open the values, send. Redirects are returned, not followed.
 */

import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { CALL_STREAM_MAX_BYTES, IDEMPOTENCY_AGE_MS, STORED_RESPONSE_AGE_MS } from '../../contract/limits.ts';
import { CallInput, type Calls, type CallView, type ServiceStream } from '../../contract/use/call.ts';
import { parseInput } from '../../contract/validation.ts';
import { redactText } from '../../egress/redaction/redactor.ts';
import type { UsableCredential } from '../../vault/uses/use.ts';
import { withAccessToken } from '../access_tokens.ts';
import { describeDryRun } from './dry_run.ts';
import { advised, withNextStep } from './next_step.ts';
import { Replays } from './replays.ts';
import { type ParsedCall, type PreparedCall, prepareCall } from './request/prepare.ts';
import { headerOf, readContent, redactedParts } from './response/content.ts';
import { type Advice, adviceForStatus } from './response/hints.ts';
import { nextCall } from './response/next_call.ts';
import { assertExpression } from './response/select.ts';
import { shownHeaders } from './response/shown_headers.ts';
import {
  ownerOf,
  type ResponseOwner,
  type StoredResponse,
  StoredResponses,
} from './response/stored_responses.ts';
import { isOk, viewOf } from './response/view.ts';
import { type CallDependencies, type Exchange, principalOf, reasonOf, Sender } from './sender.ts';
import { SharedReplays } from './shared_replays.ts';

export class CallService implements Calls {
  readonly #parts: CallDependencies;
  readonly #responses = new StoredResponses();
  readonly #by_key = new Replays(IDEMPOTENCY_AGE_MS);
  readonly #by_approval = new Replays(STORED_RESPONSE_AGE_MS);
  readonly #shared: SharedReplays;
  readonly #sender: Sender;

  constructor(parts: CallDependencies) {
    this.#parts = parts;
    this.#shared = new SharedReplays({ kept: parts.uses.kept, nodes: parts.nodes });
    this.#sender = new Sender(parts);
  }

  /** The response, or a part of an earlier one. Rejects with VaultError if no response arrives; statuses of the service are results. */
  call(caller: Caller, raw: CallInput): Promise<CallView> {
    return advised(caller, this.#call(caller, raw));
  }

  /** As `call`, for a body of any size: nothing is stored, selected or shortened. */
  stream(caller: Caller, raw: CallInput, signal?: AbortSignal): Promise<ServiceStream> {
    return advised(caller, this.#stream(caller, raw, signal));
  }

  async #call(caller: Caller, raw: CallInput): Promise<CallView> {
    const started = performance.now();
    const input = parseInput(CallInput, raw);
    if (input.select !== undefined) assertExpression(input.select);
    if (input.response_id !== undefined) return this.#readOn(caller, input, input.response_id);
    if (input.offset !== undefined)
      throw new VaultError('INVALID_INPUT', 'offset needs the response_id of an earlier result.');
    const prepared = prepareCall(await this.#find(caller, input), input);
    if (input.dry_run === true) return describeDryRun(prepared, await this.#verdict(caller, prepared));
    const owner = ownerOf(caller, prepared.credential.credential_id);
    const { response, replayed } = await this.#runOnce(caller, owner, prepared, input);
    const { output, image } = viewOf(response, input, () => this.#responses.add(owner, response));
    const response_id = output.truncated?.response_id ?? '';
    if (response_id !== '')
      await this.#shared.keepResponse(caller, prepared.credential, response_id, response);
    return {
      output: {
        ...output,
        ...(replayed ? { replayed } : {}),
        latency_ms: Math.round(performance.now() - started),
      },
      image,
    };
  }

  async #stream(caller: Caller, raw: CallInput, signal: AbortSignal | undefined): Promise<ServiceStream> {
    const input = parseInput(CallInput, raw);
    const refused = (
      ['select', 'max_chars', 'response_id', 'offset', 'idempotency_key', 'dry_run'] as const
    ).find((name) => input[name] !== undefined);
    if (refused !== undefined)
      throw new VaultError('INVALID_INPUT', `${refused} cannot be combined with an unbuffered response.`);
    const prepared = prepareCall(await this.#find(caller, input), input);
    const { is_for_one_use } = await this.#parts.uses.authorize(caller, prepared.credential, prepared.use);
    const exchange = await this.#sender.send(caller, prepared, input, { is_for_one_use, signal });
    const { response, patterns } = exchange;
    const { headers } = shownHeaders(response, patterns);
    const advice = await this.#judge(caller, exchange);
    const body = this.#streamBody(exchange);
    await body.next();
    return { status: response.status, headers, body, hint: undefined, ...advice };
  }

  /** With an access token that has not ended. A call that sends nothing only describes it. */
  async #find(caller: Caller, input: ParsedCall): Promise<UsableCredential> {
    const { service_id, stack_id, name, dry_run, response_id } = input;
    const { uses, tokens } = this.#parts;
    const found = await uses.find(caller, { service_id, stack_id, name });
    if (tokens === undefined || response_id !== undefined) return found;
    return dry_run === true ? withAccessToken(found) : tokens.fresh(caller, found);
  }

  /** Yields an empty part first: only a generator that was started runs its `finally` when it is returned. */
  async *#streamBody({ response, patterns, opened }: Exchange): AsyncGenerator<Buffer> {
    let bytes = 0;
    let failure: string | undefined = 'the response was not read to its end';
    try {
      yield Buffer.alloc(0);
      for await (const part of redactedParts(response, patterns, CALL_STREAM_MAX_BYTES)) {
        bytes += part.length;
        yield part;
      }
      failure = undefined;
    } catch (error) {
      failure = reasonOf(error);
      throw withNextStep(error, undefined);
    } finally {
      response.discard();
      opened.finish({
        status: response.status,
        bytes,
        ...(failure === undefined ? {} : { reason: failure }),
      });
    }
  }

  /** A later part of a stored response, or another selection of it. */
  async #readOn(caller: Caller, input: ParsedCall, response_id: string): Promise<CallView> {
    if (
      ['path', 'method', 'query', 'headers', 'body', 'body_base64', 'dry_run'].some((name) => name in input)
    )
      throw new VaultError(
        'INVALID_INPUT',
        'response_id reads on in an earlier response: only offset, select and max_chars go with it.',
      );
    // A caller that may no longer use the credential may no longer read its responses.
    const credential = await this.#find(caller, input);
    const response =
      this.#responses.find(ownerOf(caller, credential.credential_id), response_id) ??
      (await this.#shared.findResponse(caller, credential, response_id));
    if (response === undefined)
      throw new VaultError('NOT_FOUND', 'The response is no longer stored. Make the request again.');
    return viewOf(response, input, () => response_id);
  }

  async #verdict(caller: Caller, { credential, use }: PreparedCall): Promise<string> {
    try {
      await this.#parts.egress.resolve(use.origin, principalOf(caller));
      await this.#parts.uses.authorize(caller, credential, use);
      return 'allowed';
    } catch (error) {
      if (error instanceof VaultError) return error.message;
      throw error;
    }
  }

  async #runOnce(
    caller: Caller,
    owner: ResponseOwner,
    prepared: PreparedCall,
    input: ParsedCall,
  ): Promise<{ readonly response: StoredResponse; readonly replayed: boolean }> {
    const { hash } = prepared.use;
    const { idempotency_key } = input;
    const earlier =
      (idempotency_key && this.#by_key.find(owner, idempotency_key, hash)) ||
      this.#approvedEarlier(owner, prepared);
    if (earlier) return { response: await earlier, replayed: true };
    const run = () => this.#run(caller, owner, prepared, input);
    if (idempotency_key === undefined) return run();
    const running = this.#shared.runOnce(caller, prepared.credential, idempotency_key, hash, run);
    const response = running.then((done) => done.response);
    this.#by_key.keep(owner, idempotency_key, hash, response);
    return running;
  }

  async #run(
    caller: Caller,
    owner: ResponseOwner,
    prepared: PreparedCall,
    input: ParsedCall,
  ): Promise<{ readonly response: StoredResponse; readonly replayed: boolean }> {
    const { credential, use } = prepared;
    const approved = await this.#shared.findApproved(caller, credential, approvalKey(prepared));
    if (approved !== undefined) return { response: approved, replayed: true };
    const { is_for_one_use = false } = await this.#parts.uses.authorize(caller, credential, use);
    // A person has approved one execution: the same call gets its response, also one that was authorized meanwhile.
    const earlier = !is_for_one_use ? undefined : this.#approvedEarlier(owner, prepared);
    if (earlier !== undefined) return { response: await earlier, replayed: true };
    const sent = this.#sender.send(caller, prepared, input, { is_for_one_use });
    const response = sent.then((exchange) => this.#read(caller, prepared, exchange));
    if (is_for_one_use) this.#by_approval.keep(owner, approvalKey(prepared), use.hash, response);
    const done = await response;
    if (is_for_one_use) await this.#shared.keepApproved(caller, credential, approvalKey(prepared), done);
    return { response: done, replayed: false };
  }

  #approvedEarlier(owner: ResponseOwner, prepared: PreparedCall): Promise<StoredResponse> | undefined {
    return this.#by_approval.find(owner, approvalKey(prepared), prepared.use.hash);
  }

  async #read(caller: Caller, prepared: PreparedCall, exchange: Exchange): Promise<StoredResponse> {
    const { response, patterns, opened } = exchange;
    const { status } = response;
    const advice = await this.#judge(caller, exchange);
    try {
      const shown = shownHeaders(response, patterns);
      const { content, redacted, bytes } = await readContent(response, patterns);
      opened.finish({ status, bytes });
      const header = (name: string) => {
        const text = headerOf(response, name.toLowerCase());
        return text === undefined ? undefined : redactText(patterns, text).text;
      };
      const next = isOk(status) ? nextCall(prepared, { content, header }) : undefined;
      const { headers } = shown;
      return { status, headers, content, redacted: redacted + shown.redacted, next, advice };
    } catch (error) {
      response.discard();
      opened.finish({ status, reason: reasonOf(error) });
      throw error;
    }
  }

  /**
   * The next step after the response. A 401 marks the credential as rejected, unless a value of it came from an earlier run
   * of a command: then the next use runs the command again.
   */
  async #judge(
    caller: Caller,
    { response, opened, produced, credential, is_token_replaced = false }: Exchange,
  ): Promise<Advice> {
    const { status } = response;
    const is_stale = status === 401 && (produced.dropStored() || is_token_replaced);
    const advice = adviceForStatus(status, credential.service.slug, {
      is_stale,
      is_token_replaced,
      retry_after: headerOf(response, 'retry-after'),
    });
    if (status !== 401 || is_stale) return advice;
    try {
      await this.#parts.uses.findings.reject(caller, credential, status);
      return advice;
    } catch (error) {
      response.discard();
      opened.finish({ status: response.status, reason: reasonOf(error) });
      throw error;
    }
  }
}

/** An approval is for the values that the credential had. */
function approvalKey({ credential, use }: PreparedCall): string {
  return `${credential.stable_revision}/${use.hash}`;
}
