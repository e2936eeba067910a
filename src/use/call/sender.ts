/**
 * Sends a prepared call with the values of its credential: resolves and checks the host, writes the audit entry, opens the
 * values, sends. If the service refuses an access token that Keyhold can replace, sends the call once more with another one.
 */
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Egress, EgressResponse } from '../../egress/egress.ts';
import type { PatternSet } from '../../egress/redaction/pattern_set.ts';
import type { Nodes } from '../../vault/nodes/nodes.ts';
import type { OpenedUse, UsableCredential } from '../../vault/uses/use.ts';
import type { Uses } from '../../vault/uses/uses.ts';
import type { AccessTokens } from '../access_tokens.ts';
import type { ProducedValues, ValueProducer } from '../values/value_producer.ts';
import { CredentialPatterns } from './patterns.ts';
import { authenticate } from './request/authentication.ts';
import { type ParsedCall, type PreparedCall, prepareCall } from './request/prepare.ts';
import { withDefaults } from './request/templates.ts';

export interface CallDependencies {
  readonly uses: Uses;
  readonly egress: Egress;
  readonly values: ValueProducer;
  /** Absent: access tokens are used as they are stored. */
  readonly tokens?: AccessTokens | undefined;
  /** Absent: no other node serves the vault. */
  readonly nodes?: Pick<Nodes, 'hasOthers'> | undefined;
}

/** The response to a request, and the use that it belongs to. */
export interface Exchange {
  readonly response: EgressResponse;
  readonly patterns: PatternSet;
  readonly opened: OpenedUse;
  readonly produced: ProducedValues;
  /** With the revision whose values were sent. */
  readonly credential: UsableCredential;
  /** The service refused the access token, and the next call has another one. */
  readonly is_token_replaced?: boolean;
}

interface SendOptions {
  /** A person approved one request. */
  readonly is_for_one_use?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The codings that every supported Node.js can decode. */
const ACCEPTED = { 'accept-encoding': 'gzip, br, deflate' };

export class Sender {
  readonly #parts: CallDependencies;
  readonly #patterns = new CredentialPatterns();

  constructor(parts: CallDependencies) {
    this.#parts = parts;
  }

  /** `input`: what `prepared` was made from. */
  async send(
    caller: Caller,
    prepared: PreparedCall,
    input: ParsedCall,
    { is_for_one_use = false, signal }: SendOptions = {},
  ): Promise<Exchange> {
    const exchange = await this.#sendOnce(caller, prepared, signal);
    const { tokens } = this.#parts;
    const { response, opened, credential } = exchange;
    if (response.status !== 401 || tokens === undefined || credential.token === undefined) return exchange;
    let replaced: UsableCredential | undefined;
    try {
      replaced = await tokens.replace(caller, credential);
    } catch (error) {
      response.discard();
      opened.finish({ status: response.status, reason: reasonOf(error) });
      throw error;
    }
    if (replaced === undefined) return exchange;
    // An approval permits one request, and this one was sent.
    if (is_for_one_use) return { ...exchange, is_token_replaced: true };
    response.discard();
    opened.finish({ status: response.status, reason: 'sent again with another access token' });
    return this.#sendOnce(caller, prepareCall(replaced, input), signal);
  }

  async #sendOnce(
    caller: Caller,
    { credential, placement, request, use }: PreparedCall,
    signal: AbortSignal | undefined,
  ): Promise<Exchange> {
    const { uses, egress, values } = this.#parts;
    const target = await egress.resolve(use.origin, principalOf(caller));
    const opened = await uses.begin(caller, credential, use, target.addresses.join(' '));
    try {
      const used = { ...credential, revision: opened.revision };
      const produced = await values.produceAll(credential.service, opened.values);
      const all = withDefaults(credential.service, produced.values);
      const { sent, secrets } = await authenticate(placement, all, request);
      const patterns = this.#patterns.of(used, opened.values, [...produced.secrets, ...secrets]);
      const { method } = request;
      const response = await egress.request(target, {
        ...sent,
        method,
        headers: { ...sent.headers, ...ACCEPTED },
        signal,
      });
      return { response, patterns, opened, produced, credential: used };
    } catch (error) {
      opened.finish({ reason: reasonOf(error) });
      throw error;
    }
  }
}

export function principalOf({ organization, user }: Caller): string {
  return `${organization}/${user}`;
}

/** For the audit log: nothing that the service sent. */
export function reasonOf(error: unknown): string {
  return error instanceof VaultError ? error.message : 'the call failed';
}
