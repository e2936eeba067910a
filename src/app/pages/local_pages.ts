/**
 * The pages for `keyhold mcp` and the library: those of a server of the same home, or a listener on loopback that serves handles
 * only. It is opened for the first handle and closed when no handle waits for a person. A second one, for the callback of a
 * connection, has the fixed port that is registered at providers; it is opened when a person connects.
 */
import { randomBytes } from 'node:crypto';
import type { Caller } from '../../contract/caller.ts';
import { AUTH_FAILURES_PER_MINUTE, REQUESTS_PER_MINUTE } from '../../contract/limits.ts';
import { CALLBACK_PATH, callbackUrl, type Pages } from '../../contract/pages.ts';
import { createHttpApp } from '../../http/app.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import { type Listener, openListener } from '../../http/server/listener.ts';
import { webMount } from '../../web/mount.ts';
import { findRunningServer } from './running_server.ts';

const LOOPBACK = '127.0.0.1';
const SERVED_PATHS = /^\/dashboard\/(?:enter|oauth|assets)\//;
const CHECK_EVERY_MS = 5_000;
/** Checks without a pending handle, so that the last page still gets its stylesheet. */
const IDLE_CHECKS = 2;
/** After a callback, so that the page with its result and the stylesheet are sent. */
const CALLBACK_END_MS = 10_000;
const CSRF_TOKEN_BYTES = 32;

export interface LocalPagesOptions extends Omit<HttpDependencies, 'public_url'> {
  readonly home: string;
  /** The user of this machine, with a new request id. */
  readonly caller: (request_id: string) => Caller;
  /** Of the redirect URI of connections. */
  readonly callback_port: number;
  /** Called with the ports that are listened on. */
  readonly onPorts: (ports: readonly number[]) => void;
  /** Only tests change it. */
  readonly check_every_ms?: number | undefined;
}

export class LocalPages implements Pages {
  readonly #options: LocalPagesOptions;
  readonly #csrf_token = randomBytes(CSRF_TOKEN_BYTES).toString('base64url');
  #listener: Promise<Listener> | undefined;
  #callback_listener: Promise<Listener> | undefined;
  readonly #ports = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #requests = 0;

  constructor(options: LocalPagesOptions) {
    this.#options = options;
  }

  async baseUrl(): Promise<string> {
    this.#requests++;
    const running = await findRunningServer(this.#options.home);
    if (running !== undefined) return running;
    if (this.#listener === undefined) {
      this.#listener = this.#listen(0);
      this.#listener.catch(() => {
        this.#listener = undefined;
      });
      this.#closeWhenIdle();
    }
    return (await this.#listener).url;
  }

  dashboardUrl(): Promise<string | undefined> {
    return findRunningServer(this.#options.home);
  }

  /** Rejects with UNAVAILABLE if another program has the port. */
  async #listenForCallback(): Promise<void> {
    if (this.#callback_listener === undefined) {
      this.#callback_listener = this.#listen(this.#options.callback_port);
      this.#callback_listener.catch(() => {
        this.#callback_listener = undefined;
      });
    }
    await this.#callback_listener;
  }

  async #listen(port: number): Promise<Listener> {
    const { caller, callback_port, log } = this.#options;
    const listener = await openListener({ host: LOOPBACK, port, behind_proxy: false, log });
    try {
      const parts = { ...this.#options, public_url: listener.url };
      const limits = {
        requests_per_minute: REQUESTS_PER_MINUTE,
        auth_failures_per_minute: AUTH_FAILURES_PER_MINUTE,
      };
      const local = {
        caller,
        csrf_token: this.#csrf_token,
        callback_url: callbackUrl(`http://${LOOPBACK}:${callback_port}`),
        listenForCallback: () => this.#listenForCallback(),
      };
      const mount = await webMount(parts, { ...limits, local });
      const http_app = await createHttpApp(parts, [], [mount], { limits });
      listener.serve(async (request, env) => {
        const { pathname } = new URL(request.url);
        if (pathname === CALLBACK_PATH) setTimeout(() => this.#closeCallback(), CALLBACK_END_MS).unref();
        return SERVED_PATHS.test(pathname) ? http_app.fetch(request, env) : notFound();
      });
      this.#ports.add(Number(new URL(listener.url).port));
      this.#options.onPorts([...this.#ports]);
      return listener;
    } catch (error) {
      await listener.close(0);
      throw error;
    }
  }

  #closeWhenIdle(): void {
    const { vault, caller, check_every_ms = CHECK_EVERY_MS } = this.#options;
    let idle_checks = 0;
    const check = async () => {
      const before = this.#requests;
      const pending = await vault.handles.countPending(caller('idle')).catch(() => 0);
      idle_checks = pending === 0 && this.#requests === before ? idle_checks + 1 : 0;
      if (idle_checks >= IDLE_CHECKS) return this.close();
      this.#timer = setTimeout(check, check_every_ms).unref();
      return undefined;
    };
    this.#timer = setTimeout(check, check_every_ms).unref();
  }

  /** Lets requests in flight finish. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const listener = this.#listener;
    this.#listener = undefined;
    await Promise.all([this.#close(listener), this.#closeCallback()]);
  }

  #closeCallback(): Promise<void> {
    const listener = this.#callback_listener;
    this.#callback_listener = undefined;
    return this.#close(listener);
  }

  async #close(opened: Promise<Listener> | undefined): Promise<void> {
    // One that could not be opened has been reported.
    const listener = await opened?.catch(() => undefined);
    if (listener === undefined) return;
    this.#ports.delete(Number(new URL(listener.url).port));
    this.#options.onPorts([...this.#ports]);
    await listener.close();
  }
}

function notFound(): Response {
  return new Response('There is no page at this address.\n', {
    status: 404,
    headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  });
}
