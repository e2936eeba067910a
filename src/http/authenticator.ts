/**
 * Who is asking? The key that the request presents says so, and nothing else: no address, no cookie, no default. The
 * limit on failures is checked before a key is looked at.
 */
import { hash as digest } from 'node:crypto';
import type { Context } from 'hono';
import type { Caller, Edge } from '../contract/caller.ts';
import { VaultError } from '../contract/errors.ts';
import type { Vault } from '../vault/vault.ts';
import type { FrameEnv } from './exchange.ts';
import { presentedKey } from './presented_key.ts';
import type { FailureLimiter } from './rate_limits.ts';

/**
 * Another way than API keys to know who asks, by a bearer token. `undefined`: not mine. Rejects with VaultError
 * UNAUTHENTICATED for a token that is its own and no good.
 */
export type Authenticate = (token: string, edge: Edge, request_id: string) => Promise<Caller | undefined>;

const KEYS_REMEMBERED_MAX = 10_000;

export class Authenticator {
  readonly #vault: Vault;
  readonly #failures: FailureLimiter;
  readonly #others: readonly Authenticate[];
  /**
   * Hashes of keys that were good here before: they are looked at even when others at the same address (all of a
   * machine, all behind one NAT) were wrong too often.
   */
  readonly #proven = new Set<string>();

  constructor(vault: Vault, failures: FailureLimiter, others: readonly Authenticate[]) {
    this.#vault = vault;
    this.#failures = failures;
    this.#others = others;
  }

  /** Rejects with UNAUTHENTICATED, and with 429 where there were too many of them. */
  async authenticate(c: Context<FrameEnv>): Promise<Caller> {
    const presented = presentedKey((name) => c.req.header(name));
    const hash = presented && digest('sha256', presented.text, 'base64');
    if (hash === undefined || !this.#proven.has(hash))
      await this.#failures.assertMayTry(c.env.exchange.address());
    try {
      if (presented === undefined || hash === undefined) throw keyNeeded();
      const caller = await this.#callerOf(presented.text, presented.bearer, c.env.exchange);
      if (this.#proven.size >= KEYS_REMEMBERED_MAX) this.#proven.clear();
      this.#proven.add(hash);
      return caller;
    } catch (error) {
      if (error instanceof VaultError && error.code === 'UNAUTHENTICATED') {
        if (hash !== undefined) this.#proven.delete(hash);
        await this.#failures.countFailure(c.env.exchange.address());
      }
      throw error;
    }
  }

  async #callerOf(text: string, bearer: boolean, { area, request_id }: FrameEnv['Bindings']['exchange']) {
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
