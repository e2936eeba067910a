/**
 * Notifies people of requests that wait for them, through the channels of the settings. Each channel has a bounded queue and
 * delivers one notification at a time; no caller waits for it. A notification never has a value, the body of a request or a
 * handle.
 */
import { once } from 'node:events';
import type { Waiting } from '../../contract/approval.ts';
import { describeFailure, type Logger } from '../../contract/logger.ts';
import { approvalsUrl, approvalUrl } from '../../contract/pages.ts';
import { MinuteWindows } from '../../io/minute_windows.ts';

/** `more`: further requests wait, and no notification of them is sent within this minute. */
export interface Notification extends Omit<Waiting, 'kind' | 'expires_at'> {
  readonly kind: Waiting['kind'] | 'more';
  readonly expires_at: string | null;
  /** The page on which a person decides; `null` without a server, and for a handle, whose link only the agent has. */
  readonly url: string | null;
}

/** Delivers a notification, or rejects. Ends soon after the signal. */
export type DeliverNotification = (notification: Notification, signal: AbortSignal) => Promise<void>;

export interface NotifierOptions {
  readonly channels: Readonly<Record<string, DeliverNotification>>;
  /** Of the pages; `undefined` without a server. */
  readonly baseUrl: () => string | undefined;
  readonly log: Logger;
}

const PER_MINUTE_MAX = 20;
/** Counted at a time. */
const USERS_MAX = 1_000;
const QUEUE_MAX = 100;
/** After the request to close. */
const CLOSE_MAX_MS = 1_000;

export class Notifier {
  readonly #options: NotifierOptions;
  readonly #queues: readonly NotificationQueue[];
  readonly #sent = new MinuteWindows(USERS_MAX);
  readonly #closing = new AbortController();

  constructor(options: NotifierOptions) {
    this.#options = options;
    this.#queues = Object.entries(options.channels).map(
      ([name, deliver]) => new NotificationQueue(name, deliver, options.log, this.#closing.signal),
    );
  }

  /** Returns at once. */
  notify(waiting: Waiting): void {
    const { organization, user } = waiting;
    const { count } = this.#sent.add(`${organization}/${user}`, performance.now());
    if (this.#closing.signal.aborted || count > PER_MINUTE_MAX + 1) return;
    const base_url = this.#options.baseUrl();
    const notification = count > PER_MINUTE_MAX ? further(waiting, base_url) : withUrl(waiting, base_url);
    for (const queue of this.#queues) queue.add(notification);
  }

  /** Lets deliveries end within a second, then aborts them. */
  async close(): Promise<void> {
    const { signal } = this.#closing;
    const timer = setTimeout(() => this.#closing.abort(), CLOSE_MAX_MS);
    await Promise.race([Promise.all(this.#queues.map((queue) => queue.idle)), once(signal, 'abort')]);
    clearTimeout(timer);
    this.#closing.abort();
  }
}

/** The notifications of one channel. Logs at most one failure a minute. */
class NotificationQueue {
  readonly #name: string;
  readonly #deliver: DeliverNotification;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  readonly #failures = new MinuteWindows(1);
  #length = 0;
  /** Resolves when all have been delivered or have failed. */
  idle: Promise<void> = Promise.resolve();

  constructor(name: string, deliver: DeliverNotification, log: Logger, signal: AbortSignal) {
    this.#name = name;
    this.#deliver = deliver;
    this.#log = log;
    this.#signal = signal;
  }

  add(notification: Notification): void {
    if (this.#length < QUEUE_MAX) {
      this.#length++;
      this.idle = this.idle.then(() => this.#send(notification));
    } else this.#warn('notifications are dropped: too many wait', {});
  }

  async #send(notification: Notification): Promise<void> {
    try {
      this.#signal.throwIfAborted();
      await this.#deliver(notification, this.#signal);
    } catch (error) {
      if (!this.#signal.aborted) this.#warn('a notification failed', { failure: describeFailure(error) });
    } finally {
      this.#length--;
    }
  }

  #warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#failures.add('', performance.now()).count === 1)
      this.#log.warn({ channel: this.#name, ...fields }, message);
  }
}

function withUrl(waiting: Waiting, base_url: string | undefined): Notification {
  const { approval_id: id } = waiting;
  return { ...waiting, url: base_url === undefined || id === null ? null : approvalUrl(base_url, id) };
}

function further(waiting: Waiting, base_url: string | undefined): Notification {
  return {
    ...waiting,
    kind: 'more',
    approval_id: null,
    summary: `further requests wait; at most ${PER_MINUTE_MAX} notifications a minute are sent`,
    code: null,
    expires_at: null,
    url: base_url === undefined ? null : approvalsUrl(base_url),
  };
}
