/**
 * A client that keeps one connection and sends one request after the other on it, as a client library does. Tells a
 * request that was never sent from one that was sent and got no whole answer.
 */
import { Agent, request as httpRequest } from 'node:http';
import { type TestRequest, toHeaders } from './in_process_server.ts';

export interface KeepAliveResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** The connection was refused: nothing of the request was sent. */
export class NotSentError extends Error {}

export class KeepAliveClient {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });

  constructor(url: string) {
    this.#url = new URL(url);
  }

  /** Rejects with NotSent, or with another error where a request was sent and the answer is not whole. */
  send(ask: TestRequest): Promise<KeepAliveResponse> {
    const { hostname, port } = this.#url;
    const { headers, bytes } = toHeaders(ask, this.#url.host);
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        {
          hostname,
          port,
          method: ask.method,
          path: ask.path,
          headers: Object.fromEntries(headers),
          agent: this.#agent,
        },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.once('error', reject);
          answer.once('end', () => {
            if (!answer.complete) reject(new Error('the answer broke off'));
            resolve({
              status: answer.statusCode ?? 0,
              headers: new Headers(
                Object.entries(answer.headers).map(([name, value]) => [name, String(value)]),
              ),
              text: Buffer.concat(parts).toString(),
            });
          });
        },
      );
      sent.once('error', (error: NodeJS.ErrnoException) => {
        reject(error.code === 'ECONNREFUSED' ? new NotSentError('refused') : error);
      });
      sent.end(bytes);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
