/**
 * Proxy that adds an API key to requests, for test programs that cannot send one. Forwards everything else unchanged,
 * including Host and Origin.
 */
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Forwarder {
  /** Without a trailing slash. */
  readonly url: string;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. The caller closes it. */
export async function startForwarder(target: string, key: string): Promise<Forwarder> {
  const server = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, authorization: `Bearer ${key}` };
    const { method } = incoming;
    const passed = httpRequest(new URL(incoming.url ?? '/', target), { method, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
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
