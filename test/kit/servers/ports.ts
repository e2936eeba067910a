/** Free TCP ports of this machine. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ports that the system gives to outgoing connections and to servers on port 0 (from 32768 on Linux). */
const PORTS = [20_000, 32_000] as const;

/**
 * A port of 127.0.0.1 that no server listens on at present. The system gives it to no connection and to no server on
 * port 0, so it stays free until a server listens on it, which may be seconds later.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(...PORTS);
    const server = createServer();
    const is_free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!is_free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
