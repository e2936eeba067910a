/** An HTTP server on loopback that receives webhooks and verifies their signatures with the Web Crypto API. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

const KEY = Uint8Array.from({ length: 32 }, (_, at) => at * 7);
const TOLERANCE_SECONDS = 60;

export const WEBHOOK_SECRET: string = `whsec_${Buffer.from(KEY).toString('base64')}`;

export interface ReceivedWebhook {
  readonly id: string;
  readonly is_signed: boolean;
  readonly path: string;
  readonly text: string;
  readonly body: {
    readonly type: string;
    readonly timestamp: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
}

export interface WebhookReceiver {
  readonly url: string;
  readonly received: readonly ReceivedWebhook[];
  readonly env: NodeJS.ProcessEnv;
}

/** `status`: of each response, by the number of requests before; `undefined` never responds. */
export async function startReceiver(
  status: (before: number) => number | undefined = () => 204,
): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  const key = await crypto.subtle.importKey('raw', KEY, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const header = (name: string) => String(request.headers[name]);
    const id = header('webhook-id');
    const timestamp = header('webhook-timestamp');
    const [version, signature = ''] = header('webhook-signature').split(',');
    const signed = Buffer.from(`${id}.${timestamp}.${text}`);
    const is_valid = await crypto.subtle.verify('HMAC', key, Buffer.from(signature, 'base64'), signed);
    const is_recent = Math.abs(Date.now() / 1_000 - Number(timestamp)) < TOLERANCE_SECONDS;
    const is_signed = version === 'v1' && /^\d+$/.test(timestamp) && is_valid && is_recent;
    const code = status(received.length);
    received.push({ id, is_signed, path: request.url ?? '', text, body: JSON.parse(text) });
    if (code !== undefined) response.writeHead(code).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/keyhold?team=1`;
  const env = { KEYHOLD_NOTIFY_WEBHOOK: url, KEYHOLD_NOTIFY_WEBHOOK_SECRET: WEBHOOK_SECRET };
  return { url, received, env };
}
