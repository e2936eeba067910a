/**
 * The pages for `keyhold mcp` and the library: those of a server of the same home, or a listener on loopback that serves handles
 * only. It is opened for the first handle and closed when no handle waits for a person. A second one, for the callback of a
 * connection, has the fixed port that is registered at providers; it is opened when a person connects and closed with the first.
 */
import { randomBytes } from 'node:crypto';
import type { Caller } from '../../contract/caller.ts';
import type { Pages } from '../../contract/pages.ts';
import type { HttpDependencies } from '../../http/dialect.ts';
import type { Listener } from '../../http/server/listener.ts';
import { CSRF_TOKEN_BYTES, openLoopbackPages } from './loopback_pages.ts';
import { findRunningServer } from './running_server.ts';

const SERVED_PATHS = /^\/dashboard\/(?:enter|oauth|assets)\//;
const CHECK_EVERY_MS = 5_000;
/** Checks without a pending handle, so that the last page still gets its stylesheet. */
const IDLE_CHECKS = 2;

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
    const { caller, callback_port, onPorts } = this.#options;
    const listener = await openLoopbackPages(this.#options, {
      port,
      callback_port,
      served_paths: SERVED_PATHS,
      caller,
      csrf_token: this.#csrf_token,
      listenForCallback: () => this.#listenForCallback(),
    });
    this.#ports.add(Number(new URL(listener.url).port));
    onPorts([...this.#ports]);
    return listener;
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
    const callback_listener = this.#callback_listener;
    this.#callback_listener = undefined;
    await Promise.all([this.#close(listener), this.#close(callback_listener)]);
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
