/**
 * The nodes of a vault: `keyhold serve` processes that know each other by one record each. Every second a node reads the
 * records of the others, and writes its own if it has counted events since: so the limits of a minute hold for all nodes
 * together, without a write per request. An event counts at the other nodes within two seconds. A node that is alone
 * writes its record when it starts and deletes it when it ends, and nothing else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MinuteWindows } from '../../io/minute_windows.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { CountExchange } from './count_exchange.ts';
import { type Readiness, readinessOf } from './readiness.ts';

const EXCHANGE_EVERY_MS = 1_000;

export class Nodes {
  readonly #parts: Pick<VaultDependencies, 'store' | 'keys' | 'now'>;
  readonly #exchange: CountExchange;
  #running: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(parts: Pick<VaultDependencies, 'store' | 'records' | 'keys' | 'now'>) {
    this.#parts = parts;
    this.#exchange = new CountExchange(parts);
  }

  /** Whether this node can serve the vault. Fast. */
  readiness(): Promise<Readiness> {
    const { store, keys, now } = this.#parts;
    return readinessOf(store, keys, now);
  }

  /** Whether other nodes serve the vault; false in a process that has not joined them. */
  get hasOthers(): boolean {
    return this.#exchange.hasOthers;
  }

  /** Windows whose counts are those of all nodes, once this process has joined them. All nodes use the same name. */
  windows(name: string, limit: number, keys_max: number): MinuteWindows {
    return this.#exchange.windows(name, limit, keys_max);
  }

  /** Resolves when the other nodes can see this one and their counts are known. */
  async join(): Promise<void> {
    await this.#exchange.run();
    const stop = new AbortController();
    this.#running = { stop, ended: this.#exchangeUntil(stop.signal) };
  }

  /** Deletes the record of this node. A failure is ignored: the others delete it after some minutes. */
  async leave(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.stop.abort();
    await running.ended;
    await this.#exchange.remove().catch(() => undefined);
  }

  /** A failed exchange is ignored: the counts that are known stay until their minute is over. */
  async #exchangeUntil(signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(EXCHANGE_EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#exchange.run().catch(() => undefined);
    }
  }
}
