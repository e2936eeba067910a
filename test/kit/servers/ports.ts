/** Free TCP ports of this machine. */
import { randomInt } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';

/** A port of 127.0.0.1 that no server listens on at present. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Below the ports that the system gives to outgoing connections (from 32768 on Linux). */
const LATER_PORTS = [20_000, 32_000] as const;

/** A free port for a server that listens on it some seconds later: no connection takes it meanwhile. */
export async function portForLater(): Promise<number> {
  for (;;) {
    const port = randomInt(...LATER_PORTS);
    const server = createServer();
    const is_free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!is_free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
