/** The signature of Standard Webhooks 1.0, version v1: HMAC with SHA-256 over id, timestamp and body. */
import { createHmac, type KeyObject } from 'node:crypto';

/** The headers of a request. */
export function signWebhook(key: KeyObject, id: string, at: Date, body: Buffer): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1_000));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
}
