/** Servers that are no Keyhold, or a broken one: each answers every connection in one way. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Seen {
  readonly url: string;
  /** The Authorization headers of the requests that came. */
  readonly keys: readonly (string | undefined)[];
}

/** Answers http, every request with `answer`. Closed when the test is over. */
export async function httpServer(answer: RequestListener): Promise<Seen> {
  const keys: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers.authorization);
    answer(request, response);
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, keys };
}

/** Answers every request with this status, body and headers. */
export function answering(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Seen> {
  return httpServer((_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);
  });
}

/** https with a certificate that nobody has signed. */
export async function tlsServer(cert: string, key: string): Promise<string> {
  const server = createTlsServer({ cert, key }, (_request, response) => response.end('{}'));
  return `https://127.0.0.1:${await listen(server)}`;
}

/** A port that says this to whoever connects, and hangs up. */
export async function tcpServer(said: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.resume().end(said, () => socket.destroySoon());
  });
  return `http://127.0.0.1:${await listen(server)}`;
}

/** A port that nothing listens at. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listen(server: Server | TcpServer): Promise<number> {
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  );
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
}
