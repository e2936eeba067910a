/** Servers on loopback, an egress that finds them under any name, and a request that is read to its end. */
import type { RequestListener, Server } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { AllowList } from '../../src/egress/allow_list.ts';
import { Egress, type EgressOptions, type EgressRequest } from '../../src/egress/egress.ts';
import type { Lookup } from '../../src/egress/resolver.ts';
import { ISSUER_CERT, ISSUER_CERT_KEY } from '../kit/http/certificate.ts';
import { TEST_CA_CERT } from '../kit/upstream/certificates.ts';

export const GET: EgressRequest = { method: 'GET', path: '/', headers: {} };
export const LOCAL: Lookup = async () => ['127.0.0.1'];

/** Returns the port. Closed when the test ends. */
export async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  onTestFinished(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** An https server, by default with the certificate of `login.test`. */
export function listenTls(
  listener: RequestListener,
  cert: string = ISSUER_CERT,
  key: string = ISSUER_CERT_KEY,
): Promise<number> {
  return listen(createServer({ cert, key }, listener));
}

/** A server that lets `respond` write to each connection once it has received a request. Counts the connections. */
export async function listenRaw(
  respond: (socket: Socket) => void,
): Promise<{ readonly origin: string; readonly connections: () => number }> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const port = await listen(
    createTcpServer((socket) => {
      connections += 1;
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => respond(socket));
    }),
  );
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { origin: `http://login.test:${port}`, connections: () => connections };
}

/** Resolves every name to this machine. Closed when the test ends. */
export function openEgress(allow: string, options: Partial<EgressOptions> = {}): Egress {
  const list = AllowList.parse(allow);
  if (list === undefined) throw new Error('not a list');
  const egress = new Egress({ allow: list, ca: [ISSUER_CERT, TEST_CA_CERT], lookup: LOCAL, ...options });
  onTestFinished(() => egress.close());
  return egress;
}

export async function send(egress: Egress, origin: string, request: Partial<EgressRequest> = {}) {
  const response = await egress.request(await egress.resolve(origin), { ...GET, ...request });
  const chunks: Buffer[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return { ...response, text: Buffer.concat(chunks).toString() };
}
