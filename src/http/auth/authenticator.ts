/**
 * Who is asking? The key that the request presents says so, and nothing else: no address, no cookie, no default. How
 * often an address is wrong decides only what it is told of its failures.
 */
import type { Context } from 'hono';
import type { Caller, Edge } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Vault } from '../../vault/vault.ts';
import type { PipelineEnv } from '../context.ts';
import { presentedKey } from './api_key_header.ts';
import type { FailureLimiter } from './rate_limits.ts';

/**
 * Another way than API keys to know who asks, by a bearer token. `undefined`: not mine. Rejects with VaultError
 * UNAUTHENTICATED for a token that is its own and no good.
 */
export type Authenticate = (token: string, edge: Edge, request_id: string) => Promise<Caller | undefined>;

export class Authenticator {
  readonly #vault: Vault;
  readonly #failures: FailureLimiter;
  readonly #others: readonly Authenticate[];

  constructor(vault: Vault, failures: FailureLimiter, others: readonly Authenticate[]) {
    this.#vault = vault;
    this.#failures = failures;
    this.#others = others;
  }

  /**
   * Rejects with UNAUTHENTICATED, and with 429 where there were too many of them. A good key is good however often others
   * at its address (all of a machine, all behind one NAT) were wrong: nobody guesses one, with a limit or without.
   */
  async authenticate(c: Context<PipelineEnv>): Promise<Caller> {
    const { exchange } = c.env;
    try {
      const presented = presentedKey((name) => c.req.header(name));
      if (presented === undefined) throw keyNeeded();
      return await this.#callerOf(presented.text, presented.bearer, exchange);
    } catch (error) {
      if (error instanceof VaultError && error.code === 'UNAUTHENTICATED')
        await this.#failures.countFailure(exchange.address());
      throw error;
    }
  }

  async #callerOf(text: string, bearer: boolean, { area, request_id }: PipelineEnv['Bindings']['exchange']) {
    for (const other of bearer ? this.#others : []) {
      const caller = await other(text, area.edge, request_id);
      if (caller !== undefined) return caller;
    }
    return this.#vault.api_keys.authenticate(text, area.edge, request_id);
  }
}

function keyNeeded(): VaultError {
  return new VaultError(
    'UNAUTHENTICATED',
    'A valid API key is needed: exactly one, as Authorization: Bearer KEY or X-API-Key: KEY.',
  );
}
