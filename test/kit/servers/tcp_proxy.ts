/** A TCP proxy on loopback that can hold back what each side sends, and cut all connections. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Keeps the bytes of the server from the clients, from now on, until `cut`. */
  holdResponses(): void;
  /** Keeps the bytes of the clients from the server, from now on, until `cut`. */
  holdRequests(): void;
  /** Calls `listener` with the bytes of the clients before the server gets them. */
  onRequest(listener: (data: Buffer) => void): void;
  /** Closes all connections and accepts new ones. */
  cut(): void;
  /** Refuses connections while `true`. */
  refuse(refuses: boolean): void;
  close(): Promise<void>;
}

export async function startTcpProxy(target_port: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let holds_responses = false;
  let holds_requests = false;
  let refuses = false;
  let onRequest: (data: Buffer) => void = () => undefined;
  const server = createServer((client) => {
    if (refuses) {
      client.destroy();
      return;
    }
    const upstream = connect(target_port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (data) => {
      onRequest(data);
      if (!holds_requests && !upstream.destroyed) upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (!holds_responses) client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    holds_responses = false;
    holds_requests = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    holdResponses: () => {
      holds_responses = true;
    },
    holdRequests: () => {
      holds_requests = true;
    },
    onRequest: (listener) => {
      onRequest = listener;
    },
    cut,
    refuse: (now) => {
      refuses = now;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
