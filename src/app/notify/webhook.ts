/** Notifications as HTTP requests, signed as Standard Webhooks 1.0 specifies. */
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import { newRequestId } from '../../crypto/request_id.ts';
import type { Egress } from '../../egress/egress.ts';
import type { NotifySettings } from '../../settings/notify.ts';
import type { DeliverNotification } from './notifier.ts';
import { signWebhook } from './webhook_signature.ts';

type WebhookSettings = NonNullable<NotifySettings['webhook']>;

const ATTEMPT_MAX_MS = 5_000;
/** Before the second and the third attempt. */
const BACKOFF_MS: readonly number[] = [1_000, 4_000];

/** Sends three times at most. A status other than 2xx is a failure; a redirect is not followed. */
export function webhookChannel(
  { url, key }: WebhookSettings,
  openEgress: () => Promise<Egress>,
  now: () => Date,
): DeliverNotification {
  const { origin, pathname, search } = new URL(url);
  const send = async (id: string, body: Buffer, signal: AbortSignal) => {
    const egress = await openEgress();
    const response = await egress.request(await egress.resolve(origin), {
      method: 'POST',
      path: pathname + search,
      headers: {
        'user-agent': 'keyhold',
        'content-type': 'application/json',
        ...signWebhook(key, id, now(), body),
      },
      body,
      signal,
      timeout_ms: ATTEMPT_MAX_MS,
    });
    response.discard();
    if (response.status < 200 || response.status > 299)
      throw new VaultError('UPSTREAM', `The webhook responded with the status ${response.status}.`);
  };
  return async (notification, signal) => {
    // The same in each attempt, so that the receiver recognizes a repetition.
    const id = `msg_${newRequestId()}`;
    const { created_at: timestamp, ...data } = notification;
    const body = Buffer.from(JSON.stringify({ type: 'request.waiting', timestamp, data }));
    for (const pause_ms of BACKOFF_MS) {
      try {
        return await send(id, body, signal);
      } catch {
        await sleep(pause_ms, undefined, { signal });
      }
    }
    return send(id, body, signal);
  };
}
