/**
 * Passes requests on to a server with an API key added, for test programs that cannot be given one. Everything else,
 * Host and Origin too, arrives as it was sent.
 */
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Forwarder {
  /** Without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

/** Listens on loopback, on a free port. The caller closes it. */
export async function startForwarder(target: string, key: string): Promise<Forwarder> {
  const server = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, authorization: `Bearer ${key}` };
    const { method } = incoming;
    const passed = httpRequest(new URL(incoming.url ?? '/', target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.once('error', () => outgoing.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
