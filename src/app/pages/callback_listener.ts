/**
 * Receives the callbacks of providers for `keyhold connect`: a listener on the fixed loopback port, whose URL is registered
 * at each provider. It serves the callback and its outcome only, and is closed when the command ends.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallbackListener } from '../../cli/context.ts';
import type { Caller } from '../../contract/caller.ts';
import type { Connected, Connections } from '../../contract/connection.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import { CSRF_TOKEN_BYTES, openLoopbackPages } from './loopback_pages.ts';

const SERVED_PATHS = /^\/dashboard\/(?:oauth|assets)\//;
/** After a callback: the browser loads the page of the outcome and its stylesheet. */
const PAGE_LOADS_MS = 1_000;

export interface CallbackListenerOptions extends Omit<HttpDependencies, 'public_url'> {
  readonly port: number;
  /** The user of this machine, with a new request id. */
  readonly caller: (request_id: string) => Caller;
}

/** Rejects with UNAVAILABLE if another program listens on the port. */
export async function openCallbackListener(options: CallbackListenerOptions): Promise<CallbackListener> {
  const { port, caller } = options;
  const outcomes = new Outcomes(options.connections);
  const parts = { ...options, connections: outcomes.connections };
  const listener = await openLoopbackPages(parts, {
    port,
    callback_port: port,
    served_paths: SERVED_PATHS,
    caller,
    csrf_token: randomBytes(CSRF_TOKEN_BYTES).toString('base64url'),
    listenForCallback: async () => undefined,
  });
  return {
    base_url: listener.url,
    outcome: (state) => outcomes.of(state),
    async close() {
      if (outcomes.has_ended) await sleep(PAGE_LOADS_MS);
      await listener.close(PAGE_LOADS_MS);
    },
  };
}

/** The outcomes of callbacks by their state. */
class Outcomes {
  readonly connections: Connections;
  has_ended = false;
  readonly #waiting = new Map<string, (outcome: Promise<Connected>) => void>();

  constructor(connections: Connections) {
    this.connections = {
      describe: (...input) => connections.describe(...input),
      start: (...input) => connections.start(...input),
      startDevice: (...input) => connections.startDevice(...input),
      deviceState: (...input) => connections.deviceState(...input),
      finish: (caller, parameters) => {
        const outcome = connections.finish(caller, parameters);
        const end = this.#waiting.get(parameters.get('state') ?? '');
        this.has_ended ||= end !== undefined;
        end?.(outcome);
        return outcome;
      },
    };
  }

  of(state: string): Promise<Connected> {
    return new Promise((resolve) => this.#waiting.set(state, resolve));
  }
}
