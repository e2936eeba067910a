/** Servers that are not Keyhold or that fail. Each handles all connections in the same way. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { onTestFinished } from 'vitest';

export interface RecordingServer {
  readonly url: string;
  /** The Authorization headers of the received requests. */
  readonly keys: readonly (string | undefined)[];
}

/** An HTTP server that is closed after the test. */
export async function httpServer(listener: RequestListener): Promise<RecordingServer> {
  const keys: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers.authorization);
    listener(request, response);
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, keys };
}

/** Starts an HTTP server that sends the same response to every request. */
export function startServerResponding(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RecordingServer> {
  return httpServer((_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);
  });
}

/** An https server with a self-signed certificate. */
export async function tlsServer(cert: string, key: string): Promise<string> {
  const server = createTlsServer({ cert, key }, (_request, response) => response.end('{}'));
  return `https://127.0.0.1:${await listen(server)}`;
}

/** A TCP server that sends `text` to every client and closes the connection. */
export async function tcpServer(text: string): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.resume().end(text, () => socket.destroySoon());
  });
  return `http://127.0.0.1:${await listen(server)}`;
}

/** A port without a listener. */
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
