/**
 * An HTTP client that sends its requests sequentially on one keep-alive connection, as client libraries do.
 * Distinguishes a request that was never sent from an incomplete response.
 */
import { Agent, request as httpRequest } from 'node:http';
import { type TestRequest, toHeaders } from './in_process_server.ts';

export interface KeepAliveResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** The connection was refused, so no byte of the request was sent. */
export class NotSentError extends Error {}

export class KeepAliveClient {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
  /** How many connections the server accepted. */
  connections = 0;

  constructor(url: string) {
    this.#url = new URL(url);
  }

  /** Rejects with NotSentError, or with another error if the request was sent and the response is incomplete. */
  send(request: TestRequest): Promise<KeepAliveResponse> {
    const { hostname, port } = this.#url;
    const { headers, bytes } = toHeaders(request, this.#url.host);
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        {
          hostname,
          port,
          method: request.method,
          path: request.path,
          headers: Object.fromEntries(headers),
          agent: this.#agent,
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.once('error', reject);
          response.once('end', () => {
            if (!response.complete) reject(new Error('the response ended early'));
            resolve({
              status: response.statusCode ?? 0,
              headers: new Headers(
                Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
              ),
              text: Buffer.concat(parts).toString(),
            });
          });
        },
      );
      sent.once('socket', (socket) => {
        if (socket.connecting) socket.once('connect', () => this.connections++);
      });
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
