/**
 * Receives the callbacks of providers for `keyhold connect`: a listener on the fixed loopback port, whose URL is registered
 * at each provider. It serves the callback and its outcome only, and is closed when the command ends.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallbackListener } from '../../cli/context.ts';
import type { Caller } from '../../contract/caller.ts';
import type { Connected, Connections } from '../../contract/connection.ts';
import { VaultError } from '../../contract/errors.ts';
import { AUTH_FAILURES_PER_MINUTE, REQUESTS_PER_MINUTE } from '../../contract/limits.ts';
import { callbackUrl } from '../../contract/pages.ts';
import { createHttpApp } from '../../http/app.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import { type Listener, openListener } from '../../http/server/listener.ts';
import { webMount } from '../../web/mount.ts';

const LOOPBACK = '127.0.0.1';
const SERVED_PATHS = /^\/dashboard\/(?:oauth|assets)\//;
const CSRF_TOKEN_BYTES = 32;
/** After a callback: the browser loads the page of the outcome and its stylesheet. */
const PAGE_LOADS_MS = 1_000;

export interface CallbackListenerOptions extends Omit<HttpDependencies, 'public_url'> {
  readonly port: number;
  /** The user of this machine, with a new request id. */
  readonly caller: (request_id: string) => Caller;
}

/** Rejects with UNAVAILABLE if another program listens on the port. */
export async function openCallbackListener(options: CallbackListenerOptions): Promise<CallbackListener> {
  const { port, caller, log } = options;
  const listener = await listen(port, log);
  const outcomes = new Outcomes(options.connections);
  try {
    const parts = { ...options, connections: outcomes.connections, public_url: listener.url };
    const limits = {
      requests_per_minute: REQUESTS_PER_MINUTE,
      auth_failures_per_minute: AUTH_FAILURES_PER_MINUTE,
    };
    const local = {
      caller,
      csrf_token: randomBytes(CSRF_TOKEN_BYTES).toString('base64url'),
      callback_url: callbackUrl(listener.url),
      listenForCallback: async () => undefined,
    };
    const http_app = await createHttpApp(parts, [], [await webMount(parts, { ...limits, local })], {
      limits,
    });
    listener.serve(async (request, env) =>
      SERVED_PATHS.test(new URL(request.url).pathname) ? http_app.fetch(request, env) : notFound(),
    );
  } catch (error) {
    await listener.close(0);
    throw error;
  }
  return {
    base_url: listener.url,
    outcome: (state) => outcomes.of(state),
    async close() {
      if (outcomes.has_ended) await sleep(PAGE_LOADS_MS);
      await listener.close(PAGE_LOADS_MS);
    },
  };
}

async function listen(port: number, log: HttpDependencies['log']): Promise<Listener> {
  try {
    return await openListener({ host: LOOPBACK, port, behind_proxy: false, log });
  } catch (cause) {
    if (!(cause instanceof VaultError && cause.code === 'UNAVAILABLE')) throw cause;
    const message = `Port ${port} cannot be listened on, and the provider sends the browser back to it: another program may use it. Stop that program, or set KEYHOLD_PORT to another port and register the redirect URI with it.`;
    throw new VaultError('UNAVAILABLE', message, { cause });
  }
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

function notFound(): Response {
  return new Response('There is no page at this address.\n', {
    status: 404,
    headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  });
}
