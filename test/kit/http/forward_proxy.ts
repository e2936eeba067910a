/** A forward proxy as in company networks: tunnels CONNECT to this machine, whatever name is requested. */
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { onTestFinished } from 'vitest';

export interface ForwardProxyServer {
  readonly url: string;
  /** The targets of all CONNECT requests, with the user and password of the client. */
  readonly requested: readonly (readonly [target: string, user: string])[];
}

/** `status`: of the response to CONNECT. Closed when the test ends. */
export async function startForwardProxy(status = 200): Promise<ForwardProxyServer> {
  const requested: [string, string][] = [];
  const server = createServer((_request, response) => void response.writeHead(405).end());
  server.on('connect', ({ url = '', headers }, client) => {
    const [, basic = ''] = /^Basic (.*)$/.exec(headers['proxy-authorization'] ?? '') ?? [];
    requested.push([url, Buffer.from(basic, 'base64').toString()]);
    client.on('error', () => undefined);
    if (status < 200 || status > 299) {
      client.end(`HTTP/1.1 ${status} Refused\r\n\r\n`);
      return;
    }
    const target = connect(Number(url.split(':').at(-1)), '127.0.0.1', () => {
      client.write(`HTTP/1.1 ${status} Connection Established\r\n\r\n`);
      client.pipe(target).pipe(client);
    });
    target.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requested };
}
